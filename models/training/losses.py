"""Losses and figures of merit of training."""

from __future__ import annotations

import torch
from torch import Tensor

from luxvox.models.image import PIXELS_PER_UNIT

STEP_EXPONENT = 1.3  # squared error grows about so with the step; this makes all rates equal


def distortion(decoded: Tensor, pixels: Tensor, step: Tensor) -> Tensor:
    """Return the mean over the batch of squared error / step^1.3 (in units; scalar).

    Args:
        decoded: [B, 3, H, W] in units.
        pixels: [B, 3, H, W] in units.
        step: [B] in 8-bit levels.
    """
    error = (decoded - pixels).square().mean(dim=(1, 2, 3))
    return (error / (step / PIXELS_PER_UNIT) ** STEP_EXPONENT).mean()


def psnr(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the PSNR in dB of each picture [B] of [B, 3, H, W] in units, unrounded."""
    error = (decoded - pixels).square().mean(dim=(1, 2, 3)) * PIXELS_PER_UNIT**2
    return 10.0 * torch.log10(255.0**2 / error)
