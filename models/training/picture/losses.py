"""What training minimises: squared error, and the eye's error of luma by local contrast; PSNR."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.conditions import PIXELS_PER_UNIT

EYE_SHARE = 0.8  # of the distortion that a model tuned for the eye minimises
LUMA = (0.299, 0.587, 0.114)
# Scale in pixels, contrast in squared units at which errors start to hide, weight.
EYE_SCALES = ((1, 0.9, 1.0), (4, 0.5, 6.0 * 16), (8, 0.4, 12.0 * 64))


def psnr(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the PSNR in dB of each picture [B] of [B, 3, H, W] in units, unrounded."""
    error = (decoded - pixels).square().mean(dim=(1, 2, 3)) * PIXELS_PER_UNIT**2
    return 10.0 * torch.log10(255.0**2 / error)


def squared_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the summed squared error [B] of pictures [B, 3, H, W] in units."""
    return (decoded - pixels).square().sum((1, 2, 3))


def eye_error(decoded: Tensor, pixels: Tensor) -> Tensor:
    """Return the luma error [B] at 1, 4 and 8 pixels, each over the original's local variance.

    Quadratic in the error, with weights that depend on the original alone. Structural similarity
    (Wang et al., 2004) weighs errors by local variance in the same way.

    Args:
        decoded, pixels: [B, 3, H, W] in units; H and W multiples of 8.
    """
    luma = torch.tensor(LUMA, device=pixels.device)[None, :, None, None]
    error = ((decoded - pixels) * luma).sum(1, keepdim=True)
    original = (pixels * luma).sum(1, keepdim=True)
    total = torch.zeros(len(pixels), device=pixels.device)
    for size, contrast, weight in EYE_SCALES:
        coarse, plane = (F.avg_pool2d(v, size) if size > 1 else v for v in (error, original))
        hiding = contrast / (local_variance(plane) + contrast)
        total = total + weight * (coarse.square() * hiding).sum((1, 2, 3))
    return total


def local_variance(plane: Tensor) -> Tensor:
    """Return the variance of a plane [B, 1, H, W] within 5×5 pixels."""
    mean, power = (
        F.avg_pool2d(v, 5, 1, 2, count_include_pad=False) for v in (plane, plane.square())
    )
    return (power - mean.square()).clamp(min=0.0)
