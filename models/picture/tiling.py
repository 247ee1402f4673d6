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

    The local factors on steps are not applied: they follow from codes (`Placement`).

    Args:
        model: on the device the work is to be done on.
        pixels: uint8 [H, W, 3].
        setting: step and tuning.
        progress: called with the share of the work done.
    """
    size = padded_size(*pixels.shape[:2])
    at = model.conditions_at(setting)
    details, features = [], []
    reach = fine_reach(model.config.analysis_blocks[FINEST])
    for strip in strips(*size, reach, STRIDES["base"]):
        units = padded_units(pixels, strip.rows(1), size, model.device)
        detail, feature = model.analysis.fine(units, at)
        details.append(detail[:, :, strip.inner(8)].cpu())
        features.append(feature[:, :, strip.inner(16)])
        progress(0.9 * strip.last / size[0])
    latents = {"detail": torch.cat(details, 2)}
    x = torch.cat(features, 2)
    for number in reversed(range(FINEST)):
        latents[LEVELS[number]], x = _analyse_level(model, number, x, at)
    progress(1.0)
    return {level: latents[level].div_(model.scale(level, at).cpu()) for level in LEVELS}


def _analyse_level(
    model: PictureModel, number: int, features: Tensor, at: Conditions
) -> tuple[Tensor, Tensor]:
    """Return what `Analysis.level` does, strip by strip; latents on the CPU."""
    parts, following = [], []
    height, width = features.shape[2:]
    for strip in _coarse_strips(height, width, model.config.analysis_blocks[number]):
        latents, coarser = model.analysis.level(number, features[:, :, strip.rows(1)], at)
        parts.append(latents[:, :, strip.inner(1)].cpu())
        following.append(coarser[:, :, strip.inner(2 if number else 1)])
    return torch.cat(parts, 2), torch.cat(following, 2)


class Placement:
    """The factors on the steps of a picture, level by level as its codes become known.

    Args:
        model: on the device the work is to be done on.
        setting: step and tuning.
    """

    def __init__(self, model: PictureModel, setting: Setting) -> None:
        self._model = model
        self._at = model.conditions_at(setting)
        self._features: Tensor | None = None

    @torch.inference_mode()
    def factors(self, number: int) -> Tensor:
        """Return the factors of a level, [1, channels, h, w] or a shape that broadcasts to it."""
        return torch.cat([factors for _, factors in self._factors(number)], 2)

    @torch.inference_mode()
    def place(self, number: int, latents: Tensor) -> Tensor:
        """Return the latents [1, channels, h, w] of a level in the steps of their places."""
        placed = torch.empty_like(latents)
        for rows, factors in self._factors(number):
            torch.div(latents[:, :, rows], factors, out=placed[:, :, rows])
        return placed

    def _factors(self, number: int) -> Iterator[tuple[slice, Tensor]]:
        """Yield rows of a level and the factors there, or those that all of them share."""
        synthesis, features = self._model.synthesis, self._features
        if features is None:
            yield slice(None), synthesis.step_factors(number, None, self._at).cpu()
            return

        # Energies of features are averaged over their neighbours: one row to each side.
        for strip in _coarse_strips(features.shape[2], features.shape[3], reach=1):
            part = synthesis.step_factors(number, features[:, :, strip.rows(1)], self._at)
            inner = strip.inner(1)
            kept = part[:, :, 2 * inner.start : 2 * inner.stop].cpu()
            yield slice(2 * strip.first, 2 * strip.last), kept

    @torch.inference_mode()
    def know(self, number: int, codes: Tensor) -> None:
        """Add the codes [1, channels, h, w] of a level to what is known."""
        if number == FINEST:
            return
        codes = codes.to(self._model.device)
        if self._features is None:
            self._features = self._draw_features(number, None, codes)
            return

        # A block sees one row to each side; the factors see one of the coarser grid, which is two.
        parts = []
        reach = self._model.config.synthesis_blocks[number] + 2
        for strip in _coarse_strips(codes.shape[2], codes.shape[3], reach):
            below = self._features[:, :, strip.rows(2)]
            part = self._draw_features(number, below, codes[:, :, strip.rows(1)])
            parts.append(part[:, :, strip.inner(1)])
        self._features = torch.cat(parts, 2)

    def _draw_features(self, number: int, features: Tensor | None, codes: Tensor) -> Tensor:
        """Return the features of a level from those of the coarser one and its own codes."""
        source = self._model.source({LEVELS[number]: codes}, self._at)
        return self._model.synthesis.level(number, features, source, self._at)


def _coarse_strips(height: int, width: int, reach: int) -> Iterator[Strip]:
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
