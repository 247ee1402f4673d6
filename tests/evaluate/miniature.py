"""Files that are quick to evaluate, and the command in this process."""

import numpy as np
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


def write_pictures(folder):
    """Write two pictures, one of them large enough for MS-SSIM, and something else."""
    folder.mkdir()
    Image.fromarray(scene(168, 176, 1)).save(folder / "b.png")
    Image.fromarray(scene(24, 40, 2)).save(folder / "a.png")
    (folder / "notes.tsv").write_text("file\tsource\n")
    return folder


def write_voice(folder):
    """Write a voice of two seconds, and its transcript."""
    folder.mkdir()
    soundfile.write(folder / "hum.flac", speech(32_000), 16_000)
    (folder / "hum.txt").write_text("Hm, hm.")
    return folder


def run_command(*words):
    """Run the command in this process and return its exit code."""
    return cli.run(["evaluate", "--jobs", "1", *map(str, words)])
