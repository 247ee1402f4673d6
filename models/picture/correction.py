"""Latents corrected by what the synthesis makes of their codes, and what an error of each costs.

The analysis network does not know how its latents will be quantised, nor what exactly the
synthesis will make of the codes. One Gauss–Newton step closes the loop: with the codes ŷ, the
gradient g of the picture's distortion and the diagonal h of its second derivative, the latents
become ŷ − g / h, and new codes are chosen for them with weights h.

The distortion is (1 − share) · squared error + share · the eye's error, the one that training
minimises. Semi-amortised inference (Campos et al., 2019; Yang et al., 2020) goes the same way in
many small steps. h is estimated with one random probe (Hutchinson, 1989), averaged over each level;
where a level has channels enough, places that count more or less than the mean are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.distortion import eye_error, squared_error
from luxvox.models.picture.networks import (
    FINEST,
    LEVELS,
    PIXELS_PER_UNIT,
    PictureModel,
    Setting,
)
from luxvox.models.picture.tiling import (
    fine_reach,
    padded_size,
    padded_units,
    strips,
    synthesise,
)

STRIP_PIXELS = 1 << 19  # fewer than without gradients, which keep what they passed
_LOWEST, _HIGHEST = -128.0 / PIXELS_PER_UNIT, 127.0 / PIXELS_PER_UNIT
_PROBE = 0.5  # steps by which latents are moved for the second derivative
_WEIGHTS = 0.1, 30.0  # legal range of weights
_PLACED = ("base", "detail")  # levels with channels enough to tell places apart by one probe
_CONTRAST = 0.3, 3.0  # of a place against the mean of its level

Latents = dict[str, Tensor]


@dataclass(frozen=True)
class Target:
    """What a picture's codes are corrected towards.

    Attributes:
        pixels: uint8 [H, W, 3].
        setting: step and tuning.
        eye_share: weight of the eye's error in the distortion, 0 … 1.
    """

    pixels: NDArray[np.uint8]
    setting: Setting
    eye_share: float


def corrected_latents(
    model: PictureModel, target: Target, quantised: Latents, weights: Latents, max_change: float
) -> Latents:
    """Return latents in steps, [1, channels, h, w] by level, whose codes would cost less.

    Args:
        model: on the device the work is to be done on.
        target: the picture.
        quantised: codes so far in steps, [1, channels, h, w] by level.
        weights: second derivatives, as `latent_weights` gives them.
        max_change: in steps; the linearisation does not hold beyond it.
    """
    gradients = _gradients(model, target, quantised)
    return {
        level: y - (gradients[level] / weights[level]).clamp(-max_change, max_change)
        for level, y in quantised.items()
    }


@torch.inference_mode()
def distortion(model: PictureModel, target: Target, quantised: Latents) -> float:
    """Return the distortion of the picture that codes give, in squared steps."""
    total, first = 0.0, 0
    size = padded_size(*target.pixels.shape[:2])
    for levels in synthesise(model, quantised, target.setting, size, lambda share: None):
        rows = slice(first, first + len(levels))
        drawn = (torch.from_numpy(levels).permute(2, 0, 1)[None] - 128.0) / PIXELS_PER_UNIT
        wanted = padded_units(target.pixels, rows, size, torch.device("cpu"))
        total += float(_distortion(drawn.clamp(_LOWEST, _HIGHEST), wanted, first, target))
        first = rows.stop
    return total * (PIXELS_PER_UNIT / target.setting.step) ** 2


def latent_weights(model: PictureModel, target: Target, quantised: Latents) -> Latents:
    """Estimate what a squared step of the latents at each place costs, [1, 1, h, w] by level."""
    generator = torch.Generator().manual_seed(0)
    probe = {
        level: torch.randint(0, 2, y.shape, generator=generator).float() * 2.0 - 1.0
        for level, y in quantised.items()
    }
    moved = {level: y + _PROBE * probe[level] for level, y in quantised.items()}
    before = _gradients(model, target, quantised)
    after = _gradients(model, target, moved)
    weights = {}
    for level in LEVELS:
        second = probe[level] * (after[level] - before[level]) / _PROBE
        mean = second.mean().clamp(*_WEIGHTS)
        weights[level] = mean.expand(1, 1, *second.shape[2:])
        if level in _PLACED:
            by_place = (second / mean).mean(1, keepdim=True)
            by_place = F.avg_pool2d(by_place, 3, 1, 1, count_include_pad=False)
            weights[level] = mean * by_place.clamp(*_CONTRAST)
    return weights


def _gradients(model: PictureModel, target: Target, quantised: Latents) -> Latents:
    """Return the gradient of half the distortion, in squared steps, by each latent in steps."""
    size = padded_size(*target.pixels.shape[:2])
    at = model.told(target.setting)
    inputs = {
        level: y.to(model.device, torch.float32, copy=True).requires_grad_()
        for level, y in quantised.items()
    }
    with torch.enable_grad():
        features = model.synthesis.coarse(model.source(inputs, at), at)
    by_features = torch.zeros_like(features)
    by_detail = torch.zeros_like(inputs["detail"])

    # Each strip adds what its own pixels want of the features around them.
    reach = fine_reach(model.config.synthesis_blocks[FINEST])
    for strip in strips(*size, reach, STRIP_PIXELS):
        wanted = padded_units(target.pixels, strip.rows(1), size, model.device)
        with torch.enable_grad():
            near = features.detach()[:, :, strip.rows(16)].requires_grad_()
            detail = inputs["detail"].detach()[:, :, strip.rows(8)].requires_grad_()
            source = model.source({"detail": detail}, at)
            drawn = model.synthesis.fine(near, source, at).clamp(_LOWEST, _HIGHEST)
            inner = strip.inner(1)
            cost = _distortion(drawn[:, :, inner], wanted[:, :, inner], strip.first, target)
            one, other = torch.autograd.grad(cost, [near, detail])
        by_features[:, :, strip.rows(16)] += one
        by_detail[:, :, strip.rows(8)] += other

    coarse = [inputs[level] for level in LEVELS[:FINEST]]
    gradients = torch.autograd.grad(features, coarse, by_features)
    by_level = dict(zip(LEVELS[:FINEST], gradients, strict=True)) | {"detail": by_detail}
    factor = 0.5 * (PIXELS_PER_UNIT / target.setting.step) ** 2
    return {level: (g * factor).cpu() for level, g in by_level.items()}


def _distortion(drawn: Tensor, wanted: Tensor, first: int, target: Target) -> Tensor:
    """Return the distortion of rows of a padded picture; what was padded costs nothing."""
    height, width = target.pixels.shape[:2]
    inside = torch.zeros_like(wanted[:, :1])
    inside[:, :, : max(height - first, 0), :width] = 1.0
    drawn = wanted + (drawn - wanted) * inside
    cost = (1.0 - target.eye_share) * squared_error(drawn, wanted).sum()
    if target.eye_share:
        cost = cost + target.eye_share * eye_error(drawn, wanted).sum()
    return cost
