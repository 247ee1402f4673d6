"""The synthesis of voices and its codewords, trained on the codes that the encoder makes.

The encoder corrects latents by the gradient of what is heard of their codes
(`luxvox.models.voice.correction`), and a step of training computes that gradient anyway. So a crop
stays in the batch for a few steps. After each, its latents are corrected and coded again: the
synthesis learns from codes of latents that were corrected never, once, twice and three times, which
is as often as the default effort does, by the gradient of what training counts.

Codewords are the first numbers that the synthesis sees, and learn by the same gradient. The encoder
chooses among them as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.phases import (
    BATCH,
    CROP_FRAMES,
    PREFIX_SHARE,
    JointSpeechPhase,
    random_log_steps,
)
from luxvox.models.voice.correction import HEARD_SHARE, audibility_db, first_length, take_step
from luxvox.models.voice.losses import distortions, spectra
from luxvox.models.voice.networks import SYNTHESIS_PARTS, SpeechModel, power_db
from luxvox.models.voice.rvq import ResidualVQ
from luxvox.models.voice.spectra import spectrum
from luxvox.timeline import FRAME_SAMPLES

LEARNING_RATE = 2e-4
CODEBOOKS = "vq.codebooks"
CODEBOOKS_FACTOR = 15.0  # on the learning rate: codewords are that much larger than weights
CORRECTIONS = 3
TIMES = CORRECTIONS + 1  # that a crop is decoded
SHIFTS = FRAME_SAMPLES // 2  # samples by which spectra start later, less one, at most
CUT_SHARE = TIMES * PREFIX_SHARE  # of crops decoded for the last time: no correction follows


class SpeechSynthesisPhase(JointSpeechPhase):
    """The synthesis and the codebooks, on codes of a frozen analysis."""

    name = "synthesis"

    def __init__(
        self,
        model: SpeechModel,
        voices: Recordings,
        held_back: Recordings,
        bfloat16: bool = False,
    ) -> None:
        super().__init__(model.eval(), voices, held_back, bfloat16, LEARNING_RATE)
        model.requires_grad_(False)
        codewords = _as_parameter(model.vq)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(SYNTHESIS_PARTS) or name == CODEBOOKS)

        # Null stays zero.
        null = torch.zeros(1, dtype=torch.int64)
        codewords.register_hook(lambda gradient: gradient.index_fill(2, null, 0.0))  # type: ignore[no-untyped-call]

        # The crops in the batch. At first there are none: all have been decoded often enough.
        of_frames = torch.zeros(BATCH, CROP_FRAMES + 1)
        self.samples = torch.zeros(BATCH, CROP_FRAMES * FRAME_SAMPLES)
        self.log_step = torch.zeros(BATCH, dtype=torch.float64)
        self.latents = torch.zeros(BATCH, model.config.n_channels, 1, CROP_FRAMES + 1)
        self.power, self.heard_db = of_frames.clone(), of_frames.clone()  # in decibels
        self.n_decoded = torch.full((BATCH,), TIMES)

        # What the next correction needs: error of quantisation, its gradient, length of a step.
        self.error, self.gradient = (torch.zeros_like(self.latents) for _ in range(2))
        self.length = torch.zeros(BATCH)

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Let codewords move as far, for their size, as weights."""
        return CODEBOOKS_FACTOR if parameter_name == CODEBOOKS else 1.0

    def memory(self) -> dict[str, Tensor]:
        """Return the crops in the batch; the reference stays."""
        names = (
            "samples",
            "log_step",
            "latents",
            "power",
            "heard_db",
            "n_decoded",
            "error",
            "gradient",
            "length",
        )
        return {name: getattr(self, name) for name in names}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the distortion of the crops in the batch, the oldest of them replaced."""
        with torch.no_grad():
            for crop in range(BATCH):
                self._correct(crop)
            self._replace(generator)
        quantised = self._decodable(generator)
        self.error.copy_(quantised.detach() - self.latents)
        self.n_decoded += 1

        # Gradients pass the quantiser straight through to the latents, and reach codewords, too.
        varied = self.latents.clone().requires_grad_(True)
        varied.register_hook(self.gradient.copy_)  # type: ignore[no-untyped-call]
        of_codewords = quantised - quantised.detach()
        decoded = self.model.samples(varied + self.error + of_codewords, self.bfloat16)

        # Spectra start at a slightly different sample each time, as in the joint phase.
        shift = int(torch.randint(SHIFTS, (1,), generator=generator))
        return distortions(spectra(decoded[:, shift:]), spectra(self.samples[:, shift:]))

    def _correct(self, crop: int) -> None:
        """Correct the latents of a crop by the gradient of the last step."""
        n_corrected = int(self.n_decoded[crop]) - 1
        if n_corrected == CORRECTIONS:
            return  # it leaves the batch
        gradient, error = self.gradient[crop], self.error[crop]
        coded = self._depths(crop)[0] > 0
        if n_corrected == 0 and coded.any():
            self.length[crop] = first_length(error[..., coded], CORRECTIONS)
            products = (error * gradient).sum((0, 1))
            self.heard_db[crop] = torch.from_numpy(audibility_db(products, coded.numpy()))

        done = n_corrected / CORRECTIONS
        self.latents[crop] = take_step(self.latents[crop], gradient, self.length[crop], done)

    def _replace(self, generator: torch.Generator) -> None:
        """Put new crops in place of those that have been decoded often enough."""
        old = torch.nonzero(self.n_decoded == TIMES)[:, 0]
        if not len(old):
            return
        samples = self.voices.crops(len(old), CROP_FRAMES, generator)
        drawn = random_log_steps(BATCH, self.model.config, generator).double()

        # [n, T] -> [n, 642, F] -> [n, n_channels, 1, F]
        latents = self.model.latents(spectrum(samples))
        self.samples[old], self.latents[old] = samples, latents
        self.log_step[old] = drawn[torch.randperm(BATCH, generator=generator)[: len(old)]]
        self.power[old], self.heard_db[old] = power_db(latents)[:, 0], 0.0

        # From the start, crops leave a few at a time. Those of the first step that have no length
        # of a correction stay as they are.
        self.length[old] = 0.0
        self.n_decoded[old] = torch.arange(BATCH) % TIMES if len(old) == BATCH else 0

    def _depths(self, crop: int) -> Tensor:
        """Return how many stages each frame of a crop gets, int64 [1, F]."""
        power = self.power[crop] + HEARD_SHARE * self.heard_db[crop]
        depths = self.model.depths_of_powers(power.numpy(), float(self.log_step[crop]))
        return torch.from_numpy(depths)[None]

    def _decodable(self, generator: torch.Generator) -> Tensor:
        """Return latents as they are decoded, with the gradient of codewords."""
        model = self.model
        depths = torch.stack([self._depths(crop) for crop in range(BATCH)])

        # Crops that leave after this step may be cut to the stages of the first section.
        drawn = torch.rand(BATCH, generator=generator) < CUT_SHARE
        cut = drawn & (self.n_decoded == CORRECTIONS)
        first = depths.clamp(max=model.config.first_stages)
        depths = torch.where(cut[:, None, None], first, depths)

        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            codes = model.vq.encode(self.latents, torch.zeros(1), model.config.rate_weight, depths)
        return model.vq.decode(codes, int(depths.max()))


def _as_parameter(vq: ResidualVQ) -> Tensor:
    """Make the codebooks of a residual VQ a parameter under their own name; return them."""
    codebooks = nn.Parameter(vq.codebooks.clone())
    del vq.codebooks
    vq.codebooks = codebooks
    return codebooks
