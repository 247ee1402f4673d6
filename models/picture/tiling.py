"""Running the picture networks on pictures of any size: fine grids in strips, coarse ones whole.

Pictures are padded to whole cells of the coarsest grid by repeating their last row and column.
Strips include as many rows of their neighbours as their pixels depend on, so the result equals that
for the whole picture, to the last bit of a float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.conditions import (
    FINEST,
    LEVELS,
    PAD_MULTIPLE,
    PIXELS_PER_UNIT,
    STRIDES,
    Conditions,
    Setting,
)
from luxvox.models.picture.networks import PictureModel
from luxvox.progress import Progress

STRIP_PIXELS = 1 << 20
_STRIP_POSITIONS = 1 << 14  # of coarse grids

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

    def kept(self, stride: int) -> slice:
        """Return the kept rows on a grid."""
        return slice(self.first // stride, self.last // stride)

    def inner(self, stride: int) -> slice:
        """Return where the kept rows are among the computed ones, on a grid."""
        return slice((self.first - self.low) // stride, (self.last - self.low) // stride)


def padded_size(height: int, width: int) -> Size:
    """Return the size in pixels after padding to whole cells of the coarsest grid."""
    return -(-height // PAD_MULTIPLE) * PAD_MULTIPLE, -(-width // PAD_MULTIPLE) * PAD_MULTIPLE


def grid_shapes(height: int, width: int) -> dict[str, Size]:
    """Return the grid (height, width) of each level for a picture's size in pixels."""
    rows, columns = padded_size(height, width)
    return {level: (rows // STRIDES[level], columns // STRIDES[level]) for level in LEVELS}


def strips(
    height: int, width: int, reach: int, alignment: int, strip_pixels: int = STRIP_PIXELS
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


def fine_reach(n_blocks: int) -> int:
    """Return how far latents depend on pixels through the finest blocks, in pixels."""
    return STRIDES["detail"] * (n_blocks + 2)


def padded_units(
    pixels: NDArray[np.uint8], rows: slice, size: Size, device: torch.device
) -> Tensor:
    """Return rows of a padded picture [1, 3, rows, W] in units.

    Args:
        pixels: uint8 [H, W, 3].
        rows: of the padded picture; they may lie below the last row of the picture itself.
        size: height and width after padding.
        device: where to put them.
    """
    height, width = pixels.shape[:2]
    index = np.minimum(np.arange(rows.start, rows.stop), height - 1)
    part = torch.from_numpy(pixels[index]).to(device)
    units = (part.permute(2, 0, 1)[None].float() - 128.0) / PIXELS_PER_UNIT
    return F.pad(units, (0, size[1] - width, 0, 0), mode="replicate")


@torch.inference_mode()
def analyse(
    model: PictureModel, pixels: NDArray[np.uint8], setting: Setting, progress: Progress
) -> dict[str, Tensor]:
    """Return the latents of a picture in steps, [1, channels, h, w] by level, on the CPU.

    The local factors on steps are not applied: they follow from codes (`Placement`). Those of
    `detail`, which are three quarters of all, are float16: large pictures have no room for more.

    Args:
        model: on the device the work is to be done on.
        pixels: uint8 [H, W, 3].
        setting: step and tuning.
        progress: called with the share of the work done.
    """
    size = padded_size(*pixels.shape[:2])
    at = model.conditions_at(setting)
    latents = {
        level: torch.empty(
            (1, model.config.n_channels(level), *shape),
            dtype=torch.float16 if level == LEVELS[FINEST] else torch.float32,
            memory_format=torch.channels_last,
        )
        for level, shape in grid_shapes(*size).items()
    }

    def rows_of_features() -> Iterator[Tensor]:
        reach = fine_reach(model.config.analysis_blocks[FINEST])
        for strip in strips(*size, reach, STRIDES["base"]):
            units = padded_units(pixels, strip.rows(1), size, model.device)
            detail, features = model.analysis.fine(units, at)
            kept = detail[:, :, strip.inner(8)]
            latents["detail"][:, :, strip.kept(8)] = kept / model.scale("detail", at)
            progress(strip.last / size[0])
            yield features[:, :, strip.inner(16)]

    # Each level asks the finer one for the features that its next strip depends on, so that those
    # of a whole picture are never there at once.
    rows = rows_of_features()
    for number in reversed(range(FINEST)):
        rows = _analyse_level(model, number, rows, at, latents[LEVELS[number]])
    for _ in rows:
        pass
    return latents


def _analyse_level(
    model: PictureModel, number: int, features: Iterator[Tensor], at: Conditions, out: Tensor
) -> Iterator[Tensor]:
    """Do what `Analysis.level` does, strip by strip.

    Args:
        model: on the device the work is to be done on.
        number: of the level.
        features: of the level, [1, width, rows, W], from top to bottom.
        at: step and tuning.
        out: gets the latents in steps, [1, channels, H, W].

    Yields:
        The features of the next coarser level, [1, next width, rows, W / 2].
    """
    height, width = out.shape[2:]
    scale = model.scale(LEVELS[number], at)
    held, low = next(features), 0
    for strip in coarse_strips(height, width, model.config.analysis_blocks[number]):
        while low + held.shape[2] < strip.high:
            held = torch.cat([held, next(features)], 2)
        held, low = held[:, :, strip.low - low :], strip.low
        latents, coarser = model.analysis.level(number, held[:, :, : strip.high - low], at)
        out[:, :, strip.kept(1)] = latents[:, :, strip.inner(1)] / scale
        yield coarser[:, :, strip.inner(2 if number else 1)]


def coarse_strips(height: int, width: int, reach: int) -> Iterator[Strip]:
    """Cut the grid of a coarse level into strips, so that large pictures take little memory.

    Args:
        height, width: of the grid.
        reach: how many rows to each side a row depends on.

    Yields:
        Strips in rows of the grid, which begin at even ones.
    """
    halo = 2 * -(-reach // 2)
    size = max(2 * (_STRIP_POSITIONS // (2 * width)), 2)
    for first in range(0, height, size):
        last = min(first + size, height)
        yield Strip(max(first - halo, 0), first, last, min(last + halo, height))
