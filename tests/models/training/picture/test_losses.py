"""The distortion that training minimises."""

import numpy as np
import pytest
import torch

from luxvox.models.training.picture.losses import eye_error, squared_error, structural_error


def test_contrast_hides_errors_from_the_eye():
    """The same error costs less on a noisy original than on a flat one."""
    flat = torch.zeros(1, 3, 32, 32)
    noise = 8 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    error = torch.full_like(flat, 0.5)
    on_flat, on_noise = (float(eye_error(picture + error, picture)) for picture in (flat, noise))
    assert on_noise < 0.5 * on_flat
    assert float(eye_error(flat, flat)) == 0.0
    assert float(squared_error(flat + error, flat)) == pytest.approx(3 * 32 * 32 * 0.25)
    colours = torch.tensor([1.0, 0.0, -0.299 / 0.114])[None, :, None, None].expand_as(flat)
    np.testing.assert_allclose(float(eye_error(flat + colours, flat)), 0.0, atol=1e-6)


def picture(seed):
    noise = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    return 4.0 * torch.nn.functional.avg_pool2d(noise, 5, 1, 2)


def test_structural_errors_count_lost_detail():
    """Blur costs more than an equally large change of brightness; equal pictures cost nothing."""
    original = picture(3)
    blurred = torch.nn.functional.avg_pool2d(original, 5, 1, 2)
    brighter = original + (blurred - original).square().mean().sqrt()
    identical, blur_error, brightness_error = (
        structural_error(picture, original) for picture in (original, blurred, brighter)
    )
    assert identical.shape == (2,)
    assert float(identical.max()) < 0.02  # the constant that keeps the fourth root smooth at 0
    assert float(blur_error.min()) > 4.0 * float(brightness_error.max())


def test_structural_errors_of_one_plane():
    """A change of red costs nothing in the blue plane, and gives gradients in its own."""
    original = picture(4)
    change = torch.zeros_like(original)
    change[:, 0] = picture(5)[:, 0]
    changed = (original + change).requires_grad_()
    error = structural_error(changed, original, (1.0, 0.0, 0.0))
    blue = structural_error(changed, original, (0.0, 0.0, 1.0))
    assert float(blue.detach().max()) < 0.02 < float(error.detach().min())
    error.sum().backward()
    assert changed.grad is not None
    assert float(changed.grad[:, 0].abs().sum()) > 0.0
    assert float(changed.grad[:, 1:].abs().sum()) == 0.0
