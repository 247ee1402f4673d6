"""Training voices: loaded once, cropped at random, brought to a common level."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.errors import InputError
from luxvox.models.voice.loudness import active_rms
from luxvox.timeline import CODED_RATE_HZ, FRAME_SAMPLES

SUFFIXES = (".ogg", ".wav", ".flac", ".mp3")
JITTER_DB = 4.0  # standard deviation of the level around the common one
NOISE_SHARE = 0.2  # share of crops that get a little noise
NOISE_DB = (-70.0, -35.0)
ROOM_SHARE = 0.15  # share of crops that get the reverberation of a room
DECAY_S = (0.1, 0.5)  # until reverberation is 60 dB down
ROOM_DB = (-18.0, -4.0)  # reverberation relative to the voice
SHORTEST_S = 1.0


class Recordings:
    """The voices of folders in memory: int16 arrays, and the gain of each.

    Raises:
        InputError: if the folders hold no recording at 16 kHz of a second or more.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in SUFFIXES)
        self.samples = [s for s in map(_load, paths) if len(s) >= SHORTEST_S * CODED_RATE_HZ]
        if not self.samples:
            names = ", ".join(map(str, folders))
            raise InputError(f"no recording of a second or more in {names}")
        self.gains = [1.0 / active_rms(s.astype(np.float32) / 32768.0) for s in self.samples]

    def split(self, every: int) -> tuple[Recordings, Recordings]:
        """Return all but every n-th recording, and every n-th.

        Raises:
            InputError: if one recording alone cannot be split.
        """
        if len(self.samples) < 2:
            raise InputError("one recording is not enough: training needs 2 or more")

        # Samples are not copied: each part refers to its own.
        parts = copy.copy(self), copy.copy(self)
        for part, held_back in zip(parts, (False, True), strict=True):
            chosen = [n for n in range(len(self.samples)) if (n % every == 0) == held_back]
            part.samples = [self.samples[n] for n in chosen]
            part.gains = [self.gains[n] for n in chosen]
        return parts

    def crops(self, n: int, n_frames: int, generator: torch.Generator) -> Tensor:
        """Return random crops [n, 320 · n_frames] near the common level.

        Recordings are drawn in proportion to their length; shorter ones are padded with silence.
        """
        lengths = torch.tensor([len(s) for s in self.samples], dtype=torch.float64)
        picks = torch.multinomial(lengths, n, replacement=True, generator=generator)
        return torch.stack([self._crop(int(i), n_frames * FRAME_SAMPLES, generator) for i in picks])

    def whole(self, index: int) -> Tensor:
        """Return a recording [T] at the common level, T a multiple of 320."""
        samples = torch.from_numpy(self.samples[index].astype(np.float32)) / 32768.0

        # Silence fills the last frame.
        padding = -len(samples) % FRAME_SAMPLES
        return torch.nn.functional.pad(samples * self.gains[index], (0, padding))

    def part(self, index: int, start: int, size: int) -> Tensor:
        """Return samples [size] of a recording at the common level, silence beyond its end."""
        samples = self.samples[index][start : start + size].astype(np.float32) / 32768.0
        part = torch.from_numpy(samples * np.float32(self.gains[index]))

        # [size or less] -> [size]
        return torch.nn.functional.pad(part, (0, size - len(part)))

    def _crop(self, index: int, size: int, generator: torch.Generator) -> Tensor:
        """Return a random crop [size] of a recording, sometimes in a room and with noise."""
        whole = self.samples[index]
        start = int(torch.randint(max(len(whole) - size, 0) + 1, (1,), generator=generator))
        part = torch.from_numpy(whole[start : start + size].astype(np.float32)) / 32768.0

        # Levels vary around the common one, so that the networks do not rely on it.
        jitter = math.pow(10.0, JITTER_DB * float(torch.randn(1, generator=generator)) / 20.0)
        part = torch.nn.functional.pad(part, (0, size - len(part)))
        part = part * (self.gains[index] * jitter)

        # Noise comes last, so it has no reverberation.
        if _happens(ROOM_SHARE, generator):
            part = _reverberant(part, generator)
        if _happens(NOISE_SHARE, generator):
            part = part + _decibels(NOISE_DB, generator) * _room_noise(size, generator)
        return part


def _happens(share: float, generator: torch.Generator) -> bool:
    return float(torch.rand(1, generator=generator)) < share


def _between(low_high: tuple[float, float], generator: torch.Generator) -> float:
    low, high = low_high
    return low + (high - low) * float(torch.rand(1, generator=generator))


def _decibels(low_high: tuple[float, float], generator: torch.Generator) -> float:
    """Return a factor on samples, drawn evenly in decibels."""
    return math.pow(10.0, _between(low_high, generator) / 20.0)


def _room_noise(size: int, generator: torch.Generator) -> Tensor:
    """Return noise [size] of an RMS of 1 that falls by up to 6 dB an octave above 60 Hz."""
    # (f / 60)² to the power −slope falls by 12 · slope decibels per octave.
    hertz = torch.fft.rfftfreq(size, 1.0 / CODED_RATE_HZ)
    slope = _between((0.0, 0.5), generator)
    shape = (1.0 + (hertz / 60.0).square()).pow(-slope)

    # [size] -> [size // 2 + 1] -> [size]
    white = torch.fft.rfft(torch.randn(size, generator=generator))
    noise = torch.fft.irfft(white * shape, size)
    normal: Tensor = noise / noise.square().mean().sqrt()
    return normal


def _reverberant(part: Tensor, generator: torch.Generator) -> Tensor:
    """Add exponentially decaying reverberation to samples [T]."""
    # Noise that decays along a straight line in decibels, to −60 at its end, models a diffuse room.
    decay_s = _between(DECAY_S, generator)
    tail = torch.randn(int(decay_s * CODED_RATE_HZ), generator=generator)
    tail *= torch.pow(10.0, torch.arange(len(tail)) * (-3.0 / len(tail)))
    tail *= _decibels(ROOM_DB, generator) / tail.square().sum().sqrt()
    tail[0] = 1.0  # the voice itself

    # The transforms are long enough that nothing wraps around: [T] -> [n] -> [T].
    n = len(part) + len(tail)
    heard: Tensor = torch.fft.irfft(torch.fft.rfft(part, n) * torch.fft.rfft(tail, n), n)
    return heard[: len(part)]


def _load(path: Path) -> NDArray[np.int16]:
    try:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(f"{path}: not a recording: {error}") from None
    if rate != CODED_RATE_HZ:
        raise InputError(f"{path}: {rate} Hz, training needs {CODED_RATE_HZ} Hz")
    mono: NDArray[np.int16] = samples[:, 0]
    return mono
