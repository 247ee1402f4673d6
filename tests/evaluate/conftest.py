"""Two tiny pictures and a voice, and the command in this process."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from luxvox import cli


def scene(height, width, seed):
    """Return a ramp with soft noise, uint8 [height, width, 3]."""
    ramp = np.add.outer(np.arange(height), np.arange(width))[:, :, None] * (200 / (height + width))
    noise = np.random.default_rng(seed).normal(scale=9.0, size=(height, width, 3))
    return np.clip(ramp + noise + [0, 20, 40], 0, 255).astype(np.uint8)


def speech(n, seed=0):
    """Return gliding harmonics that come and go, float32 [n] at 16 kHz."""
    t = np.arange(n) / 16_000
    glide = 2 * np.pi * (150 * t + 20 * np.sin(2 * np.pi * t))
    sound = sum(np.sin(k * glide) / k for k in range(1, 8)) * (0.6 + 0.4 * np.sin(9 * t))
    return (0.1 * sound + 0.002 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of two pictures, one of them large enough for MS-SSIM."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(scene(168, 176, 1)).save(folder / "b.png")
    Image.fromarray(scene(24, 40, 2)).save(folder / "a.png")
    (folder / "notes.tsv").write_text("file\tsource\n")
    return folder


@pytest.fixture
def voice(tmp_path):
    """Return a folder with a voice of two seconds, and what is said in it."""
    folder = tmp_path / "voices"
    folder.mkdir()
    soundfile.write(folder / "hum.flac", speech(32_000), 16_000)
    (folder / "hum.txt").write_text("Hm, hm.")
    return folder


@pytest.fixture
def evaluate(tmp_path):
    """Run the command; return its exit code and the results of its report, by kind."""

    def run(*words, out="report", points="luxvox=20,60", jobs="1"):
        folder = tmp_path / out
        options = ["--out", str(folder), "--jobs", jobs, "--timed-files", "0"]
        chosen = ["--points", points] if points else []
        code = cli.run(["evaluate", *map(str, words), *options, *chosen])
        records = [json.loads(path.read_text()) for path in sorted(folder.rglob("results.json"))]
        return code, {record["kind"]: record for record in records}

    return run
