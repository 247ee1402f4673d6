"""Pipes, closed streams and signals, as shells and service managers use them."""

import io
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

import luxvox
from luxvox.commands import process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shells and signals of POSIX")
LUXVOX = f"{shlex.quote(sys.executable)} -m luxvox"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (9, 7), (200, 40, 10)).save("photo.png")
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def shell(words):
    return subprocess.run(
        ["bash", "-c", words.replace("luxvox", LUXVOX)],
        capture_output=True,
        check=False,
        timeout=60,
    )


def is_photo(data):
    return luxvox.decompress_image(data).shape == (7, 9, 3)


@pytest.mark.parametrize(
    "words",
    [
        "luxvox compress photo.png -o /dev/stdout",
        "luxvox compress photo.png -o /dev/fd/1",
        "luxvox compress photo.png -o /proc/self/fd/1",
        "luxvox compress photo.png -o /dev/stdout | cat",
        "luxvox compress photo.png -o >(cat) | cat",
        "luxvox compress - < photo.png",
        "luxvox compress /dev/stdin < photo.png",
        "cat photo.png | luxvox compress /dev/stdin",
        "luxvox compress <(cat photo.png)",
        "mkfifo in.png; cat photo.png > in.png & luxvox compress in.png -o -",
        "mkfifo out; cat out & luxvox compress photo.png -o out; wait",
    ],
)
def test_pipes_of_all_kinds(folder, words):
    ran = shell(words)
    assert ran.returncode == 0, ran.stderr
    assert is_photo(ran.stdout)


def test_standard_output_is_written_to_where_it_stands(folder):
    ran = shell("{ printf before; luxvox compress photo.png -o /dev/stdout; } > log")
    assert ran.returncode == 0
    data = (folder / "log").read_bytes()
    assert data.startswith(b"before")
    assert is_photo(data[6:])


@pytest.mark.parametrize(("is_voice", "output"), [(False, "in.png"), (True, "in.wav")])
def test_outputs_of_named_pipes_are_named_by_kind(folder, is_voice, output):
    data = luxvox.compress_image(np.zeros((5, 5, 3), np.uint8), effort=1)
    if is_voice:
        data = luxvox.compress_speech(np.zeros(800), 8000, effort=1)
    (folder / "file").write_bytes(data)
    ran = shell("mkfifo in.lvx; cat file > in.lvx & luxvox decompress in.lvx")
    assert ran.returncode == 0, ran.stderr
    assert output in names(folder)


def test_a_recording_from_a_named_pipe(folder):
    soundfile.write("voice.wav", np.zeros(800), 8000)
    ran = shell("mkfifo in; cat voice.wav > in & luxvox compress in --effort 1")
    assert ran.returncode == 0, ran.stderr
    assert (folder / "in.lvx").stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("luxvox compress - -o b.lvx <&-", b"standard input is closed"),
        ("luxvox compress /dev/stdin -o b.lvx <&-", b"standard input is closed"),
        ("luxvox compress photo.png -o - >&-", b"standard output is closed"),
        ("luxvox compress photo.png -o /dev/stdout >&-", b"standard output is closed"),
        ("luxvox info a.lvx >&-", b"standard output is closed"),
    ],
)
def test_closed_streams_are_refused_in_one_line(folder, words, says):
    (folder / "a.lvx").write_bytes(luxvox.compress_image(np.zeros((5, 5, 3), np.uint8), effort=1))
    ran = shell(words)
    assert ran.returncode == 1
    assert says in ran.stderr
    assert ran.stderr.count(b"\n") == 1
    assert names(folder) == ["a.lvx", "photo.png"]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_files_are_made_whatever_is_closed(folder, closed):
    assert shell(f"luxvox compress photo.png {closed}").returncode == 0
    assert is_photo((folder / "photo.lvx").read_bytes())


def test_a_picture_that_is_private_stays_so(folder):
    (folder / "photo.png").chmod(0o600)
    os.utime("photo.png", (10**9, 10**9))
    ran = shell("luxvox compress photo.png && luxvox decompress photo.lvx -o back.png")
    assert ran.returncode == 0
    for name in ("photo.lvx", "back.png"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert (folder / name).stat().st_mtime == 10**9


WAITING = """
import os, sys, time
from luxvox.cli import main
def wait(descriptor):
    print("ready", flush=True)
    time.sleep(60)
os.fsync = wait
main(["compress", "photo.png"])
"""


def start(script) -> Any:
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_the_process_leave_nothing(folder, number):
    with start(WAITING) as child:
        child.stdout.readline()
        assert any(name.endswith(".part") for name in names(folder))
        child.send_signal(number)
        child.send_signal(number)  # a second one must not disturb the tidying
        err = child.stderr.read()
    # The second one may come after the tidying, and then it ends the process itself.
    assert child.returncode in (128 + number, -number)
    assert err.decode() in (f"luxvox: ended by {number.name}\n", "")
    assert names(folder) == ["photo.png"]


def test_a_signal_that_is_ignored_stays_so(folder):
    """As under nohup: the work goes on."""
    script = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{WAITING}"
    script = script.replace("time.sleep(60)", "time.sleep(0.5)")
    with start(script) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGHUP)
        child.stderr.read()
    assert child.returncode == 0
    assert names(folder) == ["photo.lvx", "photo.png"]


def test_handlers_of_the_caller_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(process.EndedBySignal) as caught:
        with process.ending_signals_raised():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_threads_leave_signals_alone():
    seen = []

    def run():
        with process.ending_signals_raised():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize("options", [["-O"], ["-OO"]])
def test_without_assertions_and_docstrings(folder, options):
    for words in (["compress", "photo.png"], ["decompress", "photo.lvx", "-o", "back.png"]):
        ran = subprocess.run(
            [sys.executable, *options, "-m", "luxvox", *words], capture_output=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    with Image.open(io.BytesIO((folder / "back.png").read_bytes())) as back:
        assert back.size == (9, 7)
