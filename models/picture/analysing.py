"""Latents of pictures of any size: the analysis network folded for one step, a few rows at a time.

Chunks of rows go through all layers of all levels, one after the other, so nothing as large as the
picture is ever in memory except its latents. Each block holds on to the rows next to a chunk that
its kernel looks at, so the result equals that for the whole picture.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    Conditions,
    Setting,
)
from luxvox.models.picture.folded_block import FoldedBlock
from luxvox.models.picture.networks import PictureModel, blocks_of
from luxvox.models.picture.tiling import Size, grid_shapes, padded_size
from luxvox.models.picture.transform import BLOCK
from luxvox.models.picture.windows import rows_at_once
from luxvox.progress import Progress

_BEYOND = BLOCK // 2  # rows and columns on each side that a block beyond the border covers


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

    # Each level hands its features down to the next coarser one.
    chunks = _front(model, pixels, size)
    for number in reversed(range(len(LEVELS))):
        chunks = _level(model, number, chunks, at, latents[LEVELS[number]])
    n_rows = 0
    for coarsest in chunks:
        n_rows += coarsest.shape[2]
        progress(n_rows * PAD_MULTIPLE / size[0])
    return latents


def _front(model: PictureModel, pixels: NDArray[np.uint8], size: Size) -> Iterator[Tensor]:
    """Yield the features of the finest grid before its blocks, whole rows of cells at a time."""
    n_rows = PAD_MULTIPLE * rows_at_once(size[1], PAD_MULTIPLE, model.device)
    for first in range(0, size[0], n_rows):
        rows = range(first - _BEYOND, min(first + n_rows, size[0]) + _BEYOND)
        units = mirrored_units(pixels, rows, size, model.device)
        blocks = F.pixel_unshuffle(units, BLOCK).contiguous(memory_format=torch.channels_last)
        yield model.analysis.front(blocks)


def _level(
    model: PictureModel, number: int, chunks: Iterator[Tensor], at: Conditions, out: Tensor
) -> Iterator[Tensor]:
    """Do what `Analysis.level` does, chunk by chunk.

    Args:
        model: on the device the work is to be done on.
        number: of the level.
        chunks: features of the level, [1, width, rows, w], from top to bottom.
        at: step and tuning.
        out: gets the latents in steps, [1, channels, h, w].

    Yields:
        The features of the next coarser level, [1, next width, rows / 2, w / 2]; of the coarsest
        one its own.
    """
    for block in blocks_of(model.analysis, number):
        chunks = FoldedBlock(block, at).add_to_chunks(chunks)
    scale = model.scale(LEVELS[number], at)
    row = 0
    for chunk in chunks:
        last = row + chunk.shape[2]
        out[:, :, row:last] = model.analysis.to_latents[number](chunk) / scale
        row = last
        yield model.analysis.down[number - 1](chunk) if number else chunk


def mirrored_units(
    pixels: NDArray[np.uint8], rows: range, size: Size, device: torch.device
) -> Tensor:
    """Return rows of a picture [1, 3, rows, W + 8] in units, padded and mirrored at its borders.

    Args:
        pixels: uint8 [H, W, 3].
        rows: of the padded picture; those up to 4 beyond its borders are mirrored.
        size: height and width after padding, which repeats the last row and column.
        device: where to put them.
    """
    columns = range(-_BEYOND, size[1] + _BEYOND)
    upright, across = (
        np.minimum(_mirror(np.asarray(wanted), n), n_own - 1)
        for wanted, n, n_own in zip((rows, columns), size, pixels.shape[:2], strict=True)
    )
    part = torch.from_numpy(pixels[upright][:, across]).to(device)
    return (part.permute(2, 0, 1)[None].float() - 128.0) / PIXELS_PER_UNIT


def _mirror(index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return indices of 0 … n − 1 for those up to n beyond either end."""
    inside: NDArray[np.int64] = np.where(index < 0, -1 - index, index)
    return np.where(inside >= n, 2 * n - 1 - inside, inside)
