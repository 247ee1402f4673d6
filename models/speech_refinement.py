"""Latents of a voice corrected by what is heard of their codes.

The analysis network does not know how its latents will be quantised, nor what the synthesis makes
of the codes.  A few steps of Adam (Kingma & Ba, 2015) on the latents, past the quantiser straight
through (van den Oord et al., 2017), lower the distances that networks are trained by:
semi-amortised inference (Kim et al., 2018; Campos et al., 2019, for compression).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.models.speech import SpeechModel, samples_from_spectrum
from luxvox.models.speech_losses import distortions, spectra

FIRST_STEP = 0.2  # of a typical frame's latent, root mean squares; over √n for n steps
LAST_STEP = 0.25  # of the first
MIN_SAMPLES = 6720  # fewer are too short to be listened to


def refined_latents(
    model: SpeechModel,
    latents: Tensor,
    samples: Tensor,
    depths: NDArray[np.int64],
    n_steps: int,
) -> Tensor:
    """Return latents whose codes sound nearer to the recording.

    Args:
        model: the networks.
        latents: [n_channels, 1, F] in steps.
        samples: [320 · (F − 1)] at 16 kHz and the common level.
        depths: stages [F] that each frame will be cut to.
        n_steps: how often the latents are corrected.
    """
    if len(samples) < MIN_SAMPLES or not depths.any():
        return latents
    typical = math.sqrt(math.pow(10.0, float(model.reference_db) / 10.0) / len(latents))
    first = FIRST_STEP * typical / math.sqrt(n_steps)
    wanted = spectra(samples[None])
    middle, limits = torch.zeros(1), torch.from_numpy(depths)[None, None]
    with torch.enable_grad():
        refined = latents[None].clone().requires_grad_(True)
        optimiser = torch.optim.Adam([refined], lr=first, betas=(0.8, 0.95))
        for step in range(n_steps):
            left = 1.0 - step / n_steps
            optimiser.param_groups[0]["lr"] = first * (LAST_STEP + (1.0 - LAST_STEP) * left)
            with torch.no_grad():
                codes = model.vq.encode(refined, middle, model.config.rate_weight, limits)
                error = model.vq.decode(codes) - refined
            heard = samples_from_spectrum(model.synthesise(refined + error))
            loss, _ = distortions(spectra(heard), wanted)
            (refined.grad,) = torch.autograd.grad(loss, [refined])
            optimiser.step()
    return refined.detach()[0]
