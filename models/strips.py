"""Whole pictures through the networks in overlapping strips, so that memory stays bounded.

A strip carries as many rows above and below as its inner rows depend on, so the result equals
that of the whole picture but for the last bit of a float.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.dct import PAD_MULTIPLE
from luxvox.models.image import LEVELS, PIXELS_PER_UNIT, STRIDES, PictureModel

STRIP_PIXELS = 1 << 20

Advance = Callable[[float], None]


class Rows(Protocol):
    """Gives rows of an array [1, channels, h, w], as slicing a tensor does."""

    def __getitem__(self, index: tuple[slice, slice, slice]) -> Tensor: ...


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


def padded_size(height: int, width: int) -> tuple[int, int]:
    """Return the size in pixels after padding to whole cells of the coarsest grid."""
    return -(-height // PAD_MULTIPLE) * PAD_MULTIPLE, -(-width // PAD_MULTIPLE) * PAD_MULTIPLE


def grid_shapes(height: int, width: int) -> dict[str, tuple[int, int]]:
    """Return the grid (height, width) of each level for a picture's size in pixels."""
    rows, columns = padded_size(height, width)
    return {level: (rows // STRIDES[level], columns // STRIDES[level]) for level in LEVELS}


def strips(
    height: int, width: int, reach: int, strip_pixels: int = STRIP_PIXELS
) -> Iterator[Strip]:
    """Cut a padded picture into strips; `reach` is what a pixel depends on, in pixels."""
    halo = -(-reach // PAD_MULTIPLE) * PAD_MULTIPLE
    size = max(strip_pixels // width // PAD_MULTIPLE, 1) * PAD_MULTIPLE
    for first in range(0, height, size):
        last = min(first + size, height)
        yield Strip(max(first - halo, 0), first, last, min(last + halo, height))


def _reach(blocks_8: int, blocks_16: int) -> int:
    return 8 * blocks_8 + 16 * blocks_16


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
    height, width = pixels.shape[:2]
    rows, columns = padded_size(height, width)
    config = model.config
    reach = _reach(config.analysis_blocks_8, config.analysis_blocks_16)
    device = model.order_16.device
    parts: dict[str, list[Tensor]] = {level: [] for level in LEVELS}
    for strip in strips(rows, columns, reach):
        part = torch.from_numpy(np.array(pixels[strip.low : strip.high]))
        units = (part.to(device).permute(2, 0, 1)[None].float() - 128.0) / PIXELS_PER_UNIT
        missing = (0, columns - width, 0, strip.high - strip.low - part.shape[0])
        units = F.pad(units, missing, mode="replicate")
        latents = model.latents(units, torch.tensor([step], device=device))
        for level, y in latents.items():
            parts[level].append(y[:, :, strip.inner(STRIDES[level])].cpu())
        advance(strip.last / rows)
    return {level: torch.cat(some, 2) for level, some in parts.items()}


@torch.inference_mode()
def synthesise(
    model: PictureModel,
    quantised: Mapping[str, Rows],
    step: float,
    size: tuple[int, int],
    advance: Advance,
) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of a picture from top to bottom: float32 [rows, W, 3] in 8-bit levels.

    Args:
        model: on the device the work is to be done on.
        quantised: sums of codewords in steps, [1, channels, h, w] by level; tensors, or whatever
            makes rows of them when they are asked for.
        step: quantiser step in 8-bit levels.
        size: height and width of the picture.
        advance: called with the share of the work done.
    """
    height, width = size
    rows, columns = padded_size(height, width)
    config = model.config
    reach = _reach(config.synthesis_blocks_8, config.synthesis_blocks_16 + 1)
    device = model.order_16.device
    for strip in strips(rows, columns, reach):
        parts = {
            level: y[:, :, strip.rows(STRIDES[level])].to(device) for level, y in quantised.items()
        }
        units = model.synthesise(parts, torch.tensor([step], device=device))
        units = units[0, :, strip.inner(1), :width].permute(1, 2, 0).cpu()
        # Codes that no picture gives may overflow the network: grey, rather than undefined bytes.
        units = torch.nan_to_num(units, nan=0.0)
        levels: NDArray[np.float32] = (units * PIXELS_PER_UNIT + 128.0).numpy()
        yield levels[: height - strip.first]
        advance(strip.last / rows)
