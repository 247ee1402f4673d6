"""The joint phase of voice training, and parts that other phases share."""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from luxvox.models.training.checkpoints import save_atomically
from luxvox.models.training.loop import of_all_processes, share_generator
from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.follower import CodebookFollower, first_late_stage
from luxvox.models.training.voice.lloyd import codeword_counts, usage
from luxvox.models.voice.losses import distortions, spectra
from luxvox.models.voice.networks import (
    DEPTH_POWER,
    SpeechConfig,
    SpeechModel,
    typical_db,
)
from luxvox.models.voice.spectra import spectrum
from luxvox.models.voice.weights import round_codebooks
from luxvox.timeline import CODED_RATE_HZ, FRAME_SAMPLES

BATCH = 8
CROP_FRAMES = 75
COMMITMENT = 0.01
RESTART_SHARE = 0.05  # codewords chosen less often than this share of the mean are restarted
PREFIX_SHARE = 0.1  # share of samples that see only the stages of the first section
N_VALIDATION = 10
VALIDATION_LOG_STEPS = (0.35, 0.1, -0.2)
REFERENCE_STEP = 0.02  # how fast the typical power follows the latents
MODEL_FILE = "model.safetensors"


class JointSpeechPhase:
    """Analysis, codebooks and synthesis together on hard codes.

    Gradients pass the quantiser straight through (van den Oord et al., 2017); codebooks and
    static tables follow by exponential averages.
    """

    name = "joint"

    def __init__(
        self,
        model: SpeechModel,
        voices: Recordings,
        held_back: Recordings,
        bfloat16: bool = False,
        learning_rate: float = 5e-4,
    ) -> None:
        self.learning_rate = learning_rate
        self.model = model
        self.voices = voices
        self.held_back = held_back
        self.bfloat16 = bfloat16
        late = first_late_stage(model.config.n_stages)
        self.follower = CodebookFollower(model.vq, RESTART_SHARE, late)

    def trained_module(self) -> nn.Module:
        """Return the whole model."""
        return self.model

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Use one learning rate for all: codebooks with restarts can follow the analysis."""
        return 1.0

    def memory(self) -> dict[str, Tensor]:
        """Return the state of the codebooks, and the power of a typical frame."""
        return {"reference_db": self.model.reference_db, **self.follower.memory()}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the distortion of a batch of crops of 1.5 s at random rates."""
        samples = self.voices.crops(BATCH, CROP_FRAMES, generator)
        log_step = random_log_steps(BATCH, self.model.config, generator)

        # [B, T] -> [B, 642, F] -> [B, n_channels, 1, F]
        bfloat16 = self.bfloat16
        latents = self.model.latents(spectrum(samples), bfloat16)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            quantised, bits = self._quantise(latents, log_step, generator)

        # [B, n_channels, 1, F] -> [B, T]; the quantisation error counts as constant, so gradients
        # pass straight through.
        decoded = self.model.samples(latents + (quantised - latents).detach(), bfloat16)

        # Spectra start at a random sample; otherwise pulses could hide between windows.
        shift = int(torch.randint(FRAME_SAMPLES // 2, (1,), generator=generator))
        pair = spectra(decoded[:, shift:]), spectra(samples[:, shift:])
        distortion, figures = distortions(*pair)

        # Latents are pulled towards their codewords, relative to the power of all latents.
        power = latents.detach().square().mean()
        commitment = (latents - quantised).square().mean() / power

        seconds = BATCH * CROP_FRAMES * FRAME_SAMPLES / CODED_RATE_HZ
        figures["kbps"] = bits / 1000.0 / seconds
        figures["alive"] = self.follower.alive_share()
        return distortion + COMMITMENT * commitment, figures

    def _quantise(
        self, latents: Tensor, log_step: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, float]:
        """Return decoded latents, and the bits of all codes by the static tables."""
        vq = self.model.vq
        config = self.model.config

        # Depths are relative to a typical frame of all processes, which changes with the analysis.
        if self.model.training:
            typical = typical_db(of_all_processes(latents.detach()))
            self.model.reference_db.lerp_(typical, REFERENCE_STEP)
        limits = self.model.depths(latents, log_step)
        codes = vq.encode(latents, torch.zeros(1), config.rate_weight, limits)
        bits = float(vq.static_bits(codes, log_step).sum())

        # Codebooks learn afterwards, since codewords that have seen the batch fit it too well. They
        # learn from the batches of all processes, so they are the same in all.
        quantised = self._prefixes(codes, generator)
        if self.model.training:
            seen = [of_all_processes(x) for x in (latents.detach(), codes.int(), log_step)]
            self.follower.learn(seen[0], seen[1], seen[2], share_generator(generator))
        return quantised, bits

    def _prefixes(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Decode codes [B, stages, 1, 1, F] to latents, some from the first section alone."""
        config = self.model.config
        drops = torch.rand(len(codes), generator=generator) < PREFIX_SHARE
        stages = torch.arange(config.n_stages)[None, :, None, None, None]

        # [B] and [1, stages, 1, 1, 1] -> [B, stages, 1, 1, 1]; the stages that are cut become null.
        cut = drops[:, None, None, None, None] & (stages >= config.first_stages)
        kept = codes * ~cut
        return self.model.vq.decode(kept)

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure rate, PESQ and STOI (where installed) on held-back voices; write samples."""
        folder.mkdir(exist_ok=True)
        figures: dict[str, float] = {}
        counts = torch.zeros(())
        n = min(N_VALIDATION, len(self.held_back.samples))
        for value in VALIDATION_LOG_STEPS:
            sums: dict[str, float] = {}
            for index in range(n):
                # Ten seconds of each voice are enough to hear and to measure.
                samples = self.held_back.whole(index)[None, : 10 * CODED_RATE_HZ]  # [1, T]
                codes, decoded, bits = code_samples(self.model, samples, value)
                counts = counts + codeword_counts(codes, self.model.config.codebook_size)

                # 16 samples are a millisecond, and a bit a millisecond is a kbit/s.
                scored = {"kbps": bits * 16.0 / samples.shape[1], **_scores(samples[0], decoded[0])}
                sums = {key: sums.get(key, 0.0) + number / n for key, number in scored.items()}
                if index < 2:
                    write_sample(samples[0], decoded[0], folder / f"{index}_{value:+.1f}")
            figures |= {f"{key}@{value:+.1f}": number for key, number in sums.items()}

        # Codewords are counted over all rates: rare ones are chosen at only some.
        for stage, table in enumerate(counts):
            alive, perplexity = usage(table.float())
            figures[f"used_{stage + 1}"] = alive
            figures[f"perplexity_{stage + 1}"] = perplexity
        return figures

    def finish(self, run: Path) -> None:
        """Write `model.safetensors`."""
        save_atomically(dict(self.model.state_dict()), run / MODEL_FILE)


def random_log_steps(n: int, config: SpeechConfig, generator: torch.Generator) -> Tensor:
    """Draw log-steps [n] of −1 (finest) … 1 (coarsest) for training.

    One comes from the whole range. The others are stratified so that a typical frame gets every
    number of stages from 2 to nearly all equally often: crops with fewer teach little.
    """
    # One from each of n − 1 equal parts of 0 … 1.
    u = (torch.arange(n - 1) + torch.rand(n - 1, generator=generator)) / max(n - 1, 1)

    # A typical frame has `finest_depth` stages times a power of fineness; this is the inverse.
    min_depth = 2.0
    max_depth = 0.9 * config.n_stages
    depth = min_depth + (max_depth - min_depth) * u
    fineness = (depth / config.finest_depth).pow(1.0 / DEPTH_POWER)

    # [n − 1] and [1] -> [n]
    any_fineness = torch.rand(1, generator=generator)
    return 1.0 - 2.0 * torch.cat([fineness.clamp(max=1.0), any_fineness])


def code_samples(
    model: SpeechModel, samples: Tensor, log_step: float
) -> tuple[Tensor, Tensor, float]:
    """Code samples [1, T] with static tables; return codes, decoded samples [1, T] and bits."""
    # [1, T] -> [1, n_channels, 1, F] -> [1, stages, 1, 1, F]
    where = torch.tensor([log_step])
    latents = model.latents(spectrum(samples))
    limits = model.depths(latents, where)
    codes = model.vq.encode(latents, torch.zeros(1), model.config.rate_weight, limits)

    # [1, stages, 1, 1, F] -> [1, n_channels, 1, F] -> [1, T]
    decoded = model.samples(model.vq.decode(codes))
    bits = float(model.vq.static_bits(codes, where).sum())
    return codes, decoded[:, : samples.shape[1]], bits


def _scores(samples: Tensor, decoded: Tensor) -> dict[str, float]:
    """Return the scores whose packages are installed."""
    # Training does not need them, so both are optional.
    pair = samples.numpy(), decoded.numpy()
    scores = {}
    # PESQ refuses silent or short samples with a RuntimeError.
    with contextlib.suppress(ImportError, RuntimeError):
        scores["pesq"] = float(importlib.import_module("pesq").pesq(CODED_RATE_HZ, *pair, "wb"))
    with contextlib.suppress(ImportError):
        scores["stoi"] = float(importlib.import_module("pystoi").stoi(*pair, CODED_RATE_HZ))
    return scores


def write_sample(samples: Tensor, decoded: Tensor, path: Path) -> None:
    """Write a WAV file of the decoded voice, and both spectrograms as PNG, one above the other."""
    # Half of the common level leaves room for peaks.
    audible = (decoded * 0.5).clamp(-1.0, 1.0).numpy()
    soundfile.write(f"{path}.wav", audible, CODED_RATE_HZ)

    # [T] -> [642, F] -> [321, F], from −30 to 15 decibels, high frequencies on top.
    rows = [spectrum(x[None])[0] for x in (samples, decoded)]
    images = []
    for row in rows:
        real, imaginary = row.chunk(2)
        decibels = 10.0 * torch.log10(real.square() + imaginary.square() + 1e-6)
        images.append(((decibels + 30.0) / 45.0).clamp(0.0, 1.0).flip(0))

    # Twice [321, F] -> [642, F]
    array = (torch.cat(images).numpy() * 255.0).astype(np.uint8)
    Image.fromarray(array).save(f"{path}.png")


def load_speech_model(run: Path) -> SpeechModel:
    """Return the model of a run folder, its codebooks rounded as in a weights file."""
    config = SpeechConfig(**json.loads((run / "run.json").read_text())["config"])
    model = SpeechModel(config)
    model.load_state_dict(load_file(run / MODEL_FILE))

    # Codes and context model must match the codebooks of the weights file.
    model.vq.codebooks.copy_(round_codebooks(model.vq.codebooks))
    return model
