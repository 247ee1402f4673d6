"""Noise in pauses: quiet frames far from others get random phases (FORMAT.md, Samples).

From null codes the networks make the same spectrum in every frame, and from few codes nearly the
same, so its waveform repeats 50 times a second, and pauses hum. With other phases in each frame the
same spectrum sounds like the noise of a room. The phases follow from the numbers of frames, so a
file always sounds the same.
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
        quiet: which of the frames are quiet, bool [F].
    """

    latents: Tensor
    quiet: Tensor


def scatter_phases(spectra: Tensor, quiet: Tensor, first_frame: int) -> Tensor:
    """Turn the phases of quiet frames far from others by pseudo-random angles.

    Args:
        spectra: [B, F, 2 · bins], real parts, then imaginary parts.
        quiet: bool [B, F]; frames outside count as quiet.
        first_frame: number of the first of these frames in the recording.
    """
    others = (~quiet)[:, None].to(spectra.dtype)
    near = F.max_pool1d(others, 2 * NEAR_FRAMES + 1, 1, NEAR_FRAMES)[:, 0] > 0.0
    if near.all():
        return spectra

    n_bins = spectra.shape[2] // 2
    frames = np.arange(first_frame, first_frame + spectra.shape[1])
    angles = torch.from_numpy(phase_angles(frames, n_bins)).to(spectra.device)
    angles = angles.masked_fill(near[..., None], 0.0)
    cosine, sine = angles.cos().to(spectra.dtype), angles.sin().to(spectra.dtype)
    real, imaginary = spectra.chunk(2, 2)
    turned = real * cosine - imaginary * sine, real * sine + imaginary * cosine
    return torch.cat(turned, 2)


def phase_angles(frames: NDArray[np.int64], n_bins: int) -> NDArray[np.float64]:
    """Return angles [F, bins] in 0 … 2π from the numbers of frames and bins.

    The numbers are mixed as at the end of MurmurHash3 (Appleby, 2011).
    """
    number = (frames[:, None] * n_bins + np.arange(n_bins)).astype(np.uint32)
    number ^= number >> np.uint32(16)
    number *= np.uint32(0x85EBCA6B)
    number ^= number >> np.uint32(13)
    number *= np.uint32(0xC2B2AE35)
    number ^= number >> np.uint32(16)
    return number.astype(np.float64) * (2.0 * math.pi / 2.0**32)
