"""The level of a recording, measured block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.voice.stereo import (
    LEFT_AND_RIGHT,
    MID_AND_SIDE,
    stereo_mode,
    to_coded,
    views_of,
)
from luxvox.models.voice.loudness import frame_powers, rms_of_active
from luxvox.timeline import FRAME_SAMPLES, SEGMENT_FRAMES


@dataclass(frozen=True)
class Level:
    """The result of `measure`.

    Attributes:
        mean: of each coded channel [C], the offset that is removed before coding.
        active: RMS of all coded channels together, without pauses, in units of the reference.
        stereo_mode: how two channels are coded, see `stereo.py`; 0 for one.
        powers: of each frame [F], all coded channels together.
    """

    mean: NDArray[np.float32]
    active: float
    stereo_mode: int
    powers: NDArray[np.float64]


_GAIN_ZERO = 128
_GAIN_STEPS = 40.0  # a decade of amplitude
_MAX_GAIN = 255
_ROOM = 4  # 2 dB for raising the gain after coding
_MAX_MEASURED = 2  # segments: half a minute is enough to measure the level
_LOUD_SHARE = 0.25  # of the energy of the loudest segment; pauses would mislead


def measure(blocks: Iterable[NDArray[np.float32]]) -> Level:
    """Measure blocks float32 [n, C], one after the other.

    The power of a frame is taken relative to the mean of the whole recording.
    """
    sums = np.zeros(0)
    squares: list[NDArray[np.float64]] = []
    means: list[NDArray[np.float64]] = []
    held: NDArray[np.float32] | None = None
    n_samples = 0
    for block in map(_views, blocks):
        n_samples += len(block)
        sums = block.sum(axis=0, dtype=np.float64) + (sums if len(sums) else 0.0)
        joined = block if held is None else np.concatenate([held, block])
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        held = joined[whole:]
        squares.append(np.stack([frame_powers(view) for view in joined[:whole].T], axis=1))
        means.append(
            joined[:whole].reshape(-1, FRAME_SAMPLES, block.shape[1]).mean(axis=1, dtype=np.float64)
        )
    if held is not None and len(held):
        squares.append(np.square(held, dtype=np.float64).mean(axis=0)[None])
        means.append(held.mean(axis=0, dtype=np.float64)[None])

    mean = sums / max(n_samples, 1)
    shift = np.concatenate(means) * (2.0 * mean) - np.square(mean)
    powers = np.maximum(np.concatenate(squares) - shift, 0.0)  # [F, views]
    return _level(mean.astype(np.float32), powers)


def _views(block: NDArray[np.float32]) -> NDArray[np.float32]:
    return views_of(block) if block.shape[1] == 2 else block


def _level(mean: NDArray[np.float32], powers: NDArray[np.float64]) -> Level:
    """Return the level of one channel, or of left and right, mid and side."""
    if powers.shape[1] == 1:
        return Level(mean, rms_of_active(powers[:, 0]), MID_AND_SIDE, powers[:, 0])
    mode = stereo_mode(powers, mean)
    share = 1.0 if mode == LEFT_AND_RIGHT else 0.5  # mid and side are halves of sums
    total = share * (powers[:, 0] + powers[:, 1])
    return Level(to_coded(mean[None, :2], mode)[0], rms_of_active(total), mode, total)


def measured_segments(level: Level) -> tuple[int, ...]:
    """Return the segments whose level is compared after coding: loud ones, spread evenly."""
    n_segments = -(-len(level.powers) // SEGMENT_FRAMES)
    energies = [energy_of_segment(level, segment) for segment in range(n_segments)]
    floor = _LOUD_SHARE * max(energies)
    loud = [segment for segment, energy in enumerate(energies) if energy >= floor]
    n_chosen = min(len(loud), _MAX_MEASURED)
    return tuple(loud[(2 * n + 1) * len(loud) // (2 * n_chosen)] for n in range(n_chosen))


def energy_of_segment(level: Level, segment: int) -> float:
    """Return the energy of a segment of the recording, all channels together."""
    frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES - 1)
    return float(level.powers[frames].sum()) * FRAME_SAMPLES


def gain_of(level: Level) -> int:
    """Return the gain in the header that brings a recording to the common level.

    It leaves room for a correction, so very faint recordings stay below that level.
    """
    exponent = -_GAIN_STEPS * math.log10(level.active)
    return min(max(_GAIN_ZERO + math.floor(exponent + 0.5), 0), _MAX_GAIN - _ROOM)


def gain_between(coded: float, recorded: float) -> int:
    """Return the gain that brings a recording from one power to another, which is not 0."""
    steps = _GAIN_STEPS / 2.0 * math.log10(coded / recorded)
    return min(max(_GAIN_ZERO + math.floor(steps + 0.5), 0), _MAX_GAIN)


def amplitude_of(gain: int) -> float:
    """Return the factor on samples of a gain in the header."""
    return float(10.0 ** ((gain - _GAIN_ZERO) / _GAIN_STEPS))
