"""The start of voice training: principal directions, k-means stage by stage, static tables."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.lloyd import (
    codeword_counts,
    entropy_constrained_lloyd,
    nearest,
    usage,
)
from luxvox.models.voice.networks import DEPTH_POWER, SpeechConfig, SpeechModel, typical_db
from luxvox.models.voice.rvq import N_RATE_BINS, ResidualVQ, rate_bin
from luxvox.models.voice.spectra import N_BINS, N_REALS, envelopes, spectrum
from luxvox.timeline import CODED_RATE_HZ

log = logging.getLogger(__name__)

N_CROPS = 600
N_REFIT_CROPS = 5000
N_RATES = 12
CROP_FRAMES = 100
N_ITERATIONS = 10
ENVELOPE_SCALE = 3.5
LOW_HZ, MIN_WEIGHT = 1500.0, 0.15  # complex spectra count half at the first, at least the second
TRIVIAL_RATE_WEIGHT = 0.01  # codebooks are fitted to plain distances
START_SHARE = 0.25  # codewords start at vectors times this; whole ones would be used by few others


@torch.no_grad()
def untrained_speech_model(voices: Recordings, config: SpeechConfig, seed: int) -> SpeechModel:
    """Return a model that is a linear codec with codebooks fitted to `voices`.

    A quarter of the latent holds principal directions of envelopes, the rest principal directions
    of complex spectra. Codewords code the largest numbers first, so the scales decide how bits are
    spent: on envelopes, then on sound below 1.5 kHz (docs/decisions/031).
    """
    generator = torch.Generator().manual_seed(seed)
    model = SpeechModel(config)

    # [B, T] -> [B, 642, F] -> [B, 2 · n_bands, F]
    compressed = spectrum(voices.crops(N_CROPS, CROP_FRAMES, generator))
    heard = envelopes(compressed, config.n_bands)

    # Envelopes cannot have more directions than numbers.
    n_envelopes = min(config.n_channels // 4, 2 * config.n_bands)
    model.down.zero_()
    model.down[:n_envelopes, N_REALS:] = ENVELOPE_SCALE * principal_directions(heard, n_envelopes)

    # Directions are found in the weighted spectrum, so they must include the weights.
    weights = spectrum_weights()
    directions = principal_directions(
        compressed * weights[:, None], config.n_channels - n_envelopes
    )
    model.down[n_envelopes:, :N_REALS] = directions * weights

    # [B, 642, F] -> [B, n_channels, 1, F]; a few at a time, as the side path takes much memory.
    latents = torch.cat([model.latents(part) for part in torch.split(compressed, 50)])

    # Each fit needs the earlier ones: depths need the reference, tables the codebooks, and so on.
    model.reference_db.copy_(typical_db(latents))
    fit_codebooks(model, latents, generator)
    fit_static_bits(model, latents)
    fit_synthesis(model, latents, compressed)
    return model


def spectrum_weights() -> Tensor:
    """Return the weight of each of the 642 numbers of a compressed spectrum."""
    # [321] -> [642]: real and imaginary parts count the same.
    hertz = torch.linspace(0.0, CODED_RATE_HZ / 2, N_BINS)
    weights = 1.0 / (1.0 + (hertz / LOW_HZ).square())
    return weights.clamp(min=MIN_WEIGHT).repeat(2)


def principal_directions(values: Tensor, n: int) -> Tensor:
    """Return the n uncentred principal directions [n, C] of frames [B, C, F]."""
    # [B, C, F] -> [B · F, C] -> [C, C]
    frames = values.transpose(1, 2).flatten(0, 1).double()
    _, vectors = torch.linalg.eigh(frames.T @ frames)

    # Eigenvectors are columns in ascending order of eigenvalues: [C, C] -> [n, C].
    directions: Tensor = vectors.flip(1)[:, :n].T.float().contiguous()
    return directions


@torch.no_grad()
def fit_synthesis(model: SpeechModel, latents: Tensor, compressed: Tensor) -> None:
    """Fit the linear path of the synthesis by least squares, on codes at many rates."""
    log_step = torch.linspace(-0.999, 0.999, len(latents))
    codes = model.vq.encode(
        latents, log_step, model.config.rate_weight, model.depths(latents, log_step)
    )

    # [B, n_channels, F] -> [N, n_channels], [B, 642, F] -> [N, 642]
    decoded, target = (
        x.transpose(1, 2).flatten(0, 1).double()
        for x in (model.vq.decode(codes).squeeze(2), compressed / model.config.unit)
    )

    # A ridge of one squared step per frame keeps directions without codes from being amplified.
    ridge = torch.eye(decoded.shape[1], dtype=torch.float64) * len(decoded)

    # Least squares: [n_channels, 642] -> [642, n_channels]
    model.up.copy_(torch.linalg.solve(decoded.T @ decoded + ridge, decoded.T @ target).T)


@torch.no_grad()
def fit_codebooks(model: SpeechModel, latents: Tensor, generator: torch.Generator) -> None:
    """Fit all stages by k-means, each to the residual of the earlier ones."""
    vq = model.vq
    residual = vq.group(latents)[0].contiguous()  # [B, C, 1, F] -> [1, N, C] -> [N, C]
    initial_energy = residual.square().sum(1).mean()
    for stage in range(vq.n_stages):
        book = _fit_codebook(residual, vq, generator)
        vq.codebooks[stage, 0] = book
        residual = residual - book[nearest(residual, book)]
        share = float(residual.square().sum(1).mean() / initial_energy)
        log.info("stage %d: %.1f %% of the energy left", stage + 1, 100.0 * share)


@torch.no_grad()
def widen(model: SpeechModel, config: SpeechConfig) -> SpeechModel:
    """Return a model with the wide paths of a configuration, and as many blocks in them.

    New paths and blocks change nothing yet. Existing paths keep their widths and blocks.
    """
    old = model.config
    names = ["wide_analysis", "wide_synthesis", "fine"]
    sizes = {name: getattr(config, name) for name in names}
    if old.wide_width:
        for name in names:
            kept = tuple(getattr(old, name))
            sizes[name] = kept + sizes[name][len(kept) :]
    else:
        names = []
        others = ("wide_width", "wide_expansion", "fine_width")
        sizes |= {name: getattr(config, name) for name in others}
    wide = SpeechModel(dataclasses.replace(old, **sizes))

    # New paths and blocks keep their initial values, with which they change nothing.
    wide.load_state_dict({**wide.state_dict(), **model.state_dict()})
    for name in names:
        for block in getattr(wide, name).blocks[len(getattr(old, name)) :]:
            nn.init.zeros_(block.project.weight)
            nn.init.zeros_(block.project.bias)
    return wide


@torch.no_grad()
def with_stages(
    model: SpeechModel, voices: Recordings, n_stages: int, seed: int
) -> tuple[SpeechModel, int]:
    """Return a model with `n_stages` stages: its own first three fifths, and new ones.

    Also returns the number of its own stages that it keeps.

    The new ones are fitted by k-means to the residual, with the error of a frame weighted by the
    inverse of its length: in training, late stages saw mostly the loudest frames, and serve the
    others badly (docs/decisions/026). Networks do not change. Quality is spread over all stages, so
    the same bitrate gives a frame the same number of them.
    """
    generator = torch.Generator().manual_seed(seed)
    more = SpeechModel(_config_of_stages(model.config, n_stages))

    # Everything except the later stages and the static tables is copied.
    new = more.vq
    kept = min(model.config.n_stages * 3 // 5, n_stages)
    new.codebooks[:kept] = model.vq.codebooks[:kept]
    own = {"vq.codebooks": new.codebooks, "vq.bits": new.bits}
    more.load_state_dict({**model.state_dict(), **own})

    latents = latents_of_crops(more, voices, N_REFIT_CROPS, generator)
    for stage, vectors, shares in residuals(more, latents):
        # A frame counts by the share of rates at which it gets here, and by its inverse length.
        if stage >= kept:
            length = vectors.square().sum(1).add(1.0).sqrt()
            new.codebooks[stage, 0] = _fit_codebook(vectors, new, generator, shares / length)

    fit_static_bits(more, latents)
    return more, kept


def _config_of_stages(config: SpeechConfig, n_stages: int) -> SpeechConfig:
    """Return a configuration with another number of stages, and depths that grow with it."""
    # The same depth now needs a fineness smaller by growth^(1 / `DEPTH_POWER`); the slope at that
    # depth must not change.
    growth = n_stages / config.n_stages
    return dataclasses.replace(
        config,
        n_stages=n_stages,
        finest_depth=config.finest_depth * growth,
        slope_rise=config.slope_rise * growth ** (1.0 / DEPTH_POWER),
    )


def latents_of_crops(
    model: SpeechModel, voices: Recordings, n: int, generator: torch.Generator
) -> Tensor:
    """Return latents [n, n_channels, 1, F] of crops of 2 s."""
    # [n, T] -> [n, 642, F] -> [n, n_channels, 1, F], 50 crops at a time, so that the
    # samples, which are as large, can be freed.
    crops = voices.crops(n, CROP_FRAMES, generator)
    return torch.cat([model.latents(spectrum(part)) for part in torch.split(crops, 50)])


def residuals(model: SpeechModel, latents: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Go through the stages; yield each with its residuals, and how often frames reach it.

    The caller may change a stage's codebook before it asks for the next stage.

    Args:
        model: its codebooks and the rules of its depths.
        latents: [B, n_channels, 1, F] in steps.

    Yields:
        Stage, residuals [N, n_channels] of the frames that get here at some rate, and the share of
        all rates at which they do [N].
    """
    depths = _depths_at_all_rates(model, latents)
    residual = model.vq.group(latents)[0].contiguous()  # [B, C, 1, F] -> [1, N, C] -> [N, C]
    for stage in range(model.vq.n_stages):
        # [rates, N] -> [N]
        shares = (depths > stage).float().mean(0)
        reached = shares > 0
        residual, depths = residual[reached], depths[:, reached]
        yield stage, residual, shares[reached]

        book = model.vq.codebooks[stage, 0]
        residual = residual - book[nearest(residual, book)]


def _depths_at_all_rates(model: SpeechModel, latents: Tensor) -> Tensor:
    """Return depths [rates, N], evenly spaced for a typical frame up to its finest depth."""
    # Depths grow as fineness to a power, so evenly spaced depths take the inverse of it.
    fineness = ((torch.arange(N_RATES) + 0.5) / N_RATES).pow(1.0 / DEPTH_POWER)

    # [rates] -> [rates, B]; depths of each rate [B, 1, F] -> [N].
    log_steps = (1.0 - 2.0 * fineness)[:, None].expand(-1, len(latents))
    return torch.stack([model.depths(latents, log_step).flatten() for log_step in log_steps])


def _fit_codebook(
    vectors: Tensor, vq: ResidualVQ, generator: torch.Generator, weights: Tensor | None = None
) -> Tensor:
    """Fit a codebook [K, width] by k-means to vectors [N, width], errors weighted [N].

    In many dimensions, vectors are farther from each other than from zero: codewords that start at
    whole vectors would be used only by outliers.
    """
    size = vq.codebooks.shape[2]
    book = START_SHARE * vectors[torch.randperm(len(vectors), generator=generator)[:size]]
    book[0] = 0.0  # null
    book, _ = entropy_constrained_lloyd(
        vectors,
        book,
        N_ITERATIONS,
        generator,
        rate_weight=TRIVIAL_RATE_WEIGHT,
        weights=weights,
    )
    return book


@torch.no_grad()
def fit_static_bits(model: SpeechModel, latents: Tensor, n_rounds: int = 3) -> None:
    """Fit the static tables to the codes chosen with them, at log-steps of the whole range."""
    vq = model.vq
    size = vq.codebooks.shape[2]

    # Before anything is counted, all codewords cost the same, and null costs less.
    vq.bits.fill_(9.0)
    vq.bits[..., 0] = 4.0

    # Tables and choices depend on each other, so they alternate.
    log_step = torch.linspace(-0.999, 0.999, len(latents))
    for _ in range(n_rounds):
        limits = model.depths(latents, log_step)
        codes = vq.encode(latents, log_step, model.config.rate_weight, limits)
        for number in range(N_RATE_BINS):
            in_bin = rate_bin(log_step) == number
            vq.bits[number] = bits_from_counts(codeword_counts(codes[in_bin], size).float())

    # The choices of the last round show how evenly the codebooks are used.
    for stage, table in enumerate(codeword_counts(codes, size)):
        alive, perplexity = usage(table.float())
        text = "stage %d: %.1f %% of the codewords used, perplexity %.1f, %d places"
        log.info(text, stage + 1, 100.0 * alive, perplexity, int(table.sum()))


def bits_from_counts(counts: Tensor) -> Tensor:
    """Return the cost in bits of codewords, from counts [stages, groups, K] with a small prior."""
    seen = counts + 0.2
    return -torch.log2(seen / seen.sum(-1, keepdim=True))
