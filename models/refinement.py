"""Latents corrected by what the synthesis makes of their codes.

The analysis network does not know how its latents will be quantised, nor what exactly the
synthesis will draw from the codes.  One Gauss–Newton step closes the loop: with the codes' sums ŷ
and the error e of the picture drawn from them, the latents become ŷ + Jᵀe.  The Jacobian J of the
synthesis is nearly orthonormal, as its skeleton is, so that the distance of new codes to these
latents stands for the error of the picture drawn from them.  Where it is not, at saturated
colours and low rates, corrections run away unless they are bounded.
Semi-amortised inference (Campos et al., 2019; Yang et al., 2020) goes the same way in many small
steps.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.image import LEVELS, PIXELS_PER_UNIT, STRIDES, PictureModel
from luxvox.models.strips import padded_size, strips

STRIP_PIXELS = 1 << 19  # fewer than without gradients, which keep what they passed
REACH = 64  # pixels; what lies further hardly matters
_LOWEST, _HIGHEST = -128.0 / PIXELS_PER_UNIT, 127.0 / PIXELS_PER_UNIT


def corrected_latents(
    model: PictureModel,
    pixels: NDArray[np.uint8],
    quantised: dict[str, Tensor],
    step: float,
    most: float,
) -> dict[str, Tensor]:
    """Return latents in steps, [1, channels, h, w] by level, whose codes would draw less error.

    Args:
        model: on the device the work is to be done on.
        pixels: uint8 [H, W, 3].
        quantised: sums of codewords in steps of the codes so far, [1, channels, h, w] by level.
        step: quantiser step in 8-bit levels.
        most: steps that a latent is corrected by at most: further the Jacobian is another one.
    """
    height, width = pixels.shape[:2]
    rows, columns = padded_size(height, width)
    device = model.order_16.device
    parts: dict[str, list[Tensor]] = {level: [] for level in LEVELS}
    for strip in strips(rows, columns, REACH, STRIP_PIXELS):
        inputs = {
            level: y[:, :, strip.rows(STRIDES[level])].to(device) for level, y in quantised.items()
        }
        wanted = torch.from_numpy(np.array(pixels[strip.low : strip.high])).to(device)
        units = (wanted.permute(2, 0, 1)[None].float() - 128.0) / PIXELS_PER_UNIT
        for level, gradient in _error_gradients(model, inputs, units, step).items():
            inner = strip.inner(STRIDES[level])
            change = gradient * (PIXELS_PER_UNIT / step) ** 2
            corrected = inputs[level] - change.clamp(-most, most)
            parts[level].append(corrected[:, :, inner].cpu())
    return {level: torch.cat(some, 2) for level, some in parts.items()}


def _error_gradients(
    model: PictureModel, quantised: dict[str, Tensor], wanted: Tensor, step: float
) -> dict[str, Tensor]:
    """Return the gradient of half the squared error in units by each latent in steps."""
    with torch.enable_grad():
        latents = {level: y.detach().clone().requires_grad_() for level, y in quantised.items()}
        drawn = model.synthesise(latents, torch.tensor([step], device=wanted.device))
        kept = drawn[:, :, : wanted.shape[2], : wanted.shape[3]].clamp(_LOWEST, _HIGHEST)
        loss = F.mse_loss(kept, wanted, reduction="sum") / 2.0
        gradients = torch.autograd.grad(loss, list(latents.values()))
    return dict(zip(latents, gradients, strict=True))
