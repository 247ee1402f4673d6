"""The benchmark of archives: a few small pictures, and its tables."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from luxvox.benchmarks import batch
from luxvox.evaluate.inputs import read_picture


def test_a_folder_is_measured(tmp_path):
    batch.make_small_files(tmp_path / "in", 2)
    speed = batch.measure(tmp_path / "in", "one process", tmp_path / "out")
    assert (speed.files, speed.megapixels) == (2, round(2 * 32 * 32 / 1e6, 2))
    assert 0 < speed.seconds < 120
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_copies_have_names_of_their_own(tmp_path):
    batch.make_small_files(tmp_path / "few", 2)
    batch.copy_files(sorted((tmp_path / "few").iterdir()), tmp_path / "in", 3)
    assert len(list((tmp_path / "in").iterdir())) == 6


def test_photographs_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(batch, "_LARGE_SHAPE", (40, 60))
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    batch.make_photographs([tmp_path / "noise.png"], tmp_path / "in", 3)
    pictures = [read_picture(path) for path in sorted((tmp_path / "in").iterdir())]
    assert [pixels.shape for pixels in pictures] == [(40, 60, 3)] * 3
    assert len({pixels.tobytes() for pixels in pictures}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_process_and_its_children():
    code = "import subprocess, sys; subprocess.run(['cat'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        own, others = 0.0, 0.0
        while others == 0.0:  # it has not started yet, or has no memory yet
            assert process.poll() is None
            own, others = batch.resident_mib(process.pid)
        process.communicate()
    assert 3 < own < 100 and others < 100
    assert batch.resident_mib(process.pid) == (0.0, 0)


def test_the_tables():
    origin = {"command": "python x", "machine": "m", "packages": "torch 2"}
    speeds = [
        {"way": "one process", "files": 10, "megapixels": 5.0, "seconds": 20.0},
        {"way": "two processes", "files": 10, "megapixels": 5.0, "seconds": 10.0},
    ]
    memory = [{"files": 1250, "own_mib": 50.4, "others_mib": 800.6}]
    record = {"speeds": {"rows": speeds, **origin}, "large": {"rows": memory, **origin}}
    text = batch.lay_out(record)
    assert "| two processes | 10 | 10.0 | 1.00 | 0.50 | 2.00× |" in text
    assert "| 1,250 | 50 | 801 |" in text
