"""Pictures that more bits do not improve.

The networks do not reproduce flat colours exactly, least of all saturated ones. From some quality
on, finer steps make such a picture larger and, if anything, worse. The same is true of the few
pixels of a tiny picture. And a single code where there is nothing to see can cost a hundred times
its own bits, because finer levels are predicted from it. For these pictures, lower qualities are
tried, too, and the file that costs least in error and bits is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.picture.encoding import CodedPicture
from luxvox.codec.quality import Quality

_LOW, _HIGH = 8, 247  # a saturated colour has a channel below, and one above
_MIN_SHARE: Final = 0.1  # of the pixels
_GRID: Final = tuple(map(Quality, (100, 500, *range(1000, 9001, 1000), 9500)))
_MAX_FAILED: Final = 3  # qualities in a row that are no better
_MAX_PIXELS: Final = 4_000_000  # for all tries together, except the two nearest qualities
_SMALL: Final = 1 << 14  # pixels; up to here all of a finer grid is tried
_FINE_GRID: Final = tuple(map(Quality, (100, *range(500, 10_001, 500))))
_TINY: Final = 1 << 9  # pixels; up to here no content counts as ordinary
# Levels between a sample and the line through its neighbours, on average. The smoothest of 60
# photographs has 0.8, and half of them have more than 7.
_SMOOTH: Final = 0.6
_MAX_JUDGED: Final = 1 << 20  # pixels that are looked at


def has_plateau(pixels: NDArray[np.uint8]) -> bool:
    """Return whether finer steps may make a picture of [H, W, 1 or 3] worse."""
    is_tiny = pixels.shape[0] * pixels.shape[1] <= _TINY
    return is_tiny or is_saturated(pixels) or is_smooth(pixels)


def is_smooth(pixels: NDArray[np.uint8]) -> bool:
    """Return whether a picture is flat, or even ramps, nearly everywhere."""
    every = _every(pixels)
    bends = []
    for lines in (pixels[:, ::every], pixels[::every].swapaxes(0, 1)):
        if len(lines) >= 3:
            steps = np.diff(lines.astype(np.int16), 2, axis=0)
            bends.append(float(np.abs(steps, out=steps).mean()))
    return not bends or sum(bends) / len(bends) < _SMOOTH


def is_saturated(pixels: NDArray[np.uint8]) -> bool:
    """Return whether many pixels of [H, W, 1 or 3] have a colour at the edge of the gamut."""
    rows = pixels[:: _every(pixels)]
    extreme = (rows.min(axis=2) < _LOW) & (rows.max(axis=2) > _HIGH)
    return float(extreme.mean()) >= _MIN_SHARE


def _every(pixels: NDArray[np.uint8]) -> int:
    """Return n such that every n-th row or column of a large picture is enough to judge it by."""
    height, width = pixels.shape[:2]
    return int(-(-height * width // _MAX_JUDGED))


def best_up_to(
    coded: CodedPicture,
    code: Callable[[Quality], CodedPicture],
    cost: Callable[[CodedPicture], float],
) -> CodedPicture:
    """Return a picture coded at a lower quality if it is no larger and costs less.

    Args:
        coded: the picture at the quality that is asked for.
        code: gives the picture at another quality.
        cost: what to minimise: errors, plus bits at what they are worth.
    """
    header = coded.header
    n_pixels = header.width * header.height
    best, min_cost, n_failed = coded, cost(coded), 0
    for quality in lower_qualities(header.quality, n_pixels):
        lower = code(quality)
        if len(lower.data) <= len(coded.data) and (new_cost := cost(lower)) < min_cost:
            best, min_cost, n_failed = lower, new_cost, 0
        elif (n_failed := n_failed + 1) == _MAX_FAILED and n_pixels > _SMALL:
            break
    return best


def lower_qualities(quality: Quality, n_pixels: int) -> list[Quality]:
    """Return which qualities below one are tried, the nearest first."""
    if n_pixels <= _SMALL:
        return [lower for lower in reversed(_FINE_GRID) if lower < quality]
    n_tries = max(2, _MAX_PIXELS // n_pixels)
    below = [lower for lower in _GRID if lower < quality]
    return below[: -n_tries - 1 : -1]


def fixed_qualities(pixels: NDArray[np.uint8]) -> tuple[Quality, ...]:
    """Return the qualities that very small files are chosen from; for most pictures, none.

    Files of small pictures with hardly any content have few sizes, and their errors are chance.
    Only a choice from the same files for all sizes never gives a worse file for more bytes.
    """
    return _FINE_GRID if is_small(pixels) and is_smooth(pixels) else ()


def is_small(pixels: NDArray[np.uint8]) -> bool:
    """Return whether many tries on a picture [H, W, 1 or 3] take little time."""
    return int(np.prod(pixels.shape[:2])) <= _SMALL
