"""The linear start: orthonormal parts, and a lapped transform that its inverse undoes."""

import pytest
import torch
from torch.nn import functional as F

from luxvox.models.picture.transform import (
    BIORTHOGONAL_GAIN,
    BLOCK,
    colour_matrix,
    dct4_matrix,
    dct_matrix,
    frequency_signs,
    haar_forward,
    haar_matrix,
    lapped_kernels,
    lapped_matrix,
    measure_channels,
    mirror,
)


@pytest.mark.parametrize(
    "matrix", [colour_matrix(), dct_matrix(8), dct_matrix(5), dct4_matrix(4), haar_matrix()]
)
def test_matrices_are_orthonormal(matrix):
    assert torch.allclose(matrix @ matrix.T, torch.eye(len(matrix)).to(matrix), atol=1e-6)


def test_known_matrices():
    assert dct_matrix(2).flatten().tolist() == pytest.approx([0.5**0.5] * 3 + [-(0.5**0.5)])
    assert (colour_matrix() @ torch.full((3,), 5.0)).tolist() == pytest.approx(
        [5 * 3**0.5, 0.0, 0.0], abs=1e-5
    )


def coefficients_of(pixels, gain):
    """Lapped coefficients [B, 192, H / 8, W / 8]."""
    matrix = lapped_matrix(lapped_kernels(gain)[0], colour_matrix())
    return F.conv2d(F.pixel_unshuffle(mirror(pixels), BLOCK), matrix)


def pixels_of(coefficients, gain):
    """Undo `coefficients_of`, borders included."""
    matrix = lapped_matrix(lapped_kernels(gain)[1], colour_matrix())
    vertical, horizontal = frequency_signs()
    rows, columns = vertical[:, None, None], horizontal[:, None, None]
    x = coefficients
    x = torch.cat([x[:, :, :1] * rows, x, x[:, :, -1:] * rows], 2)
    x = torch.cat([x[..., :1] * columns, x, x[..., -1:] * columns], 3)
    blocks = F.conv2d(x, matrix.flip(2, 3).transpose(0, 1))
    return F.pixel_shuffle(blocks, BLOCK)[:, :, 4:-4, 4:-4]


@pytest.mark.parametrize("gain", [1.0, BIORTHOGONAL_GAIN])
@pytest.mark.parametrize("size", [(8, 8), (8, 32), (40, 24)])
def test_the_inverse_gives_every_pixel_back(gain, size):
    """At the borders, too, where blocks lap over mirrored pixels."""
    pixels = 16 * torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    coefficients = coefficients_of(pixels, gain)
    assert coefficients.shape == (2, 192, size[0] // 8, size[1] // 8)
    assert torch.allclose(pixels_of(coefficients, gain), pixels, atol=1e-3)


def test_the_lapped_transform_is_orthogonal_without_gain():
    analysis, synthesis = lapped_kernels(1.0)
    assert torch.allclose(analysis, synthesis, atol=1e-12)
    assert torch.allclose(analysis @ analysis.T, torch.eye(8).double(), atol=1e-12)
    assert torch.allclose(analysis[:, :8] @ analysis[:, 8:].T, torch.zeros(8, 8).double())


def test_flat_pictures_are_one_coefficient():
    coefficients = coefficients_of(torch.full((1, 3, 24, 24), 3.0), BIORTHOGONAL_GAIN)
    assert coefficients[:, 1:].abs().max() < 1e-4
    first = coefficients[:, 0]
    assert torch.allclose(first, first.mean().expand_as(first), atol=1e-4)


def test_haar_steps_keep_energy_and_means():
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    bands = haar_forward(x)
    assert bands.shape == (2, 12, 4, 3)
    assert float(bands.square().sum()) == pytest.approx(float(x.square().sum()), rel=1e-5)
    assert torch.allclose(bands[:, 4], 2 * F.avg_pool2d(x[:, 1], 2), atol=1e-6)


def test_channels_are_ordered_by_power():
    noise = torch.randn(3, 70, 140, generator=torch.Generator().manual_seed(2))
    pictures = [noise + 0.1 * noise.mean(0).cumsum(0).cumsum(1)]
    statistics = measure_channels(pictures, {8: 7, 16: 3, 32: 2})
    for stride, n in ((8, 192), (16, 28), (32, 12), (64, 8)):
        assert sorted(statistics.orders[stride].tolist()) == list(range(n))
        assert (statistics.powers[stride].diff() <= 0).all()
    assert statistics.orders[8][0] == 0  # the mean of luma
