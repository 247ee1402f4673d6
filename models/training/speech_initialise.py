"""Phase 0 of voices: principal directions, k-means stage after stage, static tables."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from luxvox.models.rvq import (
    N_RATE_BINS,
    entropy_constrained_lloyd,
    rate_bin,
    usage,
    word_counts,
)
from luxvox.models.speech import (
    N_BINS,
    N_REALS,
    SAMPLE_RATE_HZ,
    SpeechConfig,
    SpeechModel,
    envelopes,
    spectrum,
    typical_db,
)
from luxvox.models.training.recordings import Recordings

log = logging.getLogger(__name__)

N_CROPS = 600
CROP_FRAMES = 100
N_ITERATIONS = 6
ENVELOPE_SCALE = 3.5
LOW_HZ, LEAST_WEIGHT = 1500.0, 0.15  # complex spectra count half at the one, at least the other
TRIVIAL_RATE_WEIGHT = 0.01  # codebooks are fitted to plain distances


@torch.no_grad()
def untrained_speech_model(voices: Recordings, config: SpeechConfig, seed: int) -> SpeechModel:
    """Return a model that is a linear codec with codebooks fitted to `voices`.

    A quarter of the latent are principal directions of envelopes, the rest those of complex
    spectra.  A word takes what is largest first, so their scale says what bits are spent on:
    envelopes, then what is below 1.5 kHz (docs/decisions.md).
    """
    generator = torch.Generator().manual_seed(seed)
    model = SpeechModel(config)
    compressed = spectrum(voices.crops(N_CROPS, CROP_FRAMES, generator))
    n_envelopes = min(config.n_channels // 4, 2 * config.n_bands)
    heard = envelopes(compressed, config.n_bands)
    model.down.zero_()
    model.down[:n_envelopes, N_REALS:] = ENVELOPE_SCALE * principal_directions(heard, n_envelopes)
    weights = spectrum_weights()
    directions = principal_directions(
        compressed * weights[:, None], config.n_channels - n_envelopes
    )
    model.down[n_envelopes:, :N_REALS] = directions * weights
    latents = torch.cat([model.latents(part) for part in torch.split(compressed, 50)])
    model.reference_db.copy_(typical_db(latents))
    fit_codebooks(model, latents, generator)
    fit_static_bits(model, latents)
    fit_synthesis(model, latents, compressed)
    return model


def spectrum_weights() -> Tensor:
    """Return what each of the 642 numbers of a compressed spectrum counts."""
    hertz = torch.linspace(0.0, SAMPLE_RATE_HZ / 2, N_BINS)
    return (1.0 / (1.0 + (hertz / LOW_HZ).square())).clamp(min=LEAST_WEIGHT).repeat(2)


def principal_directions(values: Tensor, n: int) -> Tensor:
    """Return the n uncentred principal directions [n, C] of frames [B, C, F]."""
    frames = values.transpose(1, 2).flatten(0, 1).double()
    _, vectors = torch.linalg.eigh(frames.T @ frames)
    directions: Tensor = vectors.flip(1)[:, :n].T.float().contiguous()
    return directions


@torch.no_grad()
def fit_synthesis(model: SpeechModel, latents: Tensor, compressed: Tensor) -> None:
    """Let the linear path of the synthesis give what is nearest, coded at many rates."""
    position = torch.linspace(-0.999, 0.999, len(latents))
    codes = model.vq.encode(
        latents, position, model.config.rate_weight, model.depths(latents, position)
    )
    known, wanted = (
        x.transpose(1, 2).flatten(0, 1).double()
        for x in (model.vq.decode(codes).squeeze(2), compressed / model.config.unit)
    )
    # One squared step a frame: directions that the codes leave out are not blown up.
    ridge = torch.eye(known.shape[1], dtype=torch.float64) * len(known)
    model.up.copy_(torch.linalg.solve(known.T @ known + ridge, known.T @ wanted).T)


@torch.no_grad()
def fit_codebooks(model: SpeechModel, latents: Tensor, generator: torch.Generator) -> None:
    """Fit all stages by k-means, each to what the earlier ones leave."""
    vq = model.vq
    rest = vq.group(latents)[0].contiguous()
    size = vq.codebooks.shape[2]
    start_power = rest.square().sum(1).mean()
    for stage in range(vq.n_stages):
        book = rest[torch.randperm(len(rest), generator=generator)[:size]].clone()
        book[0] = 0.0
        book, choice = entropy_constrained_lloyd(
            rest, book, N_ITERATIONS, generator, rate_weight=TRIVIAL_RATE_WEIGHT
        )
        vq.codebooks[stage, 0] = book
        rest = rest - book[choice]
        left = float(rest.square().sum(1).mean() / start_power)
        log.info("stage %d: %.1f %% of the energy left", stage + 1, 100.0 * left)


@torch.no_grad()
def fit_static_bits(model: SpeechModel, latents: Tensor, n_rounds: int = 3) -> None:
    """Fit the static tables to the codes that are chosen with them, at positions all over."""
    vq, size = model.vq, model.vq.codebooks.shape[2]
    vq.bits.fill_(9.0)
    vq.bits[..., 0] = 4.0
    position = torch.linspace(-0.999, 0.999, len(latents))
    for _ in range(n_rounds):
        limits = model.depths(latents, position)
        codes = vq.encode(latents, position, model.config.rate_weight, limits)
        for number in range(N_RATE_BINS):
            some = rate_bin(position) == number
            vq.bits[number] = bits_from_counts(word_counts(codes[some], size).float())
    for stage, table in enumerate(word_counts(codes, size)):
        alive, perplexity = usage(table.float())
        text = "stage %d: %.1f %% of the words used, perplexity %.1f, %d places"
        log.info(text, stage + 1, 100.0 * alive, perplexity, int(table.sum()))


def bits_from_counts(counts: Tensor) -> Tensor:
    """Return the cost in bits of words counted [stages, groups, K], each seen a little."""
    seen = counts + 0.2
    return -torch.log2(seen / seen.sum(-1, keepdim=True))
