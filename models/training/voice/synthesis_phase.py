"""The synthesis of voices and its codewords, trained on the codes that the encoder makes.

The encoder corrects latents by the gradient of the audible distance
(`luxvox.models.voice.correction`), which a training step computes anyway. So a crop stays in the
batch for six steps, and after each its latents are corrected and coded again. The synthesis
learns from codes of latents with 0 to 5 corrections; the default effort makes 5. The distances have
the weights of training here.

Codewords are the input of the synthesis, and learn by the same gradient, unless the codes are to
keep their meaning for the context model.
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
from luxvox.models.voice.correction import first_length, take_step
from luxvox.models.voice.losses import distortions, spectra
from luxvox.models.voice.networks import SYNTHESIS_PARTS, SpeechModel, power_db
from luxvox.models.voice.rvq import ResidualVQ
from luxvox.models.voice.spectra import spectrum
from luxvox.timeline import FRAME_SAMPLES

LEARNING_RATE = 2e-4
CODEBOOKS = "vq.codebooks"
CODEBOOKS_FACTOR = (
    15.0  # on the learning rate, since codewords are about that much larger than weights
)
CORRECTIONS = 5
TIMES = CORRECTIONS + 1  # how often a crop is decoded
SHIFTS = FRAME_SAMPLES // 2  # spectra start later by fewer samples than this
CUT_SHARE = TIMES * PREFIX_SHARE  # of crops decoded for the last time, since no correction follows


class SpeechSynthesisPhase(JointSpeechPhase):
    """The synthesis and the codebooks, on codes of a frozen analysis."""

    name = "synthesis"

    def __init__(
        self,
        model: SpeechModel,
        voices: Recordings,
        held_back: Recordings,
        bfloat16: bool = False,
        *,
        learns_codewords: bool = True,
    ) -> None:
        super().__init__(model.eval(), voices, held_back, bfloat16, LEARNING_RATE)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(SYNTHESIS_PARTS))

        if learns_codewords:
            # Null stays zero.
            null = torch.zeros(1, dtype=torch.int64)
            codewords = _as_parameter(model.vq)
            codewords.register_hook(lambda gradient: gradient.index_fill(2, null, 0.0))  # type: ignore[no-untyped-call]

        # The crops in the batch. At first all count as decoded often enough, so they are replaced.
        self.samples = torch.zeros(BATCH, CROP_FRAMES * FRAME_SAMPLES)
        self.log_step = torch.zeros(BATCH, dtype=torch.float64)
        self.latents = torch.zeros(BATCH, model.config.n_channels, 1, CROP_FRAMES + 1)
        self.power = torch.zeros(BATCH, CROP_FRAMES + 1)  # in decibels
        self.n_decoded = torch.full((BATCH,), TIMES)

        # For the next correction: quantisation error, gradient, and length of a step.
        self.error, self.gradient = (torch.zeros_like(self.latents) for _ in range(2))
        self.length = torch.zeros(BATCH)

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Let codewords move as far as weights, relative to their size."""
        return CODEBOOKS_FACTOR if parameter_name == CODEBOOKS else 1.0

    def memory(self) -> dict[str, Tensor]:
        """Return the crops in the batch; the reference does not change here."""
        names = (
            "samples",
            "log_step",
            "latents",
            "power",
            "n_decoded",
            "error",
            "gradient",
            "length",
        )
        return {name: getattr(self, name) for name in names}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the distortion of the crops in the batch, after the oldest are replaced."""
        with torch.no_grad():
            for crop in range(BATCH):
                self._correct(crop)
            self._replace(generator)
        quantised = self._decodable(generator)
        self.error.copy_(quantised.detach() - self.latents)
        self.n_decoded += 1

        # Gradients pass the quantiser straight through to the latents, and also reach codewords.
        latents = self.latents.clone().requires_grad_(True)
        latents.register_hook(self.gradient.copy_)  # type: ignore[no-untyped-call]
        zero = quantised - quantised.detach()  # only its gradient counts
        decoded = self.model.samples(latents + self.error + zero, self.bfloat16)

        # Spectra start at a random sample, as in the joint phase.
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

        done = n_corrected / CORRECTIONS
        self.latents[crop] = take_step(self.latents[crop], gradient, self.length[crop], done)

    def _replace(self, generator: torch.Generator) -> None:
        """Replace the crops that have been decoded often enough."""
        old = torch.nonzero(self.n_decoded == TIMES)[:, 0]
        if not len(old):
            return
        samples = self.voices.crops(len(old), CROP_FRAMES, generator)
        log_steps = random_log_steps(BATCH, self.model.config, generator).double()

        # [n, T] -> [n, 642, F] -> [n, n_channels, 1, F]
        latents = self.model.latents(spectrum(samples))
        self.samples[old], self.latents[old] = samples, latents
        self.log_step[old] = log_steps[torch.randperm(BATCH, generator=generator)[: len(old)]]
        self.power[old] = power_db(latents)[:, 0]

        # In the first batch crops count as decoded 0 to 5 times, so that a few leave at a time.
        # Those past their first decoding have no length of corrections, and are not corrected.
        self.length[old] = 0.0
        self.n_decoded[old] = torch.arange(BATCH) % TIMES if len(old) == BATCH else 0

    def _depths(self, crop: int) -> Tensor:
        """Return how many stages each frame of a crop gets, int64 [1, F]."""
        power, log_step = self.power[crop].numpy(), float(self.log_step[crop])
        depths = self.model.depths_of_powers(power, log_step)
        return torch.from_numpy(depths)[None]

    def _decodable(self, generator: torch.Generator) -> Tensor:
        """Return the latents that are decoded, with the gradient of codewords."""
        model = self.model
        depths = torch.stack([self._depths(crop) for crop in range(BATCH)])

        # Crops that leave after this step may be cut to the stages of the first section.
        may_be_cut = torch.rand(BATCH, generator=generator) < CUT_SHARE
        cut = may_be_cut & (self.n_decoded == CORRECTIONS)
        first = depths.clamp(max=model.config.first_stages)
        depths = torch.where(cut[:, None, None], first, depths)

        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            codes = model.vq.encode(self.latents, torch.zeros(1), model.config.rate_weight, depths)
        return model.vq.decode(codes, int(depths.max()))


def _as_parameter(vq: ResidualVQ) -> Tensor:
    """Turn the codebooks of a residual VQ into a parameter of the same name; return it."""
    codebooks = nn.Parameter(vq.codebooks.clone())
    del vq.codebooks
    vq.codebooks = codebooks
    return codebooks
