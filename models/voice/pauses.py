"""Noise in pauses: quiet frames far from others get random phases (FORMAT.md, Samples).

From null codes the networks make the same spectrum in every frame, and from few codes nearly the
same, so its waveform repeats 50 times a second, and pauses hum. With other phases in each frame the
same spectrum sounds like the noise of a room. The phases follow from the frame's position in its
segment, so a file sounds the same every time and from wherever it is played.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

NEAR_FRAMES: Final = 3  # frames as near as this to one that is not quiet keep their phases


@dataclass(frozen=True)
class Stretch:
    """Some frames of a voice to be decoded.

    Attributes:
        latents: sums of codewords in steps [n_channels, 1, F].
        noise: for quiet frames the number of their noise, 0 or more; −1 for all others; int64 [F].
    """

    latents: Tensor
    noise: Tensor


def scatter_phases(spectra: Tensor, noise: Tensor) -> Tensor:
    """Turn the phases of quiet frames far from others by pseudo-random angles.

    Args:
        spectra: [B, F, 2 · bins], real parts, then imaginary parts.
        noise: [B, F] as in `Stretch`; frames outside count as quiet.
    """
    others = (noise < 0)[:, None].to(spectra.dtype)
    near = F.max_pool1d(others, 2 * NEAR_FRAMES + 1, 1, NEAR_FRAMES)[:, 0] > 0.0
    if near.all():
        return spectra

    angles = torch.from_numpy(phase_angles(noise.cpu().numpy(), spectra.shape[2] // 2))
    angles = angles.to(spectra.device).masked_fill(near[..., None], 0.0)
    cosine, sine = angles.cos().to(spectra.dtype), angles.sin().to(spectra.dtype)
    real, imaginary = spectra.chunk(2, 2)
    turned = real * cosine - imaginary * sine, real * sine + imaginary * cosine
    return torch.cat(turned, 2)


def phase_angles(noise: NDArray[np.int64], n_bins: int) -> NDArray[np.float64]:
    """Return angles […, bins] in 0 … 2π from the numbers […] of noises, and of bins.

    The numbers are mixed as at the end of MurmurHash3 (Appleby, 2011).
    """
    number = (noise[..., None] * n_bins + np.arange(n_bins)).astype(np.uint32)
    number ^= number >> np.uint32(16)
    number *= np.uint32(0x85EBCA6B)
    number ^= number >> np.uint32(13)
    number *= np.uint32(0xC2B2AE35)
    number ^= number >> np.uint32(16)
    return number.astype(np.float64) * (2.0 * math.pi / 2.0**32)
