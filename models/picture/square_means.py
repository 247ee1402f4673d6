"""Means of squares of pixels, drawn from the features of the second finest level.

Without codes and blocks of the finest level, all that follows these features is linear: up to the
finest grid, the mirrored borders, the lapped transform, the means. So it is one matrix, whose 27
results (three colours at 3×3 positions) are shifted and added.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.conditions import FINEST
from luxvox.models.picture.networks import Synthesis
from luxvox.models.picture.transform import BLOCK
from luxvox.models.picture.windows import Window

SQUARE = BLOCK  # side in pixels
_TAPS = 3
_HALF = 2  # samples of a block on a side, each the mean of a quarter of it


class SquareMeans:
    """The linear end of a synthesis for means of squares of 8×8 pixels.

    Args:
        synthesis: the network.
    """

    def __init__(self, synthesis: Synthesis) -> None:
        up, enter = synthesis.up[FINEST - 1], synthesis.from_latents[FINEST]
        assert isinstance(up.bias, Tensor) and isinstance(enter.bias, Tensor)
        assert isinstance(up.weight, Tensor) and synthesis.back.bias is not None
        kernels, self._bias = _kernels(synthesis.back.weight, synthesis.back.bias)

        # [4 · V, width] -> [V, 4, width]: the four positions of a square of the finest grid.
        n_features = kernels.shape[2]
        spread = up.weight.reshape(n_features, 4, -1)
        offsets = up.bias.reshape(n_features, 4) + enter.bias[:, None]

        # Beyond a border features are mirrored, and change sign with some frequencies.
        rows, columns = synthesis.row_signs, synthesis.column_signs
        even = torch.ones_like(rows)
        self._matrices = {
            (above, aside): _matrix(kernels * (vertical * horizontal)[:, None], spread, offsets)
            for above, vertical in ((False, even), (True, rows))
            for aside, horizontal in ((False, even), (True, columns))
        }

    def of(self, window: Window) -> Tensor:
        """Return the means [1, 3, 2 h, 2 w] in units from features [1, width, h, w]."""
        x = window.chunk
        parts = [self._columns(window, slice(None, 1), True)[..., :1]]
        parts.append(self._columns(window, slice(None), False))
        parts.append(self._columns(window, slice(-1, None), True)[..., -1:])
        terms = torch.cat(parts, 3)
        terms = terms.reshape(1, _TAPS, _TAPS, 3, *terms.shape[2:])

        # [1, 3, 3, 3, 2 h + 2, 2 w + 2] -> [1, 3, 2 h, 2 w]
        height, width = 2 * x.shape[2], 2 * x.shape[3]
        total = self._bias[:, None, None].expand(1, -1, height, width).clone()
        for row in range(_TAPS):
            for column in range(_TAPS):
                shifted = terms[:, row, column, :, row : row + height, column : column + width]
                total += shifted
        return total

    def _columns(self, window: Window, columns: slice, aside: bool) -> Tensor:
        """Return the terms of some columns, with one more row at the top and at the bottom."""
        x = window.rows[..., columns]
        terms = self._terms(x, False, aside)

        # Of a neighbour's two rows the one next to the chunk; at a border the mirrored one.
        parts = [terms[:, :, int(window.has_above) : terms.shape[2] - window.has_below]]
        if not window.has_above:
            parts.insert(0, self._terms(x[:, :, :1], True, aside)[:, :, :1])
        if not window.has_below:
            parts.append(self._terms(x[:, :, -1:], True, aside)[:, :, -1:])
        return torch.cat(parts, 2)

    def _terms(self, x: Tensor, above: bool, aside: bool) -> Tensor:
        """Return the terms [1, 27, 2 h, 2 w] that features [1, width, h, w] add to means."""
        return F.pixel_shuffle(F.conv2d(x, *self._matrices[above, aside]), 2)


def _kernels(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a mean takes from 3×3 positions around it [3, 3, V, 3], and its bias [3].

    Args:
        weight, bias: of the samples of a block, [3 · 8 · 8, V, 2, 2] and [3 · 8 · 8].
    """
    # A square covers a quarter of each of the four blocks around it.
    split = 3, _HALF, BLOCK // _HALF, _HALF, BLOCK // _HALF
    quarters = weight.reshape(*split, *weight.shape[1:]).mean((2, 4))
    total = weight.new_zeros(_TAPS, _TAPS, weight.shape[1], 3)
    for row in range(_HALF):
        for column in range(_HALF):
            # The lower half of a block lies in the square below its middle: [3, V, 2, 2].
            first = _HALF - 1 - row, _HALF - 1 - column
            taps = quarters[:, row, column].permute(2, 3, 1, 0) / _HALF**2
            total[first[0] : first[0] + 2, first[1] : first[1] + 2] += taps
    return total, bias.reshape(split).mean((1, 2, 3, 4))


def _matrix(kernels: Tensor, spread: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight [27 · 4, width, 1, 1] and bias [27 · 4] of the terms."""
    flat = kernels.permute(0, 1, 3, 2).flatten(0, 2)  # [27, V]
    weight = torch.einsum("kv,vsw->ksw", flat, spread).flatten(0, 1)
    return weight[:, :, None, None], (flat @ offsets).flatten()
