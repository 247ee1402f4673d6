"""The distortion that training minimises."""

import numpy as np
import pytest
import torch

from luxvox.models.training.picture.losses import eye_error, squared_error


def test_errors_of_the_eye_hide_in_contrast():
    """The same error costs less on a lively original than on a flat one."""
    flat = torch.zeros(1, 3, 32, 32)
    noise = 8 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    error = torch.full_like(flat, 0.5)
    on_flat, on_noise = (float(eye_error(one + error, one)) for one in (flat, noise))
    assert on_noise < 0.5 * on_flat
    assert float(eye_error(flat, flat)) == 0.0
    assert float(squared_error(flat + error, flat)) == pytest.approx(3 * 32 * 32 * 0.25)
    colours = torch.tensor([1.0, 0.0, -0.299 / 0.114])[None, :, None, None].expand_as(flat)
    np.testing.assert_allclose(float(eye_error(flat + colours, flat)), 0.0, atol=1e-6)
