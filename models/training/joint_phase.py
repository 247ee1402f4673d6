"""Phase 3: analysis, gains, codebooks and synthesis together, on hard codes.

Codes are chosen as the encoder chooses them; gradients reach the analysis straight through the
quantiser (van den Oord et al., 2017) and through a smooth estimate of the rate.  Codebooks and
static tables follow the latents by exponential moving averages, with restarts of dead words.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from luxvox.models.image import LEVELS, PIXELS_PER_UNIT, PictureModel, step_to_position
from luxvox.models.rvq import GROUP_WIDTH, RATE_WEIGHT, ResidualVQ, rate_bin
from luxvox.models.training.data import Pictures
from luxvox.models.training.follower import CodebookFollower
from luxvox.models.training.initialise import MAX_LATTICE_DIMENSIONS, random_steps
from luxvox.models.training.losses import STEP_EXPONENT, psnr
from luxvox.models.training.phases import SynthesisPhase, dequantise, drop_stages, save_parts

ANALYSIS_FACTOR = 0.15  # the analysis moves slowly, so that codebooks can follow
KERNEL_VARIANCE = 0.25  # squared steps; width of a codeword in the estimate of the rate
RESTARTED_STAGES = 1  # words of later stages are rare, not dead
RESTART_SHARE = 0.001
RATE_STRIDE = 2  # the estimate of the rate looks at one place of 2×2, another one each time


class JointPhase(SynthesisPhase):
    """All float parts at once."""

    name = "3"
    learning_rate = 4e-4

    def __init__(self, model: PictureModel, pictures: Pictures, held_back: Pictures) -> None:
        super().__init__(model, pictures, held_back)
        model.requires_grad_(True)
        self.followers = {
            level: CodebookFollower(vq, RESTARTED_STAGES, may_restart(vq), RESTART_SHARE)
            for level, vq in ((level, model.quantiser(level)) for level in LEVELS)
        }

    def trained(self) -> nn.Module:
        """Return the whole model."""
        return self.model

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Let the analysis move at a fraction of the synthesis's rate."""
        if parameter_name.startswith("synthesis."):
            return super().learning_rate_factor(parameter_name)
        return ANALYSIS_FACTOR

    def memory(self) -> dict[str, Tensor]:
        """Return the state of the codebooks."""
        return {
            f"{level}/{name}": tensor
            for level, follower in self.followers.items()
            for name, tensor in follower.memory().items()
        }

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return distortion plus rate of a batch of 8 crops of 128² at random steps."""
        pixels = self.pictures.crops(8, 128, generator).to(self.device)
        step = random_steps(8, self.model.config, generator).to(self.device)
        position = step_to_position(step, self.model.config)
        latents = self.model.latents(pixels, step)
        with torch.no_grad():
            codes = self.model.choose(latents, step)
            quantised = dequantise(self.model, codes)
            for level, follower in self.followers.items():
                follower.learn(latents[level], codes[level], position, generator)
            drop_stages(self.model, codes, quantised, generator)
        straight = {level: y + (quantised[level] - y).detach() for level, y in latents.items()}
        decoded = self.model.synthesise(straight, step)
        bits = torch.zeros(len(step), device=self.device)
        for level, y in latents.items():
            row, column = torch.randint(RATE_STRIDE, (2,), generator=generator).tolist()
            some = y[:, :, row::RATE_STRIDE, column::RATE_STRIDE]
            share = some[0, 0].numel() / y[0, 0].numel()
            bits = bits + smooth_bits(self.model.quantiser(level), some, position) / share
        n_pixels = pixels.shape[2] * pixels.shape[3]
        squared_step = (step / PIXELS_PER_UNIT) ** 2
        error = (decoded - pixels).square().sum(dim=(1, 2, 3)) / squared_step
        cost = (error + RATE_WEIGHT * bits) / (3.0 * n_pixels)
        weight = (step / PIXELS_PER_UNIT) ** (2.0 - STEP_EXPONENT)
        figures = {
            "psnr": psnr(decoded.detach(), pixels).mean().item(),
            "bpp": bits.mean().item() / n_pixels,
            "alive": min(follower.alive_share() for follower in self.followers.values()),
        }
        return (cost * weight).mean(), figures

    def finish(self, run: Path) -> None:
        """Write `analysis.safetensors` and `synthesis.safetensors`."""
        save_parts(self.model, run)


def may_restart(vq: ResidualVQ) -> Tensor:
    """Return which groups [G] have codebooks that follow the data, not a lattice."""
    return (vq.slots < vq.n_channels).sum(1) > MAX_LATTICE_DIMENSIONS


def smooth_bits(vq: ResidualVQ, latents: Tensor, position: Tensor) -> Tensor:
    """Estimate the bits of each sample [B] by a smooth density around the first codebooks.

    The density of a group's vector is a mixture of Gaussians at its codewords, weighted by the
    static tables; its negative logarithm falls where words are frequent.
    """
    batch, _, height, width = latents.shape
    vectors = vq.group(latents).reshape(len(vq.slots), batch, height * width, GROUP_WIDTH)
    books = vq.codebooks[0]
    scale = 1.0 / (2.0 * KERNEL_VARIANCE)
    tables = vq.bits[rate_bin(position), 0] * math.log(2.0) + scale * books.square().sum(-1)
    cross = torch.einsum("gbnd,gkd->gbnk", vectors, books * (2.0 * scale))
    log_density = torch.logsumexp(cross - tables.transpose(0, 1)[:, :, None, :], dim=3)
    energy = scale * vectors.square().sum(-1)
    return (energy - log_density).sum(dim=(0, 2)) / math.log(2.0)
