"""Whatever the process has set, results are the same and its settings are left as they were."""

import contextlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

import luxvox
from luxvox.torch_state import steps_in_usual_state, usual_state

WORK = """
import hashlib, numpy as np, torch, luxvox
y, x = np.mgrid[:32, :40]
picture = np.stack([x * 4, y * 5, x + y], 2).astype(np.uint8)
voice = (0.2 * np.sin(np.arange(8_000) / 9) * np.hanning(8_000)).astype(np.float32)

def results():
    lvx = luxvox.compress_image(picture, effort=4)
    sound = luxvox.compress_speech(voice, 16_000, effort=4)
    codes = luxvox.codes(sound)
    return [
        lvx,
        luxvox.decompress_image(lvx).tobytes(),
        *(level.tobytes() for level in luxvox.codes(lvx).values()),
        sound,
        luxvox.decompress_speech(sound)[0].tobytes(),
        *(block.tobytes() for block in luxvox.stream_speech(sound)),
        codes.tobytes(),
        luxvox.from_codes(codes).tobytes(),
    ]

def digest():
    return hashlib.sha256(b"".join(results())).hexdigest()
"""


def python(script, **options):
    command = [sys.executable, "-c", WORK + script]
    return subprocess.run(command, capture_output=True, check=False, timeout=300, **options)


@pytest.fixture(scope="module")
def plain_digest():
    ran = python("print(digest())")
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().strip()


SETTINGS = {
    "default type 64": (
        "torch.set_default_dtype(torch.float64)",
        "torch.get_default_dtype() == torch.float64",
    ),
    "default type 16": (
        "torch.set_default_dtype(torch.bfloat16)",
        "torch.get_default_dtype() == torch.bfloat16",
    ),
    "default device": (
        "torch.set_default_device('meta')",
        "torch.get_default_device().type == 'meta'",
    ),
    "autocast": (
        "torch.autocast('cpu', torch.bfloat16).__enter__()",
        "torch.is_autocast_enabled('cpu')",
    ),
    "inference mode": (
        "mode = torch.inference_mode()\nmode.__enter__()",
        "torch.is_inference_mode_enabled()",
    ),
    "no gradients": ("torch.set_grad_enabled(False)", "not torch.is_grad_enabled()"),
    "deterministic": (
        "torch.use_deterministic_algorithms(True)",
        "torch.are_deterministic_algorithms_enabled()",
    ),
    "precision": (
        "torch.set_float32_matmul_precision('medium')",
        "torch.get_float32_matmul_precision() == 'medium'",
    ),
    "NumPy's errors": ("np.seterr(all='raise')", "np.geterr()['under'] == 'raise'"),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_same_under_all_settings(plain_digest, setting):
    """The first call loads the weights, which must be good for later calls, too."""
    change, is_kept = SETTINGS[setting]
    ran = python(f"{change}\nprint(digest())\nassert {is_kept}\n")
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout.decode().strip() == plain_digest


def test_weights_loaded_under_odd_settings_are_good_for_usual_ones(plain_digest):
    ran = python(
        "with torch.inference_mode(), torch.autocast('cpu', torch.bfloat16):\n"
        "    torch.set_default_dtype(torch.float64)\n"
        "    digest()\n"
        "torch.set_default_dtype(torch.float32)\n"
        "print(digest())\n"
    )
    assert ran.returncode == 0, ran.stderr.decode()
    assert ran.stdout.decode().strip() == plain_digest


def test_settings_are_put_back_after_errors():
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(luxvox.LuxvoxError):
            luxvox.decompress_image(b"junk")
        with contextlib.suppress(ZeroDivisionError), usual_state():
            assert torch.get_default_dtype() == torch.float32
            _ = 1 / 0
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_the_caller_keeps_its_settings_between_steps():
    def steps():
        for _ in range(2):
            yield torch.is_inference_mode_enabled(), torch.get_default_dtype()

    with torch.inference_mode():
        torch.set_default_dtype(torch.float64)
        try:
            for step in steps_in_usual_state(steps()):
                assert step == (False, torch.float32)
                assert torch.is_inference_mode_enabled()
                assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)


def test_threads_that_overlap_leave_the_default_type_as_it_was():
    inside, leave = threading.Barrier(2, timeout=20), threading.Event()

    def work():
        with usual_state():
            inside.wait()
            assert leave.wait(20)
            assert torch.get_default_dtype() == torch.float32

    torch.set_default_dtype(torch.float64)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        with usual_state():
            inside.wait()
        assert torch.get_default_dtype() == torch.float32  # the other thread still needs it
        leave.set()
        thread.join()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_setting_changed_meanwhile_lasts():
    torch.set_default_dtype(torch.float64)
    try:
        with usual_state():
            torch.set_default_dtype(torch.float16)
        assert torch.get_default_dtype() == torch.float16
    finally:
        torch.set_default_dtype(torch.float32)


def test_loading_weights_draws_no_random_numbers():
    ran = python(
        "torch.manual_seed(1)\nluxvox.compress_speech(voice, 16_000, effort=1)\n"
        "some = torch.rand(4)\ntorch.manual_seed(1)\nassert torch.equal(some, torch.rand(4))\n"
    )
    assert ran.returncode == 0, ran.stderr.decode()


FORK = """
import os, signal, sys, threading, time
torch.set_num_threads(2)
before = digest()
stop = []
if "busy" in sys.argv:
    worker = threading.Thread(target=lambda: [digest() for _ in iter(lambda: not stop, False)])
    worker.start()
    time.sleep(0.3)
for _ in range(2):
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        os._exit(0 if digest() == before and torch.get_num_threads() == 2 else 1)
    status = os.waitpid(child, 0)[1]
    assert status == 0, status
stop.append(1)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("busy", ["", "busy"])
def test_a_fork_does_not_hang(busy):
    command = [sys.executable, "-W", "ignore", "-c", WORK + FORK, busy]
    # Threads that wait do not spin: on a busy machine that would take minutes.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    ran = subprocess.run(command, capture_output=True, check=False, timeout=400, env=environment)
    assert ran.returncode == 0, ran.stderr.decode()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_pool_of_forked_processes():
    ran = python(
        "import multiprocessing\n"
        "def again(_): return digest()\n"
        "before = digest()\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    assert pool.map_async(again, range(3)).get(200) == [before] * 3\n"
    )
    assert ran.returncode == 0, ran.stderr.decode()


def test_numpy_keeps_its_own_settings():
    with np.errstate(all="raise"):
        with usual_state():
            assert np.geterr()["under"] == "ignore"
        assert np.geterr()["under"] == "raise"


def test_inputs_are_read_under_the_usual_settings_too():
    faint = np.concatenate([np.sin(np.arange(2000) / 9), np.full(50, 1e-42)])
    reals = Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8))
    with np.errstate(all="raise"), pytest.warns(luxvox.LossWarning, match="8 bits"):
        luxvox.compress_speech(faint, 16_000, effort=1)
        luxvox.compress_image(reals)
