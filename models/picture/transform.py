"""The linear start of the picture networks: a lapped transform and Haar steps.

Before any training the analysis is an exact linear transform and the synthesis its inverse:
opponent colours, an 8×8 DCT after a pre-filter over the borders of blocks (time-domain lapped
transform, biorthogonal; Tran, Liang and Tu, 2003), then Haar steps on the lowest coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 8
BIORTHOGONAL_GAIN = 1.25  # of 1 … 1.5, 1.2 to 1.3 is best on training pictures


def colour_matrix() -> Tensor:
    """Return the orthonormal opponent-colour matrix [3 x 3]: luma, red–blue, green–magenta."""
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
    matrix: Tensor = rows / rows.norm(dim=1, keepdim=True)
    return matrix


def dct_matrix(size: int = BLOCK) -> Tensor:
    """Return the orthonormal DCT-II matrix [size x size], float64; rows are frequencies."""
    k = torch.arange(size, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos(math.pi * (n + 0.5) * k / size) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix


def dct4_matrix(size: int) -> Tensor:
    """Return the orthonormal DCT-IV matrix [size x size], float64; rows are frequencies."""
    k = torch.arange(size, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)[None, :]
    return torch.cos(math.pi * (2 * n + 1) * (2 * k + 1) / (4 * size)) * math.sqrt(2.0 / size)


def haar_matrix() -> Tensor:
    """Return the orthonormal 2×2 Haar matrix [4 x 4]: mean, horizontal, vertical, diagonal."""
    rows = [[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]]
    return torch.tensor([*rows, [1.0, -1.0, -1.0, 1.0]]) / 2.0


def lapped_kernels(gain: float = BIORTHOGONAL_GAIN) -> tuple[Tensor, Tensor]:
    """Return analysis and synthesis kernels [8 x 16] of one dimension, float64.

    Tap 0 lies 4 samples before the block. A gain of 1 makes the transform orthogonal.
    """
    half = BLOCK // 2
    eye = torch.eye(half, dtype=torch.float64)
    flip, zero = eye.flip(0), torch.zeros_like(eye)
    butterfly = torch.cat([torch.cat([eye, flip], 1), torch.cat([flip, -eye], 1)]) / math.sqrt(2.0)
    scaled = torch.diag(torch.tensor([gain, 1.0, 1.0, 1.0], dtype=torch.float64))
    rotation = flip @ dct_matrix(half).T @ scaled @ dct4_matrix(half) @ flip
    block = torch.cat([torch.cat([eye, zero], 1), torch.cat([zero, rotation], 1)])

    # The pre-filter acts on the 8 samples around each border, before the DCT.
    before = butterfly @ block @ butterfly
    after = torch.linalg.inv(before)
    dct = dct_matrix()
    analysis = torch.cat([dct[:, :half] @ before[half:], dct[:, half:] @ before[:half]], 1)
    synthesis = torch.cat([dct[:, :half] @ after[:, half:].T, dct[:, half:] @ after[:, :half].T], 1)
    return analysis, synthesis


def lapped_matrix(kernel: Tensor, colours: Tensor) -> Tensor:
    """Return the kernels of all coefficients as a 2×2 convolution over 8×8 blocks.

    Args:
        kernel: one dimension [8 x 16].
        colours: rows are colour components [3 x 3].

    Returns:
        [192, 192, 2, 2]: coefficient (colour, vertical, horizontal frequency) × sample of a
        block (colour, row, column, as `pixel_unshuffle` orders them) × block.
    """
    taps = kernel.reshape(BLOCK, 2, BLOCK)  # [frequency, block, sample]
    full = torch.einsum("oc,uay,vbx->ouvcyxab", colours.double(), taps, taps)
    return full.reshape(192, 192, 2, 2).float()


def frequency_signs() -> tuple[Tensor, Tensor]:
    """Return (−1)^frequency of each of the 192 coefficients, vertical and horizontal, [192]."""
    index = torch.arange(192) % 64
    vertical, horizontal = (1.0 - 2.0 * ((f % 2).float()) for f in (index // 8, index % 8))
    return vertical, horizontal


def mirror(pixels: Tensor) -> Tensor:
    """Mirror pixels [B, C, H, W] by half a block on each side."""
    x = torch.cat([pixels[:, :, :4].flip(2), pixels, pixels[:, :, -4:].flip(2)], 2)
    return torch.cat([x[..., :4].flip(3), x, x[..., -4:].flip(3)], 3)


def haar_forward(x: Tensor) -> Tensor:
    """Map [B, C, 2H, 2W] to [B, 4C, H, W], in the order channel × band."""
    n = x.shape[1]
    kernel = haar_matrix().to(x).repeat(n, 1).reshape(4 * n, 4, 1, 1)
    return F.conv2d(F.pixel_unshuffle(x, 2), kernel, groups=n)


@dataclass(frozen=True)
class ChannelStatistics:
    """Channels in order of falling power, measured on training pictures.

    Attributes:
        orders: by stride (8, 16, 32, 64): which coefficient each channel is. The first `passed`
            ones of a stride are passed on to the next.
        powers: mean squares in that order, in squared units.
    """

    orders: dict[int, Tensor]
    powers: dict[int, Tensor]


def measure_channels(pictures: list[Tensor], passed: dict[int, int]) -> ChannelStatistics:
    """Measure order and power of the channels of the linear start.

    Args:
        pictures: [3, H, W] in units, sides of at least 64.
        passed: how many channels are passed on from strides 8, 16 and 32.
    """
    kernel, _ = lapped_kernels()
    matrix = lapped_matrix(kernel, colour_matrix())
    maps = []
    for picture in pictures:
        height, width = (n // 64 * 64 for n in picture.shape[1:])
        cut = picture[None, :, :height, :width]
        maps.append(F.conv2d(F.pixel_unshuffle(mirror(cut), BLOCK), matrix))
    orders, powers = {}, {}
    for stride in (8, 16, 32, 64):
        power = torch.stack([m.double().square().mean(dim=(0, 2, 3)) for m in maps]).mean(0)
        orders[stride] = torch.argsort(power, descending=True)
        powers[stride] = power[orders[stride]].float()
        if stride < 64:
            first = orders[stride][: passed[stride]]
            maps = [haar_forward(m[:, first]) for m in maps]
    return ChannelStatistics(orders, powers)
