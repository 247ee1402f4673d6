"""The operations of the integer context model, with gradients written by hand.

Rounding passes gradients straight through (Bengio et al., 2013). Each function is one operation to
autograd; split up, it would take several times as long.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from luxvox.entropy.fixed_point import ACTIVATION_MAX, compand
from luxvox.entropy.picture.layers import N_SCALES, SHIFTS

TAIL_SHARE, TAIL_RATIO = 0.15, 2.5


class _Rounded(torch.autograd.Function):
    """Round half up; gradients pass straight through."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return (value + 0.5).floor_()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def round_half_up(value: Tensor) -> Tensor:
    """Round half up; gradients pass straight through."""
    whole: Tensor = _Rounded.apply(value)  # type: ignore[no-untyped-call]
    return whole


class _Companded(torch.autograd.Function):
    """Compand whole codes, with the gradient of the logarithm that companding follows."""

    @staticmethod
    def forward(ctx: Any, codes: Tensor) -> Tensor:
        ctx.save_for_backward(codes)
        return compand(codes.round().mul_(16.0))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Companding follows 8 log2(1 + 4 |code|), whose slope is 32 / ln 2 / (1 + 4 |code|).
        (codes,) = ctx.saved_tensors
        slope = codes.sign().abs_().mul_(32.0 / math.log(2.0))  # 0 at zero
        by_codes: Tensor = gradient * slope / codes.abs().mul_(4.0).add_(1.0)
        return by_codes


def compand_codes(codes: Tensor) -> Tensor:
    """Return companded codes as the integer network uses them, with gradients."""
    whole: Tensor = _Companded.apply(codes)  # type: ignore[no-untyped-call]
    return whole


class _Activated(torch.autograd.Function):
    """Scale, round and clamp to 0 … 127; gradients pass the rounding straight through."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor, factor: float) -> Tensor:
        # [C] -> [C, 1, 1], added to [B, C, H, W]; the rest works in place, on that sum.
        y = x + bias[:, None, None].to(x.dtype)
        y.mul_(factor).add_(0.5).floor_()

        # For the gradient it is enough to know which values the clamp leaves unchanged.
        ctx.factor = factor
        ctx.save_for_backward((y >= 0.0) & (y <= ACTIVATION_MAX))
        return y.clamp_(0.0, ACTIVATION_MAX)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (inside,) = ctx.saved_tensors
        to_x = gradient * inside
        to_x.mul_(ctx.factor)

        # [B, C, H, W] -> [C], summed in float32 whatever the precision of the layer.
        to_bias = to_x.sum((0, 2, 3), dtype=torch.float32)
        return to_x, to_bias, None


def activate(x: Tensor, bias: Tensor, layer: str) -> Tensor:
    """Return the output of a layer: sums [B, C, H, W] plus a bias [C], scaled, rounded, clamped."""
    y: Tensor = _Activated.apply(x, bias, 2.0 ** -SHIFTS[layer])  # type: ignore[no-untyped-call]
    return y


class _AtPositions(torch.autograd.Function):
    """Pick positions; the gradient is zero at all others."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, positions: Tensor) -> Tensor:
        ctx.size = x.shape[2:]
        ctx.save_for_backward(positions)

        # [B, C, H, W] -> [B, H · W, C] -> [B, n, C] -> [B, C, n, 1]
        rows = x.permute(0, 2, 3, 1).flatten(1, 2).index_select(1, positions)
        return rows.transpose(1, 2)[..., None]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # [B, C, n, 1] -> [B, H · W, C] -> [B, C, H, W]
        (positions,) = ctx.saved_tensors
        batch, channels = gradient.shape[:2]
        rows = gradient.new_zeros(batch, *ctx.size, channels)
        rows.flatten(1, 2).index_copy_(1, positions, gradient[..., 0].transpose(1, 2))
        return rows.permute(0, 3, 1, 2), None


def at_positions(x: Tensor, positions: Tensor) -> Tensor:
    """Return values [B, C, H, W] at positions [n], numbered in row order: [B, C, n, 1]."""
    picked: Tensor = _AtPositions.apply(x, positions)  # type: ignore[no-untyped-call]
    return picked


class _LogisticBits(torch.autograd.Function):
    """Bits of values under two logistics; the forward pass also computes the gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        # An index is a quarter of an octave; 0 is a width of a twentieth of a step.
        inverse = torch.exp2(scale.clamp(0, N_SCALES - 1).mul_(-0.25)).mul_(20.0)

        # Logistics are symmetric: in the lower tail differences of sigmoids keep their precision.
        difference = value - mean * 0.125
        distance = difference.abs()

        total = torch.zeros_like(distance)
        by_distance = torch.zeros_like(distance)
        by_width = torch.zeros_like(distance)
        for share, ratio in ((1.0 - TAIL_SHARE, 1.0), (TAIL_SHARE, TAIL_RATIO)):
            # The probability of a step is the difference of the sigmoids at its ends.
            pace = inverse if ratio == 1.0 else inverse / ratio
            high = (0.5 - distance).mul_(pace)
            low = (-0.5 - distance).mul_(pace)
            upper = torch.sigmoid(high)
            lower = torch.sigmoid(low)
            total.add_(upper - lower, alpha=share)

            # σ' = σ (1 − σ); both ends move with the distance, and with the logarithm of the width.
            d_upper = upper.mul_(1.0 - upper)
            d_lower = lower.mul_(1.0 - lower)
            by_width.add_(high.mul_(d_upper).sub_(low.mul_(d_lower)), alpha=-share)
            by_distance.add_(d_upper.sub_(d_lower).mul_(pace), alpha=-share)

        # −log2 has the slope −1 / (ln 2 · total); at the floor bits do not change.
        legal = total > 1e-8
        total.clamp_(min=1e-8)
        per_total = (-1.0 / math.log(2.0)) / total * legal
        by_value = by_distance.mul_(per_total).mul_(difference.sign())

        # One more index is a quarter of an octave of width; beyond the ends the index is clamped.
        in_range = (scale > 0) & (scale < N_SCALES - 1)
        by_scale = by_width.mul_(per_total).mul_(0.25 * math.log(2.0)).mul_(in_range)

        ctx.save_for_backward(by_value, by_scale)
        return -torch.log2(total)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # A mean is in eighths of a step, and moves against the value.
        by_value, by_scale = ctx.saved_tensors
        to_value = gradient * by_value
        return to_value, to_value * -0.125, gradient * by_scale


def logistic_bits(value: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """Return the bits of values under two logistics with the same mean, integrated over a step.

    Args:
        value: in steps.
        mean: in eighths of a step.
        scale: index of the scale.
    """
    bits: Tensor = _LogisticBits.apply(value, mean, scale)  # type: ignore[no-untyped-call]
    return bits
