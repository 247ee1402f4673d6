"""The linear skeleton of the picture codec: colour, DCT and Haar, and networks set to them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from luxvox.models.image import Analysis, Block, Synthesis

N_HAAR_BASE = 32  # stride-8 coefficients that go on to stride 16
N_HAAR_TOP = 8  # stride-16 coefficients that go on to stride 32
PAD_MULTIPLE = 32  # the coarsest stride, in pixels


def colour_matrix() -> Tensor:
    """Return the orthonormal opponent-colour matrix [3 x 3] (luma, red–blue, green–magenta)."""
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
    matrix: Tensor = rows / rows.norm(dim=1, keepdim=True)
    return matrix


def dct_matrix(size: int = 8) -> Tensor:
    """Return the orthonormal DCT-II matrix [size x size], rows are frequencies."""
    k = torch.arange(size, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos(math.pi * (n + 0.5) * k / size) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix.float()


def colour_dct_matrix() -> Tensor:
    """Return the orthonormal map [192 x 192] from unshuffled RGB blocks to colour DCT."""
    dct = dct_matrix(8)
    kernel = torch.einsum("oc,uy,vx->ouvcyx", colour_matrix(), dct, dct)
    return kernel.reshape(192, 192)


def haar_matrix() -> Tensor:
    """Return the orthonormal 2×2 Haar matrix [4 x 4]: mean, horizontal, vertical, diagonal."""
    rows = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]
    return torch.tensor([*rows, [1.0, -1.0, -1.0, 1.0]]) / 2.0


def haar_forward(x: Tensor) -> Tensor:
    """Map [B, C, 2H, 2W] to [B, 4C, H, W], channel order coefficient × band."""
    blocks = F.pixel_unshuffle(x, 2)
    return F.conv2d(blocks, _grouped_haar(x.shape[1], x), groups=x.shape[1])


def haar_inverse(x: Tensor) -> Tensor:
    """Undo `haar_forward`."""
    n = x.shape[1] // 4
    kernel = _grouped_haar(n, x).reshape(n, 4, 4).transpose(1, 2).reshape(4 * n, 4, 1, 1)
    return F.pixel_shuffle(F.conv2d(x, kernel, groups=n), 2)


def _grouped_haar(n: int, like: Tensor) -> Tensor:
    return haar_matrix().to(like).repeat(n, 1)[:, :, None, None]


@dataclass(frozen=True)
class ChannelStatistics:
    """Channels in order of falling variance, measured on linear transforms of training pictures.

    Attributes:
        stride_8: all 192 colour-DCT coefficients; the first 32 go on to stride 16, the next
            ones are the detail latents.
        stride_16: the 128 Haar coefficients of those 32; the first 8 go on to stride 32.
        stride_32: the 32 Haar coefficients of those 8.
        power_8: mean squares in that order, in squared units, [192].
        power_16: the same of the Haar coefficients, [128].
    """

    stride_8: Tensor
    stride_16: Tensor
    stride_32: Tensor
    power_8: Tensor
    power_16: Tensor


def measure_channels(pictures: list[Tensor]) -> ChannelStatistics:
    """Measure order and power of channels on pictures [3, H, W] in units."""
    matrix = colour_dct_matrix()[:, :, None, None]
    eights = [
        F.conv2d(F.pixel_unshuffle(_crop_to(p, PAD_MULTIPLE)[None], 8), matrix) for p in pictures
    ]
    power_8 = _mean_power(eights)
    order_8 = torch.argsort(power_8, descending=True)
    sixteens = [haar_forward(x[:, order_8[:N_HAAR_BASE]]) for x in eights]
    power_16 = _mean_power(sixteens)
    order_16 = torch.argsort(power_16, descending=True)
    tops = [haar_forward(x[:, order_16[:N_HAAR_TOP]]) for x in sixteens]
    order_32 = torch.argsort(_mean_power(tops), descending=True)
    return ChannelStatistics(
        order_8, order_16, order_32, power_8[order_8].float(), power_16[order_16].float()
    )


def _crop_to(picture: Tensor, multiple: int) -> Tensor:
    height, width = (n // multiple * multiple for n in picture.shape[-2:])
    return picture[..., :height, :width]


def _mean_power(maps: list[Tensor]) -> Tensor:
    return torch.stack([m.double().square().mean(dim=(0, 2, 3)) for m in maps]).mean(0)


@torch.no_grad()
def initialise_as_dct(analysis: Analysis, synthesis: Synthesis, order: ChannelStatistics) -> None:
    """Set both networks to the exact two-step DCT and Haar codec, blocks switched off."""
    config = analysis.config
    n_base = N_HAAR_TOP + config.channels("base")
    matrix = colour_dct_matrix()[order.stride_8]
    _set(analysis.front, matrix)
    _set(synthesis.back, matrix.T)
    detail = torch.zeros(config.channels("detail"), config.width_8)
    for channel in range(config.channels("detail")):
        detail[channel, N_HAAR_BASE + channel] = 1.0
    _set(analysis.to_detail, detail)
    _set(synthesis.from_detail, detail.T)
    haar = torch.zeros(config.width_16, config.width_8 * 4)
    blocks = torch.kron(torch.eye(N_HAAR_BASE), haar_matrix())[order.stride_16]
    haar[:n_base, : 4 * N_HAAR_BASE] = blocks
    spare = config.width_16 - n_base
    extra = torch.randn(spare, config.width_8 * 4, generator=torch.Generator().manual_seed(1))
    haar[n_base:] = 0.05 * extra
    analysis.down.weight.copy_(haar.reshape(config.width_16, config.width_8, 2, 2))
    if analysis.down.bias is not None:
        analysis.down.bias.zero_()
    haar_up = torch.zeros(4 * config.width_8, config.width_16)
    haar_up[: 4 * N_HAAR_BASE, :n_base] = blocks.T
    _set(synthesis.up, haar_up)
    _set(analysis.to_base, torch.eye(n_base, config.width_16))
    _set(synthesis.from_base, torch.eye(config.width_16, n_base))
    top = torch.eye(4 * N_HAAR_TOP)[order.stride_32]
    _set(analysis.to_top, top)
    _set(synthesis.from_top, top.T)
    for network in (analysis, synthesis):
        _scale_inputs(network.blocks_8, order.power_8)
        _scale_inputs(network.blocks_16, order.power_16)


def _scale_inputs(blocks: nn.ModuleList, power: Tensor) -> None:
    """Bring what a block sees to about unit power, so that large coefficients don't drown it."""
    for block in cast("list[Block]", list(blocks)):
        n = min(len(power), len(block.scale))
        block.scale[:n] = torch.rsqrt(1.0 + power[:n])


def _set(layer: nn.Conv2d, matrix: Tensor) -> None:
    layer.weight.copy_(matrix[:, :, None, None])
    if layer.bias is not None:
        layer.bias.zero_()
