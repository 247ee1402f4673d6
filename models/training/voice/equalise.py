"""A basis for the latents of voices in which errors in all directions are about equally audible.

Codewords are placed and chosen by distance, so bits are wasted if a hardly audible direction has
the same scale as a clearly audible one. Joint training does not change that, since gradients pass
the quantiser straight through.

Near its minimum the audible distance D grows as eᵀ H e with an error e, and its gradient there is
g ≈ 2 H e.  The second moments E of errors and G ≈ 4 H E H of gradients give H, up to its
scale, as a geometric mean of matrices (Pusz and Woronowicz, 1975). Latents are multiplied by a
power of H; with H^(1/2) all directions would be the same near the minimum.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.follower import first_late_stage
from luxvox.models.training.voice.initialise import (
    TRIVIAL_RATE_WEIGHT,
    fit_static_bits,
    latents_of_crops,
    residuals,
)
from luxvox.models.training.voice.lloyd import entropy_constrained_lloyd
from luxvox.models.voice.losses import distortions, spectra
from luxvox.models.voice.networks import SpeechModel, typical_db
from luxvox.models.voice.spectra import spectrum

log = logging.getLogger(__name__)

N_BATCHES, BATCH, CROP_FRAMES = 60, 8, 75
LOG_STEPS = -0.2, 0.6  # of the errors, from few to many stages
N_FITTED_CROPS, N_ITERATIONS = 1320, 3
POWER = 0.7  # of the sensitivity; 1 would make all directions the same near the minimum
FLOOR = 1e-9


@torch.no_grad()
def equalise(model: SpeechModel, voices: Recordings, seed: int) -> None:
    """Change the basis of the latents, and fit the codebooks to it.

    All networks compute the same as before, in the new basis. Codes change, so the context model no
    longer fits them.
    """
    generator = torch.Generator().manual_seed(seed)
    sensitivity = _sensitivity(model, voices, generator)
    spread = torch.linalg.eigvalsh(sensitivity)
    ratio = float(spread.max() / spread.min().clamp(min=FLOOR)) ** 0.5
    log.info("errors in some directions are heard %.1f times as well as in others", ratio)

    # Columns with an average length of one keep the lengths of latents about the same.
    basis = _power(sensitivity, POWER / 2.0)
    basis = basis / basis.square().sum(0).mean().sqrt()
    _rebase(model, basis.float(), torch.linalg.inv(basis).float())

    latents = latents_of_crops(model, voices, N_FITTED_CROPS, generator)
    model.reference_db.copy_(typical_db(latents))
    for stage, vectors, shares in residuals(model, latents):
        is_late = stage >= first_late_stage(model.vq.n_stages)
        weights = shares / vectors.square().sum(1).add(1.0).sqrt() if is_late else shares
        model.vq.codebooks[stage, 0], _ = entropy_constrained_lloyd(
            vectors,
            model.vq.codebooks[stage, 0],
            N_ITERATIONS,
            generator,
            rate_weight=TRIVIAL_RATE_WEIGHT,
            weights=weights,
        )
        log.info("stage %d: fitted to %d frames", stage + 1, len(vectors))
    fit_static_bits(model, latents)


def _sensitivity(model: SpeechModel, voices: Recordings, generator: torch.Generator) -> Tensor:
    """Return how audible errors in each direction are, float64 [n_channels, n_channels]."""
    n = model.config.n_channels
    of_errors, of_gradients = (torch.zeros(n, n, dtype=torch.float64) for _ in range(2))
    low, high = LOG_STEPS
    for _ in range(N_BATCHES):
        samples = voices.crops(BATCH, CROP_FRAMES, generator)
        log_step = low + (high - low) * torch.rand(BATCH, generator=generator)
        latents = model.latents(spectrum(samples))
        depths = model.depths(latents, log_step)
        codes = model.vq.encode(latents, torch.zeros(1), model.config.rate_weight, depths)
        errors = model.vq.decode(codes) - latents

        with torch.enable_grad():
            varied = latents.requires_grad_(True)
            heard, _ = distortions(spectra(model.samples(varied + errors)), spectra(samples))
            (gradients,) = torch.autograd.grad(heard, [varied])

        coded = (depths > 0).flatten()
        of_errors += _moments(errors, coded)
        of_gradients += _moments(gradients, coded)

    # The geometric mean of the inverse of E, and G.
    root, inverse = _power(of_errors, 0.5), _power(of_errors, -0.5)
    sensitivity = inverse @ _power(root @ of_gradients @ root, 0.5) @ inverse
    return (sensitivity + sensitivity.T) / 2.0


def _moments(vectors: Tensor, coded: Tensor) -> Tensor:
    """Return the second moments of coded frames, scaled to equal length, float64."""
    # [B, n_channels, 1, F] -> [N, n_channels] -> [n_channels, n_channels]
    rows = vectors[:, :, 0].transpose(1, 2).flatten(0, 1)[coded].double()
    rows = torch.nn.functional.normalize(rows, dim=1)
    return rows.T @ rows


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Return a power of a symmetric positive matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    powers = values.clamp(min=FLOOR * float(values.max())).pow(exponent)
    product: Tensor = (vectors * powers) @ vectors.T
    return product


def _rebase(model: SpeechModel, basis: Tensor, inverse: Tensor) -> None:
    """Multiply the latents of the analysis by a basis, and undo it in the synthesis."""
    n = model.config.n_channels
    last, first = [model.analysis.leave], [model.synthesis.enter.weight]
    if model.config.wide_width:
        last.append(model.wide_analysis.leave)
        first.append(model.wide_synthesis.enter.weight)

    model.down.copy_(basis @ model.down)
    for layer in last:
        layer.weight.copy_(basis @ layer.weight)
        layer.bias.copy_(basis @ layer.bias)

    # [outputs, n_channels and more, taps or none]
    model.up.copy_(model.up @ inverse)
    for weight in first:
        weight[:, :n] = torch.einsum("oc...,cn->on...", weight[:, :n], inverse)
    model.vq.codebooks[..., :n] = model.vq.codebooks[..., :n] @ basis.T
