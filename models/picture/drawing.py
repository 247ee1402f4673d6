"""Drawing pictures from codes: the synthesis network folded for one step, a few rows at a time.

`Synthesis` is what training differentiates. Here its modulation by the step is folded into the
weights, and the products in its blocks run in bfloat16 where the processor has units for that; the
features that blocks add to stay in float32. Pixels differ by less than a level.

A smaller picture comes from the same features. The last layer is linear, so its kernels are
averaged; blocks and codes of the finest grids are left out where they hardly matter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.picture.conditions import (
    FINEST,
    LEVELS,
    PAD_MULTIPLE,
    PIXELS_PER_UNIT,
    STRIDES,
    PictureConfig,
    Setting,
)
from luxvox.models.picture.folded_block import FoldedBlock
from luxvox.models.picture.networks import PictureModel, blocks_of
from luxvox.models.picture.square_means import SQUARE, SquareMeans
from luxvox.models.picture.tiling import Strip, strips
from luxvox.models.picture.transform import BLOCK
from luxvox.models.picture.windows import Window, rows_at_once, windows

FACTORS = (1, 2, 4, 8, 16)  # how many times smaller a picture can be drawn
STRIP_PIXELS = 1 << 23  # at most this many in a strip
MIN_STRIP_PIXELS = 1 << 20  # fewer are not worth what strips draw twice
_WHOLE = 2  # levels that are computed for the whole picture at once
_UNCUT = STRIDES[LEVELS[_WHOLE - 1]]  # stride of the finest of them
_LEVELS_WITH_BLOCKS = {1: 4, 2: 3, 4: 3, 8: 2, 16: 2}  # by the factor
_LEVELS_WITH_CODES = {1: 4, 2: 4, 4: 4, 8: 3, 16: 2}


def reach_of(config: PictureConfig) -> int:
    """Return how far a pixel depends on codes, in pixels."""
    blocks = zip(LEVELS, config.synthesis_blocks, strict=True)
    maps_of_steps = sum(STRIDES[level] for level in LEVELS[:FINEST])
    return STRIDES["detail"] + maps_of_steps + sum(STRIDES[level] * n for level, n in blocks)


class Drawing:
    """Draws the picture that codes stand for.

    Args:
        model: on the device to be used.
        quantised: codes in steps, [channels, h, w] of any number type, by level.
        setting: step and tuning.
        factor: how many times smaller to draw the picture, one of `FACTORS`.
    """

    def __init__(
        self,
        model: PictureModel,
        quantised: Mapping[str, NDArray[np.int16]],
        setting: Setting,
        factor: int = 1,
    ) -> None:
        self._network = FoldedSynthesis(model, setting, factor)
        self._quantised = {name: quantised[name] for name in LEVELS[: _LEVELS_WITH_CODES[factor]]}
        self._factor = factor
        # The mean of a square needs no features of the finest grid.
        self._levels = range(_WHOLE, FINEST if factor >= SQUARE else FINEST + 1)
        rows, columns = quantised["apex"].shape[1:]
        self._size = rows * STRIDES["apex"], columns * STRIDES["apex"]
        with torch.inference_mode():
            self._features = self._coarse()

    def strips(self, n_workers: int = 1) -> list[Strip]:
        """Return strips of the picture from top to bottom, at least one for each worker.

        Small pictures get fewer, because rows near the border of a strip are drawn twice.
        """
        last = STRIDES[LEVELS[self._levels[-1]]]  # the pixels of a position need its neighbours
        reach = last + sum(map(self._reach, self._levels))
        height, width = self._size
        n_strips = min(n_workers, height * width // MIN_STRIP_PIXELS)
        rows = height if n_strips < 2 else -(-height // n_strips // PAD_MULTIPLE) * PAD_MULTIPLE
        return list(strips(height, width, reach, _UNCUT, min(rows * width, STRIP_PIXELS)))

    @torch.inference_mode()
    def draw(self, strip: Strip) -> Iterator[NDArray[np.float32]]:
        """Yield the rows of a strip, float32 [rows, width / factor, 3] in 8-bit levels.

        Chunks of a few rows go through all layers, one after the other, so that little memory is
        needed.
        """
        n_rows = rows_at_once(self._size[1], _UNCUT, self._network.device)
        chunks: Iterator[Tensor] = iter(
            torch.split(self._features[:, :, strip.rows(_UNCUT)], n_rows, 2)
        )
        for number in self._levels:
            row = strip.low // STRIDES[LEVELS[number]]
            latents = functools.partial(self._latents, number)
            chunks = self._network.level_in_chunks(number, chunks, latents, row)
        row = strip.low // self._factor
        first, last = (n // self._factor for n in (strip.first, strip.last))
        for window in windows(chunks):
            units = self._network.pixels(window)[0]
            kept = slice(max(first - row, 0), max(last - row, 0))
            row += units.shape[1]
            units = units[:, kept].permute(1, 2, 0).cpu()
            # Codes that no picture produces may overflow the network: grey, rather than undefined
            # bytes.
            units = torch.nan_to_num(units, nan=0.0)
            levels: NDArray[np.float32] = (units * PIXELS_PER_UNIT + 128.0).numpy()
            if len(levels):
                yield levels

    def _reach(self, number: int) -> int:
        """Return how far the features of a level depend on others, in pixels.

        Factors on steps look one position further on the next coarser grid.
        """
        blocks = STRIDES[LEVELS[number]] * len(self._network.blocks[number])
        return blocks + STRIDES[LEVELS[number - 1]]

    def _coarse(self) -> Tensor:
        """Return the features of the levels that are computed at once."""
        x: Tensor | None = None
        for number in range(_WHOLE):
            x = self._network.level(number, self._latents(number, slice(None)), x)
        assert x is not None
        return x

    def _latents(self, number: int, rows: slice) -> Tensor | None:
        """Return latents in steps, or None if all of them are zero."""
        if LEVELS[number] not in self._quantised:
            return None
        codes = self._quantised[LEVELS[number]][:, rows]
        if number and not codes.any():
            return None
        return torch.from_numpy(codes)[None].to(self._network.device).float()


class FoldedSynthesis:
    """The synthesis network at one setting, ready to draw.

    Latents come in steps; features are float32 [1, width, h, w] in channels-last order.
    """

    def __init__(self, model: PictureModel, setting: Setting, factor: int = 1) -> None:
        self.device = model.device
        at = model.conditions_at(setting)
        synthesis = model.synthesis
        self._step_factors = functools.partial(synthesis.step_factors, at=at)
        self.has_uniform_steps = setting.tune == 0.0
        self._factor = factor
        self._enter = [
            (layer.weight * model.scale(level, at), layer.bias)
            for level, layer in zip(LEVELS, _convolutions(synthesis.from_latents), strict=True)
        ]
        self._up = [_squares_first(layer, 2) for layer in _convolutions(synthesis.up)]
        self.blocks = [
            [FoldedBlock(block, at) for block in blocks_of(synthesis, n)]
            if n < _LEVELS_WITH_BLOCKS[factor]
            else []
            for n in range(len(LEVELS))
        ]
        self._signs = synthesis.row_signs[:, None, None], synthesis.column_signs[:, None, None]
        assert synthesis.back.bias is not None
        self._means = SquareMeans(synthesis) if factor >= SQUARE else None
        if self._means is None:
            self._back = _reduce(synthesis.back.weight, synthesis.back.bias, factor)

    def level(self, number: int, latents: Tensor | None, coarser: Tensor | None) -> Tensor:
        """Return the features of a level from its latents and those of the coarser one."""
        x = self.enter(number, latents, None if coarser is None else Window(coarser))
        for block in self.blocks[number]:
            x = block.add(Window(x))
        return x

    def level_in_chunks(
        self,
        number: int,
        coarser: Iterator[Tensor],
        latents: Callable[[slice], Tensor | None],
        row: int = 0,
    ) -> Iterator[Tensor]:
        """Return the features of a level in chunks.

        Args:
            number: of the level, not the coarsest.
            coarser: features of the coarser level in chunks, [1, width, rows, w].
            latents: gives those of some rows of the level.
            row: of the level, where the chunks begin.
        """

        def enter_chunks() -> Iterator[Tensor]:
            first = row
            for window in windows(coarser):
                rows = slice(first, first + 2 * window.chunk.shape[2])
                yield self.enter(number, latents(rows), window)
                first = rows.stop

        chunks = enter_chunks()
        for block in self.blocks[number]:
            chunks = block.add_to_chunks(chunks)
        return chunks

    def enter(self, number: int, latents: Tensor | None, coarser: Window | None) -> Tensor:
        """Return what enters the blocks of a level.

        Args:
            number: of the level.
            latents: in steps, [1, channels, h, w]; None if all of them are zero.
            coarser: features of the coarser level, [1, width, h / 2, w / 2].
        """
        weight, bias = self._enter[number]
        assert bias is not None
        x = bias[:, None, None]
        if latents is not None:
            if coarser is not None and not self.has_uniform_steps:
                latents = latents * coarser.inner(self._step_factors(number, coarser.rows), 2)
            x = F.conv2d(_channels_last(latents), weight, bias)
        if coarser is not None:
            x = _spread(F.conv2d(coarser.chunk, *self._up[number - 1]), 2).add_(x)
        return _channels_last(x)

    def pixels(self, window: Window) -> Tensor:
        """Return pixels [1, 3, h, w] in units from the features of the last level drawn."""
        if self._means is not None:
            means = self._means.of(window)
            return F.avg_pool2d(means, self._factor // SQUARE)
        rows, columns = self._signs
        x = window.rows
        parts = [] if window.has_above else [x[:, :, :1] * rows]
        parts += [x] if window.has_below else [x, x[:, :, -1:] * rows]
        x = torch.cat(parts, 2)
        x = torch.cat([x[..., :1] * columns, x, x[..., -1:] * columns], 3)
        x = _spread(F.conv2d(_channels_last(x), *self._back), BLOCK // self._factor)
        cut = BLOCK // 2 // self._factor  # the rows and columns beyond the borders
        return x[:, :, cut:-cut, cut:-cut]


def _reduce(weight: Tensor, bias: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Average the kernels [192, V, 2, 2] of the samples of a block within squares.

    The samples of a block come row by row, each with its three channels, as `_spread` takes them.
    """
    n = BLOCK // factor
    split = (3, n, factor, n, factor)
    kernels = weight.reshape(*split, *weight.shape[1:]).mean((2, 4))
    offsets = bias.reshape(split).mean((2, 4))
    return kernels.movedim(0, 2).flatten(0, 2), offsets.movedim(0, 2).flatten()


def _squares_first(layer: nn.Conv2d, side: int) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a layer with its outputs in the order that `_spread` takes."""
    assert layer.bias is not None
    n = side**2
    weight, bias = (
        torch.cat([part[start::n] for start in range(n)]) for part in (layer.weight, layer.bias)
    )
    return weight, bias


def _spread(x: Tensor, side: int) -> Tensor:
    """Spread features [1, side² · V, h, w] over squares: [1, V, side · h, side · w].

    `F.pixel_shuffle` does the same to features in another order, but takes several times as long:
    here V features of a position stay together.
    """
    height, width = x.shape[2:]
    squares = _channels_last(x).permute(0, 2, 3, 1).reshape(height, width, side, side, -1)
    whole = squares.transpose(1, 2).reshape(1, side * height, side * width, -1)
    return whole.permute(0, 3, 1, 2)


def _convolutions(layers: nn.ModuleList) -> list[nn.Conv2d]:
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
