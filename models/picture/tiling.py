"""Grids of pictures of any size, and strips that are drawn side by side.

Pictures are padded to whole cells of the coarsest grid by repeating their last row and column.
Strips include as many rows of their neighbours as their pixels depend on, so the result equals that
for the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from luxvox.models.picture.conditions import (
    LEVELS,
    PAD_MULTIPLE,
    STRIDES,
)

Size = tuple[int, int]


@dataclass(frozen=True)
class Strip:
    """Rows of a padded picture, in pixels: computed `low` to `high`, kept `first` to `last`."""

    low: int
    first: int
    last: int
    high: int

    def rows(self, stride: int) -> slice:
        """Return the computed rows on a grid."""
        return slice(self.low // stride, self.high // stride)


def padded_size(height: int, width: int) -> Size:
    """Return the size in pixels after padding to whole cells of the coarsest grid."""
    return -(-height // PAD_MULTIPLE) * PAD_MULTIPLE, -(-width // PAD_MULTIPLE) * PAD_MULTIPLE


def grid_shapes(height: int, width: int) -> dict[str, Size]:
    """Return the grid (height, width) of each level for a picture's size in pixels."""
    rows, columns = padded_size(height, width)
    return {level: (rows // STRIDES[level], columns // STRIDES[level]) for level in LEVELS}


def strips(
    height: int, width: int, reach: int, alignment: int, strip_pixels: int
) -> Iterator[Strip]:
    """Cut a padded picture into strips.

    Args:
        height, width: of the picture in pixels.
        reach: how far a pixel depends on others, in pixels.
        alignment: stride of the finest grid that is not cut, of which strips have whole rows.
        strip_pixels: at most this many in a strip, unless it has a single row of cells.
    """
    halo = -(-reach // alignment) * alignment
    size = max(strip_pixels // width // PAD_MULTIPLE, 1) * PAD_MULTIPLE
    for first in range(0, height, size):
        last = min(first + size, height)
        yield Strip(max(first - halo, 0), first, last, min(last + halo, height))
