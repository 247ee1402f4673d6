"""Phase 0: the untrained codec. DCT networks, Lloyd codebooks, static tables; no gradient."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import torch
from torch import Tensor

from luxvox.models.dct import initialise_as_dct, measure_channels
from luxvox.models.image import LEVELS, ImageConfig, PictureModel, step_to_position
from luxvox.models.rvq import (
    N_RATE_BINS,
    ResidualVQ,
    entropy_constrained_lloyd,
    lattice_codebook,
    rate_bin,
    usage,
    word_counts,
)
from luxvox.models.training.data import Pictures, to_units

log = logging.getLogger(__name__)

N_STATISTICS = 300  # pictures that the order of channels is measured on
N_CROPS = 1536
CROP = 128
N_VECTORS = 60_000  # a group; 230 for each codeword
N_ITERATIONS = 16
MAX_LATTICE_DIMENSIONS = 4


def untrained_model(
    pictures: Pictures,
    config: ImageConfig,
    seed: int,
    prepare: Callable[[PictureModel], None] | None = None,
) -> PictureModel:
    """Return a model that is an exact DCT codec with codebooks fitted to `pictures`.

    `prepare` may change the model before its codebooks are fitted.
    """
    generator = torch.Generator().manual_seed(seed)
    model = PictureModel(config)
    sample = [to_units(p) for p in pictures.pictures[:N_STATISTICS]]
    channels = measure_channels(sample)
    initialise_as_dct(model.analysis, model.synthesis, channels)
    model.order_16.copy_(channels.stride_16)
    model.order_32.copy_(channels.stride_32)
    if prepare is not None:
        prepare(model)
    fit_codebooks(model, pictures, generator)
    return model


def random_steps(n: int, config: ImageConfig, generator: torch.Generator) -> Tensor:
    """Draw steps [n] in 8-bit levels, uniform in log-step, stratified over the n."""
    u = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    u = u[torch.randperm(n, generator=generator)]
    return config.finest_step * (config.coarsest_step / config.finest_step) ** u


@torch.no_grad()
def fit_codebooks(model: PictureModel, pictures: Pictures, generator: torch.Generator) -> None:
    """Replace all codebooks and static tables by entropy-constrained Lloyd on fresh latents."""
    steps = random_steps(N_CROPS, model.config, generator)
    parts: dict[str, list[Tensor]] = {level: [] for level in LEVELS}
    for some in torch.split(steps, 32):
        latents = model.latents(pictures.crops(len(some), CROP, generator), some)
        for level, y in latents.items():
            parts[level].append(y)
    position = step_to_position(steps, model.config)
    for level in LEVELS:
        _fit_level(model.quantiser(level), torch.cat(parts[level]), position, generator)
        _report_usage(level, model.quantiser(level), torch.cat(parts[level]), position)


def _fit_level(
    vq: ResidualVQ, latents: Tensor, position: Tensor, generator: torch.Generator
) -> None:
    vectors = vq.group(latents)
    places = latents.shape[2] * latents.shape[3]
    bins = rate_bin(position).repeat_interleave(places)
    keep = torch.randperm(vectors.shape[1], generator=generator)[:N_VECTORS]
    bins = bins[keep]
    size = vq.codebooks.shape[2]
    for group in range(len(vq.slots)):
        rest, rest_bins = vectors[group, keep].contiguous(), bins
        dimensions = int((vq.slots[group] < vq.n_channels).sum())
        for stage in range(vq.n_stages):
            if len(rest) < size:  # hardly anything gets here: the plain lattice will do
                vq.codebooks[stage, group] = lattice_codebook(min(dimensions, 4), size)
                vq.bits[:, stage, group] = math.log2(size)
                continue
            book, choice = _fit_codebook(rest, dimensions, size, generator)
            vq.codebooks[stage, group] = book
            vq.bits[:, stage, group] = static_bits(choice, rest_bins, size)
            alive = choice != 0
            rest = (rest - book[choice])[alive]
            rest_bins = rest_bins[alive]


def _report_usage(level: str, vq: ResidualVQ, latents: Tensor, position: Tensor) -> None:
    counts = word_counts(vq.encode(latents[::4], position[::4]), vq.codebooks.shape[2])
    for stage, table in enumerate(counts):
        alive, perplexity = usage(table.float())
        text = "%s, stage %d: %.1f %% of the words used, perplexity %.1f"
        log.info(text, level, stage + 1, 100.0 * alive, perplexity)


def _fit_codebook(
    vectors: Tensor, dimensions: int, codebook_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Fit from a lattice in few dimensions, from random vectors where a lattice is too sparse."""
    if dimensions <= MAX_LATTICE_DIMENSIONS:
        book = lattice_codebook(dimensions, codebook_size)
        return entropy_constrained_lloyd(vectors, book, 6, generator, reseed=False)
    book = vectors[torch.randint(len(vectors), (codebook_size,), generator=generator)]
    book[0] = 0.0
    return entropy_constrained_lloyd(vectors, book, N_ITERATIONS, generator)


def static_bits(choice: Tensor, bins: Tensor, codebook_size: int) -> Tensor:
    """Return the cost in bits [N_RATE_BINS, K] of words chosen in ranges of the log-step.

    Each range's table is shrunk towards the table of all ranges, worth 50 choices.
    """
    joint = torch.zeros(N_RATE_BINS, codebook_size)
    joint.index_put_((bins, choice), torch.ones(len(choice)), accumulate=True)
    total = joint.sum(0) + 0.5
    prior = total / total.sum()
    joint += 50.0 * prior
    return -torch.log2(joint / joint.sum(1, keepdim=True))
