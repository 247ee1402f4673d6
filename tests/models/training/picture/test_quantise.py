"""Rounding in training, and the choice of codes that stands for the encoder's."""

import torch

from luxvox.entropy.lattice import picture_levels
from luxvox.models.training.picture.quantise import chosen_codes, dead_zone, straight_through
from luxvox.models.training.picture.twin import ContextTwin

CHANNELS = (9, 9, 25, 17)
GRIDS = {"apex": 2, "top": 4, "base": 8, "detail": 16}


def some_latents(seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        level: 2.0 * torch.randn(2, n, GRIDS[level], GRIDS[level], generator=generator)
        for level, n in zip(GRIDS, CHANNELS, strict=True)
    }


def test_dead_zone_rounds_halves_towards_zero():
    values = torch.tensor([-1.6, -0.55, -0.4, 0.0, 0.5, 0.55, 0.57, 1.55, 1.57])
    expected = [-2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 2.0]
    assert dead_zone(values).tolist() == expected


def test_gradients_pass_the_rounding():
    values = torch.tensor([0.2, 1.7], requires_grad=True)
    codes = straight_through(values, dead_zone(values))
    assert codes.tolist() == [0.0, 2.0]
    codes.sum().backward()
    assert values.grad is not None and values.grad.tolist() == [1.0, 1.0]


def test_chosen_codes_cost_less_than_rounded_ones():
    torch.manual_seed(0)
    context = ContextTwin(picture_levels(CHANNELS))
    latents, position = some_latents(1), torch.tensor([0.0, 0.5])
    lambda_ = 0.3
    rounded = {level: torch.round(y) for level, y in latents.items()}
    chosen = chosen_codes(context, latents, position, lambda_)

    def cost(codes):
        with torch.no_grad():
            bits = context.level_bits(codes, codes, position)
        error = sum((latents[level] - y).square().sum() for level, y in codes.items())
        return float(error + lambda_ * sum(b.sum() for b in bits.values()))

    assert cost(chosen) < cost(rounded)
    assert all((y == torch.round(y)).all() for y in chosen.values())


def test_without_a_price_the_nearest_codes_are_chosen():
    context = ContextTwin(picture_levels(CHANNELS))
    latents = some_latents(2)
    chosen = chosen_codes(context, latents, torch.zeros(2), 0.0)
    assert all(torch.equal(chosen[level], torch.round(y)) for level, y in latents.items())
