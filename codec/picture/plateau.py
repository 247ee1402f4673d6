"""Pictures that more bits make no better.

The networks do not reach flat colours exactly, least of all saturated ones. From some quality on,
finer steps make such a picture larger and, if anything, worse. The same is true of the few pixels
of a tiny picture. And a single code where there is nothing to see can cost a hundred times its own
bits, for what is finer is predicted from it. For these, lower qualities are tried, too, and the
file is kept that costs least in error and bits.
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
_MAX_PIXELS: Final = 4_000_000  # of all tries together, except for the nearest two qualities
_SMALL: Final = 1 << 14  # pixels, up to which all of a finer grid is tried
_FINE_GRID: Final = tuple(map(Quality, (100, *range(500, 10_001, 500))))
_TINY: Final = 1 << 9  # pixels, up to which no content is ordinary
# Levels between a sample and the line through its neighbours, on average. Of 60 photographs the
# smoothest has 0.8, half have more than 7.
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
    """Return whether many pixels of [H, W, 1 or 3] have a colour at the edge of what there is."""
    rows = pixels[:: _every(pixels)]
    extreme = (rows.min(axis=2) < _LOW) & (rows.max(axis=2) > _HIGH)
    return float(extreme.mean()) >= _MIN_SHARE


def _every(pixels: NDArray[np.uint8]) -> int:
    """Return n, where every n-th row or column of a large picture tells enough of it."""
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
        cost: what is to be small: errors, with bits at what they are worth.
    """
    header = coded.header
    n_pixels = header.width * header.height
    best, min_cost, n_failed = coded, cost(coded), 0
    for quality in lower_qualities(header.quality, n_pixels):
        tried = code(quality)
        if len(tried.data) <= len(coded.data) and (found := cost(tried)) < min_cost:
            best, min_cost, n_failed = tried, found, 0
        elif (n_failed := n_failed + 1) == _MAX_FAILED and n_pixels > _SMALL:
            break
    return best


def lower_qualities(quality: Quality, n_pixels: int) -> list[Quality]:
    """Return which qualities are tried below one, the nearest first."""
    if n_pixels <= _SMALL:
        return [lower for lower in reversed(_FINE_GRID) if lower < quality]
    n_tries = max(2, _MAX_PIXELS // n_pixels)
    below = [lower for lower in _GRID if lower < quality]
    return below[: -n_tries - 1 : -1]


def fixed_qualities(pixels: NDArray[np.uint8]) -> tuple[Quality, ...]:
    """Return the qualities that files of few bytes are chosen from; none for most.

    Small pictures of hardly any content take few sizes, and their errors are chance. Only a choice
    among the same files for all sizes never gives a worse one for more bytes.
    """
    return _FINE_GRID if is_small(pixels) and is_smooth(pixels) else ()


def is_small(pixels: NDArray[np.uint8]) -> bool:
    """Return whether many tries of a picture [H, W, 1 or 3] take little time."""
    return int(np.prod(pixels.shape[:2])) <= _SMALL
