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
from luxvox.models.rvq import GROUP_WIDTH, N_RATE_BINS, RATE_WEIGHT, ResidualVQ, rate_bin
from luxvox.models.training.data import Pictures
from luxvox.models.training.initialise import MAX_LATTICE_DIMENSIONS, random_steps
from luxvox.models.training.losses import STEP_EXPONENT, psnr
from luxvox.models.training.phases import SynthesisPhase, dequantise, drop_stages, save_parts

ANALYSIS_FACTOR = 0.15  # the analysis moves slowly, so that codebooks can follow
FOLLOW_DECAY = 0.99
PRIOR_PLACES = 4000.0  # places that the codebooks at the start are worth
RESTART_BELOW = 0.02  # places a step, averaged, below which a trained word is dead
KERNEL_VARIANCE = 0.25  # squared steps; width of a codeword in the estimate of the rate


class JointPhase(SynthesisPhase):
    """All float parts at once."""

    name = "3"
    learning_rate = 4e-4

    def __init__(self, model: PictureModel, pictures: Pictures, held_back: Pictures) -> None:
        super().__init__(model, pictures, held_back)
        model.requires_grad_(True)
        self.followers = {level: CodebookFollower(model.quantiser(level)) for level in LEVELS}

    def trained(self) -> nn.Module:
        """Return the whole model."""
        return self.model

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Let the analysis move at a fraction of the synthesis's rate."""
        if parameter_name.startswith("synthesis."):
            return super().learning_rate_factor(parameter_name)
        return ANALYSIS_FACTOR

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
        bits = sum(
            (smooth_bits(self.model.quantiser(level), y, position) for level, y in latents.items()),
            start=torch.zeros(len(step), device=self.device),
        )
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


class CodebookFollower:
    """Keeps a level's codebooks at the means of what they code, and its tables at the counts."""

    def __init__(self, vq: ResidualVQ) -> None:
        self.vq = vq
        self.usage = torch.exp2(-vq.bits) * PRIOR_PLACES  # [bins, stages, groups, K]
        self.counts = self.usage.mean(0)
        self.sums = vq.codebooks * self.counts[..., None]
        dimensions = (vq.slots < vq.n_channels).sum(1)
        self.may_restart = dimensions > MAX_LATTICE_DIMENSIONS

    @torch.no_grad()
    def learn(
        self, latents: Tensor, codes: Tensor, position: Tensor, generator: torch.Generator
    ) -> None:
        """Take in one batch: latents [B, C, H, W] in steps and their codes."""
        residual = self.vq.group(latents)
        flat = codes.permute(1, 2, 0, 3, 4).flatten(2).long()
        places = latents.shape[2] * latents.shape[3]
        bins = rate_bin(position).repeat_interleave(places)
        alive = torch.ones_like(flat[0], dtype=torch.bool)
        size = self.vq.codebooks.shape[2]
        for stage in range(self.vq.n_stages):
            for group in torch.nonzero(alive.any(1))[:, 0].tolist():
                some = alive[group]
                self._learn_group(stage, group, residual[group, some], flat[stage, group, some])
                joint = torch.bincount(
                    bins[some] * size + flat[stage, group, some], minlength=N_RATE_BINS * size
                ).reshape(N_RATE_BINS, size)
                seen = joint.sum(1, keepdim=True) > 0
                mixed = self.usage[:, stage, group] * FOLLOW_DECAY + joint
                self.usage[:, stage, group] = torch.where(seen, mixed, self.usage[:, stage, group])
            index = flat[stage][..., None].expand(-1, -1, GROUP_WIDTH)
            residual = residual - self.vq.codebooks[stage].gather(1, index)
            alive &= flat[stage] != 0
        self._restart(self.vq.group(latents), generator)
        self._publish()

    def _learn_group(self, stage: int, group: int, vectors: Tensor, words: Tensor) -> None:
        size = self.vq.codebooks.shape[2]
        self.counts[stage, group] *= FOLLOW_DECAY
        self.sums[stage, group] *= FOLLOW_DECAY
        self.counts[stage, group] += torch.bincount(words, minlength=size)
        self.sums[stage, group].index_add_(0, words, vectors)

    def _restart(self, vectors: Tensor, generator: torch.Generator) -> None:
        """Put dead words of the first stage on vectors of the batch."""
        dead = (self.counts[0] < RESTART_BELOW) & self.may_restart[:, None]
        dead[:, 0] = False
        for group, word in torch.nonzero(dead).tolist():
            pick = int(torch.randint(vectors.shape[1], (1,), generator=generator))
            self.counts[0, group, word] = 1.0
            self.sums[0, group, word] = vectors[group, pick]

    def _publish(self) -> None:
        books = self.sums / self.counts[..., None].clamp(min=1e-6)
        keep = self.counts < 1e-3
        books[keep] = self.vq.codebooks[keep]
        books[:, :, 0] = 0.0
        self.vq.codebooks.copy_(books)
        usage = self.usage + 0.05
        self.vq.bits.copy_(-torch.log2(usage / usage.sum(-1, keepdim=True)))

    def alive_share(self) -> float:
        """Return the share of first-stage words that were used lately."""
        return float((self.counts[0] > RESTART_BELOW).float().mean())
