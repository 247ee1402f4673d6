"""Latents of a voice corrected by what is heard of their codes.

The analysis network does not know how its latents will be quantised, nor what the synthesis makes
of the codes.  A few steps down the gradient of the distances that networks are trained by, past
the quantiser straight through (van den Oord et al., 2017), are semi-amortised inference (Kim et
al., 2018; Campos et al., 2019, for compression).  How long a step is follows what quantisation
takes from the latents.  Gradients of frames are brought nearer to one length, lest the few whose
distances are steep take most of it.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.models.speech import SpeechModel
from luxvox.models.speech_losses import distortions, spectra

EVENNESS = 0.75  # of gradients over frames: 0 as they are, 1 all of one length
FIRST_STEP = 0.35  # of what quantisation takes, root mean squares; over √n for n steps
LAST_STEP = 0.25  # of the first
LEAST = 1e-12
MIN_SAMPLES = 6720  # fewer are too short to be listened to


def refined_latents(
    model: SpeechModel,
    latents: Tensor,
    samples: Tensor,
    depths: NDArray[np.int64],
    n_steps: int,
) -> tuple[Tensor, Tensor]:
    """Return latents whose codes sound nearer to the recording, and about which codes those are.

    The codes, int16 [1, stages, 1, 1, F], are the nearest words before the last correction.

    Args:
        model: the networks.
        latents: [n_channels, 1, F] in steps.
        samples: [320 · (F − 1)] at 16 kHz and the common level.
        depths: stages [F] that each frame will be cut to.
        n_steps: how often the latents are corrected.
    """
    middle, limits = torch.zeros(1), torch.from_numpy(depths)[None, None]
    encode = functools.partial(
        model.vq.encode, position=middle, rate_weight=model.config.rate_weight, limits=limits
    )
    refined, length = latents[None].clone(), torch.zeros(())
    codes = encode(refined)
    if len(samples) < MIN_SAMPLES or not depths.any():
        return latents, codes
    wanted = spectra(samples[None])
    half_precision = has_bfloat16_units()
    for step in range(n_steps):
        if step > 0:
            codes = encode(refined)
        error = model.vq.decode(codes, int(depths.max())) - refined
        if step == 0:
            length = FIRST_STEP / math.sqrt(n_steps) * _root_mean_square(error[..., depths > 0])
        with torch.enable_grad():
            refined.requires_grad_(True)
            heard = model.samples(refined + error, half_precision)
            loss, _ = distortions(spectra(heard), wanted)
            (gradient,) = torch.autograd.grad(loss, [refined])
        refined = refined.detach()
        gradient /= gradient.square().mean(1, keepdim=True).sqrt().clamp(min=LEAST).pow(EVENNESS)
        share = LAST_STEP + (1.0 - LAST_STEP) * (1.0 - step / n_steps)
        refined -= share * length / _root_mean_square(gradient) * gradient
    return refined[0], codes


@functools.lru_cache(maxsize=1)
def has_bfloat16_units() -> bool:
    """Return whether the processor multiplies matrices of bfloat16 in units of their own (AMX)."""
    return bool(torch.cpu._is_amx_tile_supported())


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt().clamp(min=LEAST)
