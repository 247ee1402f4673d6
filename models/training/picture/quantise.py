"""Rounding of latents in training: plain, or as the encoder chooses codes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from luxvox.models.training.picture.twin import ContextTwin, logistic_bits

DEAD_ZONE = 0.06  # in steps; the encoder's choice of codes prefers small ones, too


def dead_zone(latents: Tensor) -> Tensor:
    """Round to whole numbers, those near a half towards zero."""
    return latents.sign() * torch.floor(latents.abs() + (0.5 - DEAD_ZONE))


def straight_through(latents: Tensor, codes: Tensor) -> Tensor:
    """Return the codes; gradients pass to the latents as if they were not rounded."""
    return latents + (codes - latents).detach()


@torch.no_grad()
def chosen_codes(
    context: ContextTwin, latents: Mapping[str, Tensor], position: Tensor, lambda_: float
) -> dict[str, Tensor]:
    """Choose codes by squared error plus rate, much as the encoder does.

    The encoder chooses code after code, knowing those chosen before. In here all are chosen at
    once, knowing rounded neighbours: a good approximation, and one evaluation of the network.

    Args:
        context: predicts the codes.
        latents: [B, C, H, W] in steps by level.
        position: log-step [B], −1 … 1.
        lambda_: squared steps that a bit is worth.
    """
    rounded = {level: dead_zone(y) for level, y in latents.items()}
    predictions = context.predictions(rounded, position)
    chosen = {}
    for level, y in latents.items():
        mean, scale = predictions[level]
        centre = torch.floor(mean * 0.125 + 0.5)
        near = torch.round(y)
        best, least = centre, _cost(y, centre, mean, scale, lambda_)
        for candidate in (near + torch.sign(centre - near), near):
            cost = _cost(y, candidate, mean, scale, lambda_)
            best = torch.where(cost < least, candidate, best)
            least = torch.minimum(cost, least)
        chosen[level] = torch.where(scale < 0.5, centre, best)
    return chosen


def _cost(y: Tensor, codes: Tensor, mean: Tensor, scale: Tensor, lambda_: float) -> Tensor:
    return (y - codes).square() + lambda_ * logistic_bits(codes, mean, scale)
