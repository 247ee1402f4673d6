"""Features of a picture in chunks of rows, each with the rows next to it that a kernel looks at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """A chunk of features, and the row above and below it where there is one.

    Attributes:
        rows: [1, width, h, w] with these rows.
        own: the chunk alone, where it is not all of them.
        has_above, has_below: whether the first and last row belong to the neighbours.
    """

    rows: Tensor
    own: Tensor | None = None
    has_above: bool = False
    has_below: bool = False

    @property
    def chunk(self) -> Tensor:
        """Return the chunk alone."""
        return self.rows if self.own is None else self.own

    def inner(self, features: Tensor, factor: int = 1) -> Tensor:
        """Return the part of the chunk, of what was made from all rows, `factor` rows of each."""
        end = features.shape[2] - factor * self.has_below
        return features[:, :, factor * self.has_above : end]


_CHUNK_PIXELS, _CHUNK_PIXELS_ON_GPU = 1 << 19, 1 << 24


def rows_at_once(width: int, stride: int, device: torch.device) -> int:
    """Return how many rows of a grid make a chunk.

    Args:
        width: of the picture in pixels.
        stride: of the grid.
        device: that the networks run on.
    """
    n_pixels = _CHUNK_PIXELS if device.type == "cpu" else _CHUNK_PIXELS_ON_GPU
    return max(n_pixels // (width * stride), 1)


def windows(chunks: Iterator[Tensor], kind: torch.dtype = torch.float32) -> Iterator[Window]:
    """Yield the window of each chunk [1, width, rows, w], from top to bottom.

    A chunk may be changed in place once its window has been yielded.

    Args:
        chunks: in channels-last order.
        kind: number type of the rows of windows.
    """
    above: Tensor | None = None
    chunk = next(chunks, None)
    while chunk is not None:
        following = next(chunks, None)
        below = None if following is None else following[:, :, :1]
        rows = _join([part for part in (above, chunk, below) if part is not None], kind)
        before, above = above, chunk[:, :, -1:].clone()
        yield Window(rows, chunk, before is not None, below is not None)
        chunk = following


def _join(parts: list[Tensor], kind: torch.dtype) -> Tensor:
    """Concatenate rows as another number type, without a copy of all of them in between."""
    if len(parts) == 1:
        return parts[0].to(kind)
    n, width, _, columns = parts[0].shape
    size = n, width, sum(part.shape[2] for part in parts), columns
    joined = torch.empty(
        size, dtype=kind, device=parts[0].device, memory_format=torch.channels_last
    )
    row = 0
    for part in parts:
        joined[:, :, row : row + part.shape[2]] = part
        row += part.shape[2]
    return joined
