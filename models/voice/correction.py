"""Correction of a voice's latents by gradient descent on the audible distance of the result.

The analysis network knows neither how its latents will be quantised, nor how the synthesis will
decode them. A few steps down the gradient of the training distances, passed straight through the
quantiser (van den Oord et al., 2017), are semi-amortised inference (Kim et al., 2018; Campos et
al., 2019, for compression). The length of a step follows the quantisation error of the latents.
Gradients of frames are scaled to more equal lengths, so that a few frames with steep distances do
not take most of the step.

The first gradient also shows which frames are heard best: near its minimum a distance is half the
product of error and gradient, and a stage removes about the same share of it from every frame.
Frames where that product is large get more stages than their power alone would give them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from luxvox.models.processor import has_bfloat16
from luxvox.models.voice.distance_weights import FOR_CORRECTION
from luxvox.models.voice.losses import Spectra, distortions, spectra
from luxvox.models.voice.networks import SpeechModel

EVENNESS = 0.75  # of gradients over frames: 0 leaves them, 1 makes all lengths equal
FIRST_STEP = 0.35  # of the quantisation error (root mean squares); divided by √n for n steps
STEP_LIMIT = 0.25  # of the first: the limit that the lengths of steps approach
FLOOR = 1e-12
HEARD_SHARE = 0.2  # share of its decibels that is added to a frame's power when depths are chosen
HEARD_FRAMES = 2  # standard deviation of the averaging window
HEARD_FLOOR = 0.1  # of the mean
MIN_SAMPLES = 6720  # fewer are too short for the distances


@dataclass(frozen=True)
class Corrected:
    """Latents corrected by the audible error of their codes.

    Attributes:
        latents: [n_channels, 1, F] in steps.
        codes: estimate of the final codes, int16 [1, stages, 1, 1, F]: the nearest codewords before
            the last correction.
        heard_db: how much better each frame is heard than others, in decibels [F].
    """

    latents: Tensor
    codes: Tensor
    heard_db: NDArray[np.float32]


def correct_latents(
    model: SpeechModel,
    latents: Tensor,
    samples: Tensor,
    depths_for: Callable[[NDArray[np.float32]], NDArray[np.int64]],
    n_steps: int,
) -> Corrected:
    """Correct latents so that their codes sound closer to the recording.

    Args:
        model: the networks, on the device that does the work; all tensors come from the CPU and
            return to it.
        latents: [n_channels, 1, F] in steps.
        samples: [320 · (F − 1)] at 16 kHz and the common level.
        depths_for: gives the depth of each frame [F] from its `heard_db`.
        n_steps: how often the latents are corrected.
    """
    device = model.device
    corrected, length = latents[None].to(device), torch.zeros((), device=device)
    heard_db = np.zeros(latents.shape[2], np.float32)
    depths = depths_for(heard_db)

    codes = _nearest_codes(model, corrected, depths)
    if len(samples) < MIN_SAMPLES or not depths.any():
        return Corrected(latents, codes.cpu(), heard_db)

    original = spectra(samples[None].to(device))
    for step in range(n_steps):
        if step > 0:
            codes = _nearest_codes(model, corrected, depths)

        # Gradients pass straight through quantisation: codes count as latents plus a fixed error.
        error = model.vq.decode(codes, int(depths.max())) - corrected
        if step == 0:
            length = first_length(error[..., depths > 0], n_steps)

        gradient = _gradient(model, corrected, error, original)
        if step == 0:
            products = (error * gradient).sum((0, 1, 2)).cpu()
            heard_db = audibility_db(products, depths > 0)
            depths = depths_for(heard_db)

        corrected = take_step(corrected, gradient, length, step / n_steps)

    return Corrected(corrected[0].cpu(), codes.cpu(), heard_db)


def first_length(error: Tensor, n_steps: int) -> Tensor:
    """Return the length [] of the first of n corrections, from the quantisation error."""
    return FIRST_STEP / math.sqrt(n_steps) * _root_mean_square(error)


def take_step(latents: Tensor, gradient: Tensor, length: Tensor, done: float) -> Tensor:
    """Return latents after a correction.

    Args:
        latents: [..., n_channels, 1, F] in steps.
        gradient: of the audible distance, with respect to the latents.
        length: of the first correction.
        done: share of all corrections that came before.
    """
    gradient = _even_out(gradient)
    share = STEP_LIMIT + (1.0 - STEP_LIMIT) * (1.0 - done)
    return latents - share * length / _root_mean_square(gradient) * gradient


def _gradient(
    model: SpeechModel,
    latents: Tensor,
    error: Tensor,
    original: Spectra,
) -> Tensor:
    """Return the gradient of the audible distance at latents plus a constant error."""
    with torch.enable_grad():
        variable = latents.detach().requires_grad_(True)
        decoded = model.samples(variable + error, _in_bfloat16(model.device))
        loss, _ = distortions(spectra(decoded), original, FOR_CORRECTION)
        (gradient,) = torch.autograd.grad(loss, [variable])
    return gradient


def _nearest_codes(model: SpeechModel, latents: Tensor, depths: NDArray[np.int64]) -> Tensor:
    """Return the nearest codewords, int16 [1, stages, 1, 1, F], at the depths of the frames."""
    device = model.device
    middle, limits = torch.zeros(1, device=device), torch.from_numpy(depths).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=_in_bfloat16(device)):
        return model.vq.encode(latents, middle, model.config.rate_weight, limits[None, None])


def _in_bfloat16(device: torch.device) -> bool:
    return device.type == "cpu" and has_bfloat16()


def _even_out(gradient: Tensor) -> Tensor:
    """Make the lengths of frames' gradients more equal, so that none takes a whole step."""
    lengths = gradient.square().mean(-3, keepdim=True).sqrt().clamp(min=FLOOR)
    return gradient / lengths.pow(EVENNESS)


def audibility_db(products: Tensor, coded: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how much better each frame is heard than others, in decibels [F], 0 on average.

    Args:
        products: error times gradient of each frame [F].
        coded: which frames have codes [F]; the others are unknown and get 0.
    """
    reach = 3 * HEARD_FRAMES
    # A Gaussian window over neighbouring frames.
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / HEARD_FRAMES).square())

    # [F] -> [1, 1, F + 2 · reach] -> [F]
    padded = functional.pad(products[None, None], (reach, reach), mode="constant")
    smooth = functional.conv1d(padded, (kernel / kernel.sum())[None, None])[0, 0].clamp(min=0.0)

    # In decibels above the mean of the frames that have codes.
    has_codes = torch.from_numpy(coded)
    floor = HEARD_FLOOR * smooth[has_codes].mean() + FLOOR
    decibels = 10.0 * torch.log10(smooth + floor)
    relative = decibels - decibels[has_codes].mean()
    heard: NDArray[np.float32] = relative.where(has_codes, 0.0).numpy()
    return heard


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt().clamp(min=FLOOR)
