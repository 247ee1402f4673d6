"""Gradients written by hand are the gradients of the functions that they replace."""

import math

import pytest
import torch

from luxvox.entropy.fixed_point import compand
from luxvox.models.training.picture.integers import (
    activate,
    at_positions,
    compand_codes,
    logistic_bits,
    round_half_up,
)


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference_bits(value, mean, scale):
    """Mix two logistics of equal mean, 85 % and 15 %, the second 2.5 times as wide."""
    width = 0.05 * 2.0 ** (scale.clamp(0, 55) / 4)
    total = torch.zeros_like(value)
    for share, ratio in ((0.85, 1.0), (0.15, 2.5)):
        upper, lower = ((value - mean / 8 + d) / (width * ratio) for d in (0.5, -0.5))
        total = total + share * (torch.sigmoid(upper) - torch.sigmoid(lower))
    return -torch.log2(total)


def test_bits_and_their_gradients_agree_with_the_formula():
    value, mean = 3 * draw(4, 50).double(), 20 * draw(4, 50, seed=2).double()
    scale = 20 + 4 * draw(4, 50, seed=3).double()
    inputs = [t.clone().requires_grad_() for t in (value, mean, scale)]
    reference_inputs = [t.clone().requires_grad_() for t in (value, mean, scale)]
    bits, expected = logistic_bits(*inputs), reference_bits(*reference_inputs)
    assert torch.allclose(bits, expected, rtol=1e-4, atol=1e-4)
    weights = draw(4, 50, seed=4).double()
    (bits * weights).sum().backward()
    (expected * weights).sum().backward()
    for x, reference in zip(inputs, reference_inputs, strict=True):
        assert x.grad is not None and reference.grad is not None
        assert torch.allclose(x.grad, reference.grad, rtol=1e-3, atol=1e-4)


def test_the_cost_of_far_codes_is_bounded():
    far = torch.tensor([1e6], requires_grad=True)
    bits = logistic_bits(far, torch.zeros(1), torch.zeros(1))
    assert bits.item() == pytest.approx(-math.log2(1e-8), rel=1e-4)
    bits.backward()
    assert far.grad is not None and far.grad.item() == 0.0


def test_gradients_pass_the_rounding():
    x = (5 * draw(100)).requires_grad_()
    y = round_half_up(x)
    assert torch.equal(y, torch.floor(x + 0.5))
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, torch.ones_like(x))


def test_activation_is_flat_where_it_is_clamped():
    x = (40000 * draw(2, 3, 4, 5)).requires_grad_()
    bias = (100 * draw(3)).requires_grad_()
    y = activate(x, bias, "mid")
    assert torch.equal(y, y.round()) and y.min() == 0.0 and y.max() == 127.0
    y.sum().backward()
    assert x.grad is not None and bias.grad is not None
    slope = x.grad.unique()
    assert slope.numel() == 2 and slope[0] == 0.0 and slope[1] > 0.0
    assert not x.grad[(y == 127.0) & (x > 2 * x[y == 127.0].min())].any()
    assert torch.allclose(bias.grad, x.grad.sum((0, 2, 3)))


def test_companding_has_the_gradient_of_its_logarithm():
    codes = torch.arange(-20.0, 21.0).requires_grad_()
    y = compand_codes(codes)
    assert torch.equal(y, compand(codes.detach() * 16))
    y.sum().backward()
    expected = 32 / math.log(2) / (1 + 4 * codes.detach().abs()) * (codes.detach() != 0)
    assert codes.grad is not None and torch.allclose(codes.grad, expected)


def test_only_picked_positions_get_gradients():
    x = torch.arange(24.0).reshape(1, 2, 3, 4).requires_grad_(True)
    picked = at_positions(x, torch.tensor([0, 5, 11]))
    assert torch.equal(picked[..., 0], x.detach().flatten(2)[:, :, [0, 5, 11]])

    (picked * torch.tensor([1.0, 2.0, 3.0])[None, None, :, None]).sum().backward()
    expected = torch.zeros(12)
    expected[[0, 5, 11]] = torch.tensor([1.0, 2.0, 3.0])
    assert x.grad is not None
    assert torch.equal(x.grad.flatten(2), expected.expand(1, 2, 12))
