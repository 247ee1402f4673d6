"""Two channels of a voice: as mid and side, or as left and right.

Mid and side cost less if both channels are nearly the same. But each has its own coding error, and
in left and right the errors add up: a voice on one side would leave a garbled copy on the other.
So channels that differ are coded separately. The difference is taken from the louder
channel, so that exchanged channels come back exchanged.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MID_AND_SIDE: Final = 0
SIDE_EXCHANGED: Final = 1
LEFT_AND_RIGHT: Final = 2

_FLOOR_DB: Final = (
    -30.0
)  # below the mean power of loud frames; anything quieter costs next to nothing
_LOUD_DB: Final = -20.0  # of the loudest frames
_LOUD_SHARE: Final = 0.95
_APART_DB: Final = 10.0  # between the channels of a frame; beyond it the voice is on one side
_MAX_SHARE_APART: Final = 0.02  # of loud frames
_TINY: Final = 1e-20


def stereo_mode(powers: NDArray[np.float64], mean: NDArray[np.float32]) -> int:
    """Return how two channels are best coded.

    Args:
        powers: of left, right, mid and side in each frame [F, 4], as `views_of` gives them.
        mean: of each of them [4]; decides which channel comes first if both have the same power.
    """
    left, right, mid, side = powers.T  # [F] each
    total = left + right
    loudest = float(np.quantile(total, _LOUD_SHARE)) if len(total) else 0.0
    if loudest < _TINY:
        return LEFT_AND_RIGHT
    loud = total >= loudest * 10.0 ** (_LOUD_DB / 10.0)
    floor = float(total[loud].mean()) * 10.0 ** (_FLOOR_DB / 10.0)
    gap_db = 10.0 * np.abs(np.log10((left[loud] + floor) / (right[loud] + floor)))
    is_apart = float((gap_db > _APART_DB).mean()) > _MAX_SHARE_APART
    if is_apart or _cost(left, right, floor) <= _cost(mid, side, floor):
        return LEFT_AND_RIGHT
    right_first = (right.sum(), mean[1]) > (left.sum(), mean[0])
    return SIDE_EXCHANGED if right_first else MID_AND_SIDE


def views_of(samples: Samples) -> Samples:
    """Return left, right, mid and side, scaled to the same total power: [n, 2] -> [n, 4]."""
    left, right = samples.T
    half = np.float32(np.sqrt(0.5))
    return np.stack([left, right, (left + right) * half, (left - right) * half], axis=1)


def to_coded(samples: Samples, mode: int) -> Samples:
    """Turn left and right into the channels that are coded, [n, 2]."""
    if mode == LEFT_AND_RIGHT:
        return samples
    left, right = samples.T
    minuend, subtrahend = (right, left) if mode == SIDE_EXCHANGED else (left, right)
    half = np.float32(0.5)
    return np.stack([(left + right) * half, (minuend - subtrahend) * half], axis=1)


def from_coded(first: Samples, second: Samples, mode: int) -> Samples:
    """Turn the channels that are coded [n] into left and right, [n, 2]."""
    if mode == LEFT_AND_RIGHT:
        return np.stack([first, second], axis=1)
    pair = [first + second, first - second]
    return np.stack(pair[::-1] if mode == SIDE_EXCHANGED else pair, axis=1)


def _cost(first: NDArray[np.float64], second: NDArray[np.float64], floor: float) -> float:
    """Return the approximate bits of a pair of channels at equal error, up to a constant."""
    return float(np.log2((first + floor) * (second + floor)).sum())
