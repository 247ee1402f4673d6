"""The whole-number arithmetic in float32 of both context models: limits, companding, rescaling."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ACTIVATION_MAX = 127
ACCUMULATOR_LIMIT = 1 << 24


def _compand_table() -> NDArray[np.int16]:
    """The integer logarithm of 2v + 8 with three fraction bits, for v = 0 … 32767."""
    u = 2 * np.arange(32768, dtype=np.int64) + 8
    exponent = np.zeros_like(u)
    for shift in range(3, 18):
        exponent[u >> shift > 0] = shift
    return (8 * (exponent - 3) + ((u >> (exponent - 3)) & 7)).astype(np.int16)


_COMPAND = torch.from_numpy(_compand_table().astype(np.float32))


def compand(values: Tensor) -> Tensor:
    """Map latents in 1/16 step (whole numbers) to −104 … 104, about logarithmically."""
    magnitude = values.abs().clamp(max=32767).long()
    return _COMPAND.to(values.device)[magnitude] * values.sign()


def rescale(accumulator: Tensor, shift: int) -> Tensor:
    """Return floor(accumulator / 2^shift + 1/2); gradients pass straight through."""
    scaled = accumulator * 2.0**-shift
    if not scaled.requires_grad:
        return scaled.add_(0.5).floor_()
    return scaled + (torch.floor(scaled + 0.5) - scaled).detach()
