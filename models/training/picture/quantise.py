"""Rounding of latents in training."""

from __future__ import annotations

import torch
from torch import Tensor

DEAD_ZONE = 0.06  # in steps; the encoder prefers small codes, too


def dead_zone(latents: Tensor) -> Tensor:
    """Round to whole numbers; values near a half go towards zero."""
    # Magnitudes are rounded, so both signs have the same zone.
    return latents.sign() * torch.floor(latents.abs() + (0.5 - DEAD_ZONE))


def straight_through(latents: Tensor) -> Tensor:
    """Round latents; gradients pass as if they were not rounded."""
    return latents + (dead_zone(latents) - latents).detach()
