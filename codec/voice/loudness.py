"""The level of a recording, measured block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luxvox.models.voice.loudness import FRAME, frame_powers, level_of


@dataclass(frozen=True)
class Level:
    """What `measure` finds.

    Attributes:
        mean: of each channel [C], the offset that is taken off before coding.
        active: RMS of all channels together where there is sound, in units of the reference.
    """

    mean: NDArray[np.float32]
    active: float


_GAIN_ZERO = 128
_GAIN_STEPS = 40.0  # a decade of amplitude


def measure(blocks: Iterable[NDArray[np.float32]]) -> Level:
    """Measure blocks float32 [n, C], one after the other.

    The power of a frame is taken about the mean of the whole recording.
    """
    sums = np.zeros(0)
    squares: list[NDArray[np.float64]] = []
    means: list[NDArray[np.float64]] = []
    held: NDArray[np.float32] | None = None
    n_samples = 0
    for block in blocks:
        n_samples += len(block)
        sums = block.sum(axis=0, dtype=np.float64) + (sums if len(sums) else 0.0)
        joined = block if held is None else np.concatenate([held, block])
        whole = len(joined) // FRAME * FRAME
        held = joined[whole:]
        squares.append(sum_of_powers(joined[:whole]))
        means.append(
            joined[:whole].reshape(-1, FRAME, block.shape[1]).mean(axis=1, dtype=np.float64)
        )
    if held is not None and len(held):
        squares.append(np.array([float(np.square(held, dtype=np.float64).sum(axis=1).mean())]))
        means.append(held.mean(axis=0, dtype=np.float64)[None])
    mean = sums / max(n_samples, 1)
    about_zero = np.concatenate(squares)
    shift = (np.concatenate(means) * (2.0 * mean)).sum(axis=1) - np.square(mean).sum()
    return Level(mean.astype(np.float32), level_of(np.maximum(about_zero - shift, 0.0)))


def sum_of_powers(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the power of each frame of [n, C], all channels added up."""
    total: NDArray[np.float64] = sum(
        (frame_powers(samples[:, channel]) for channel in range(samples.shape[1])),
        start=np.zeros(len(samples) // FRAME),
    )
    return total


def gain_of(level: Level) -> int:
    """Return the gain of the header, 0 … 255, that brings a recording to the common level."""
    exponent = -_GAIN_STEPS * math.log10(level.active)
    return min(max(_GAIN_ZERO + math.floor(exponent + 0.5), 0), 255)


def amplitude_of(gain: int) -> float:
    """Return what a gain of the header multiplies samples by."""
    return float(10.0 ** ((gain - _GAIN_ZERO) / _GAIN_STEPS))
