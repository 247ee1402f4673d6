"""Correction of a voice's latents by gradient descent on the audible distance of the result.

The analysis network knows neither how its latents will be quantised, nor how the synthesis will
decode them. A few steps down the gradient of the training distances, passed straight through the
quantiser (van den Oord et al., 2017), are semi-amortised inference (Kim et al., 2018; Campos et
al., 2019, for compression). The length of a step follows the quantisation error of the latents.
Gradients of frames are scaled to more equal lengths, so that a few frames with steep distances do
not take most of the step.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from luxvox.models.processor import has_bfloat16
from luxvox.models.voice.distance_weights import FOR_CORRECTION
from luxvox.models.voice.losses import Spectra, distortions, spectra
from luxvox.models.voice.networks import SYNTHESIS_PARTS, SpeechModel
from luxvox.timeline import FRAME_SAMPLES

EVENNESS = 0.75  # of gradients over frames: 0 leaves them, 1 makes all lengths equal
FIRST_STEP = 0.55  # of the quantisation error (root mean squares); divided by √n for n steps
STEP_LIMIT = 0.25  # of the first: the limit that the lengths of steps approach
FLOOR = 1e-12
MIN_SAMPLES = 6720  # fewer are too short for the distances
MIN_FRAMES = MIN_SAMPLES // FRAME_SAMPLES + 1


@dataclass(frozen=True)
class Corrected:
    """Latents corrected by the audible error of their codes.

    Attributes:
        latents: [n_channels, 1, F] in steps.
        codes: estimate of the final codes, int16 [1, stages, 1, 1, F]: the nearest codewords before
            the last correction.
    """

    latents: Tensor
    codes: Tensor


def correct_latents(
    model: SpeechModel,
    latents: Tensor,
    samples: Tensor,
    depths: NDArray[np.int64],
    n_steps: int,
) -> Corrected:
    """Correct latents so that their codes sound closer to the recording.

    Args:
        model: the networks, on the device that does the work; all tensors come from the CPU and
            return to it.
        latents: [n_channels, 1, F] in steps.
        samples: [320 · (F − 1)] at 16 kHz and the common level.
        depths: how many stages each frame gets [F].
        n_steps: how often the latents are corrected.
    """
    device = model.device
    corrected, length = latents[None].to(device), torch.zeros((), device=device)
    codes = _nearest_codes(model, corrected, depths)
    if len(samples) < MIN_SAMPLES or not depths.any():
        return Corrected(latents, codes.cpu())

    original = spectra(samples[None].to(device))
    for step in range(n_steps):
        if step > 0:
            codes = _nearest_codes(model, corrected, depths)

        # Gradients pass straight through quantisation: codes count as latents plus a fixed error.
        error = model.vq.decode(codes, int(depths.max())) - corrected
        if step == 0:
            length = first_length(error[..., depths > 0], n_steps)

        gradient = _gradient(model, corrected, error, original)
        corrected = take_step(corrected, gradient, length, step / n_steps)

    return Corrected(corrected[0].cpu(), codes.cpu())


@functools.lru_cache(maxsize=4)
def networks_for_correction(model: SpeechModel) -> SpeechModel:
    """Return networks that correct as those of a model do, but take less memory.

    They hold the matrices of the synthesis in bfloat16, if the processor multiplies those;
    otherwise every thread that corrects converts them to a copy of its own, for each gradient. All
    other tensors are shared.
    """
    if not _in_bfloat16(model.device):
        return model
    with torch.device("meta"):
        twin = SpeechModel(model.config)
    layers = {
        f"{name}."
        for name, layer in twin.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d) and not name.endswith("depthwise")
    }

    state = model.state_dict()
    for name, tensor in state.items():
        if name.startswith(SYNTHESIS_PARTS) and name[: name.rfind(".") + 1] in layers:
            state[name] = tensor.to(torch.bfloat16)
    twin.load_state_dict(state, assign=True)
    return twin.eval().requires_grad_(False)


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


def _root_mean_square(values: Tensor) -> Tensor:
    return values.square().mean().sqrt().clamp(min=FLOOR)
