"""The linear skeleton: orthonormal matrices, and Haar steps that undo each other."""

import pytest
import torch

from luxvox.models.dct import (
    colour_dct_matrix,
    colour_matrix,
    dct_matrix,
    haar_forward,
    haar_inverse,
    haar_matrix,
    measure_channels,
)


@pytest.mark.parametrize(
    "matrix", [colour_matrix(), dct_matrix(8), dct_matrix(5), colour_dct_matrix(), haar_matrix()]
)
def test_matrices_are_orthonormal(matrix):
    assert torch.allclose(matrix @ matrix.T, torch.eye(len(matrix)), atol=1e-5)


def test_haar_steps_undo_each_other():
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    coefficients = haar_forward(x)
    assert coefficients.shape == (2, 12, 4, 3)
    assert torch.allclose(haar_inverse(coefficients), x, atol=1e-5)
    assert torch.allclose(coefficients[:, 0], 2 * torch.nn.functional.avg_pool2d(x[:, 0], 2))


def test_grey_has_no_colour():
    grey = torch.full((3,), 5.0)
    assert (colour_matrix() @ grey).tolist() == pytest.approx([5 * 3**0.5, 0.0, 0.0], abs=1e-5)


def test_channels_are_ordered_by_power():
    noise = torch.randn(3, 70, 100, generator=torch.Generator().manual_seed(2))
    pictures = [noise + noise.mean(0).cumsum(0).cumsum(1)]
    channels = measure_channels(pictures)
    for order, n in ((channels.stride_8, 192), (channels.stride_16, 128), (channels.stride_32, 32)):
        assert sorted(order.tolist()) == list(range(n))
    for power in (channels.power_8, channels.power_16):
        assert (power.diff() <= 0).all()
    assert int(channels.stride_8[0]) == 0
