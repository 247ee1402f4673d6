"""Figures of merit of training."""

from __future__ import annotations

import torch
from torch import Tensor

from luxvox.models.picture.networks import PIXELS_PER_UNIT


def psnr(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the PSNR in dB of each picture [B] of [B, 3, H, W] in units, unrounded."""
    error = (decoded - pixels).square().mean(dim=(1, 2, 3)) * PIXELS_PER_UNIT**2
    return 10.0 * torch.log10(255.0**2 / error)
