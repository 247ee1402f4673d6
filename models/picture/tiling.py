"""Running the picture networks on pictures of any size: fine grids in strips, coarse ones whole.

Pictures are padded by repeating their last row and column to whole cells of the coarsest grid.
Strips carry as many rows of their neighbours as their pixels depend on, so the result equals that
of the whole picture but for the last bit of a float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.networks import (
    FINEST,
    LEVELS,
    PAD_MULTIPLE,
    PIXELS_PER_UNIT,
    STRIDES,
    PictureModel,
)

STRIP_PIXELS = 1 << 20
_ALIGNMENT = 16  # rows of pixels; the finest grid that is not cut into strips

Advance = Callable[[float], None]
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
    height: int, width: int, reach: int, strip_pixels: int = STRIP_PIXELS
) -> Iterator[Strip]:
    """Cut a padded picture into strips; `reach` is what a pixel depends on, in pixels."""
    halo = -(-reach // _ALIGNMENT) * _ALIGNMENT
    size = max(strip_pixels // width // PAD_MULTIPLE, 1) * PAD_MULTIPLE
    for first in range(0, height, size):
        last = min(first + size, height)
        yield Strip(max(first - halo, 0), first, last, min(last + halo, height))


def fine_reach(n_blocks: int) -> int:
    """Return how far a pixel depends on others through the finest blocks, in pixels."""
    return STRIDES["detail"] * (n_blocks + 2)


def padded_units(
    pixels: NDArray[np.uint8], rows: slice, size: Size, device: torch.device
) -> Tensor:
    """Return rows of a padded picture [1, 3, rows, W] in units.

    Args:
        pixels: uint8 [H, W, 3].
        rows: of the padded picture, which may lie below the last of the picture itself.
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
    model: PictureModel, pixels: NDArray[np.uint8], step: float, advance: Advance
) -> dict[str, Tensor]:
    """Return the latents in steps of a picture, [1, channels, h, w] by level, on the CPU.

    Args:
        model: on the device the work is to be done on.
        pixels: uint8 [H, W, 3].
        step: quantiser step in 8-bit levels.
        advance: called with the share of the work done.
    """
    size = padded_size(*pixels.shape[:2])
    position, gain = model.conditions(torch.tensor([step], device=model.device))
    details, features = [], []
    for strip in strips(*size, fine_reach(model.config.analysis_blocks[FINEST])):
        units = padded_units(pixels, strip.rows(1), size, model.device)
        detail, feature = model.analysis.fine(units, position, gain)
        details.append(detail[:, :, strip.inner(8)].cpu())
        features.append(feature[:, :, strip.inner(16)])
        advance(0.9 * strip.last / size[0])
    latents = model.analysis.coarse(torch.cat(features, 2), position, gain)
    latents["detail"] = torch.cat(details, 2)
    advance(1.0)
    return {
        level: y.cpu() / model.scale(level, position, gain).cpu() for level, y in latents.items()
    }


@torch.inference_mode()
def synthesise(
    model: PictureModel,
    quantised: Mapping[str, Tensor],
    step: float,
    size: Size,
    advance: Advance,
) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of a picture from top to bottom: float32 [rows, W, 3] in 8-bit levels.

    Args:
        model: on the device the work is to be done on.
        quantised: codes in steps, [1, channels, h, w] of any number type, by level.
        step: quantiser step in 8-bit levels.
        size: height and width of the picture.
        advance: called with the share of the work done.
    """
    height, width = size
    rows, columns = padded_size(height, width)
    position, gain = model.conditions(torch.tensor([step], device=model.device))
    scales = {level: model.scale(level, position, gain) for level in LEVELS}
    coarse = {level: quantised[level].to(model.device) * scales[level] for level in LEVELS[:FINEST]}
    features = model.synthesis.coarse(coarse, position, gain)
    for strip in strips(rows, columns, fine_reach(model.config.synthesis_blocks[FINEST])):
        detail = quantised["detail"][:, :, strip.rows(8)].to(model.device) * scales["detail"]
        units = model.synthesis.fine(features[:, :, strip.rows(16)], detail, position, gain)
        units = units[0, :, strip.inner(1), :width].permute(1, 2, 0).cpu()
        # Codes that no picture gives may overflow the network: grey, rather than undefined bytes.
        units = torch.nan_to_num(units, nan=0.0)
        levels: NDArray[np.float32] = (units * PIXELS_PER_UNIT + 128.0).numpy()
        yield levels[: height - strip.first]
        advance(strip.last / rows)
