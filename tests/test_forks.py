"""A process that forks while other threads read files: the child must not hang or lose output."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

SCRIPT = """
import io, os, signal, sys, threading, time
import numpy as np, soundfile
from PIL import Image
from luxvox.codec.picture.reading import from_file
from luxvox.codec.voice.recordings import open_recording

def picture(n):
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (n, n, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, "PNG", compress_level=1)
    return stream.getvalue()

def recording(n):
    stream = io.BytesIO()
    soundfile.write(stream, 0.1 * np.random.default_rng(0).normal(size=n), 16_000, format="MP3")
    return stream.getvalue()

kinds = {"picture": (from_file, picture, 1200), "recording": (open_recording, recording, 10**6)}
read, make, n_large = kinds[sys.argv[1]]
small, large, stop = make(2000 if read is open_recording else 8), make(n_large), []
worker = threading.Thread(target=lambda: [read(large) for _ in iter(lambda: not stop, False)])
worker.start()
failures = 0
for n in range(20):
    time.sleep(0.01)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        read(small)
        os.write(2, b"%d\\n" % n)
        os._exit(0)
    failures += os.waitpid(child, 0)[1] != 0
stop.append(1)
worker.join()
assert not failures, failures
"""


@pytest.mark.parametrize("kind", ["picture", "recording"])
def test_a_file_is_read_after_a_fork_during_reading(kind):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, kind]
    ran = subprocess.run(command, capture_output=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stderr.decode()
    assert sorted(map(int, ran.stderr.split())) == list(range(20))
