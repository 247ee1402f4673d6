"""Rounding in training."""

import torch

from luxvox.models.training.picture.quantise import dead_zone, straight_through


def test_dead_zone_rounds_halves_towards_zero():
    values = torch.tensor([-1.6, -0.55, -0.4, 0.0, 0.5, 0.55, 0.57, 1.55, 1.57])
    expected = [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0]
    assert dead_zone(values).tolist() == expected


def test_gradients_pass_the_rounding():
    values = torch.tensor([0.2, 1.7], requires_grad=True)
    codes = straight_through(values)
    assert codes.tolist() == [0.0, 2.0]
    codes.sum().backward()
    assert values.grad is not None and values.grad.tolist() == [1.0, 1.0]
