"""Pictures that more bits make no better.

The networks do not reach flat, saturated colours exactly. From some quality on, finer steps make
such a picture larger and, if anything, worse. For pictures with many of these colours lower
qualities are tried, too, and the best file that is no larger is kept.
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


def is_saturated(pixels: NDArray[np.uint8]) -> bool:
    """Return whether many pixels of [H, W, 1 or 3] have a colour at the edge of what there is."""
    extreme = (pixels.min(axis=2) < _LOW) & (pixels.max(axis=2) > _HIGH)
    return float(extreme.mean()) >= _MIN_SHARE


def best_up_to(
    coded: CodedPicture,
    code: Callable[[Quality], CodedPicture],
    error: Callable[[CodedPicture], float],
) -> CodedPicture:
    """Return a picture coded at a lower quality if it is no larger and has less of an error.

    Args:
        coded: the picture at the quality that is asked for.
        code: gives the picture at another quality.
        error: what is to be small.
    """
    header = coded.header
    n_tries = max(2, _MAX_PIXELS // (header.width * header.height))
    below = [quality for quality in _GRID if quality < header.quality]
    best, min_error, n_failed = coded, error(coded), 0
    for quality in reversed(below[-n_tries:]):
        tried = code(quality)
        if len(tried.data) <= len(coded.data) and (found := error(tried)) < min_error:
            best, min_error, n_failed = tried, found, 0
        elif (n_failed := n_failed + 1) == _MAX_FAILED:
            break
    return best
