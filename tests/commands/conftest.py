"""A folder with a picture in it, and the command line, run in this process or in another."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from luxvox import cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUXVOX_DEBUG", raising=False)
    monkeypatch.delenv("LUXVOX_WEIGHTS", raising=False)
    save_picture("photo.png")
    return tmp_path


def save_picture(name, size=(24, 16)):
    ramp = np.linspace(0, 255, size[0] * size[1] * 3).astype(np.uint8)
    Image.fromarray(ramp.reshape(size[1], size[0], 3)).save(name)


def save_noise(name, size=(60, 40)):
    noise = np.random.default_rng(0).normal(128, 30, (size[1], size[0], 3)).clip(0, 255)
    Image.fromarray(noise.astype(np.uint8)).save(name)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(*words):
    return cli.run(
        ["compress", *words, "--device", "cpu", "--jobs", "1"] if words[0] != "cli" else words[1:]
    )


def pipe_in(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def python(*words, **options):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, check=False, timeout=60, **options
    )


def start(code):
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
