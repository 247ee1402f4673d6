"""Joint training of the picture codec: analysis, gains, synthesis and context model together.

Latents are rounded for the synthesis and the context, with gradients straight through (van den
Oord et al., 2017); the rate sees uniform noise instead of the rounding (Ballé et al., 2017).
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from luxvox.models.picture.conditions import PIXELS_PER_UNIT, Conditions
from luxvox.models.picture.networks import Block
from luxvox.models.training.picture.crops import (
    STEP_WEIGHT,
    CropPhase,
    centres,
    draw_passes,
    draw_settings,
)
from luxvox.models.training.picture.losses import (
    EYE_SHARE,
    eye_error,
    psnr,
    squared_error,
    structural_error,
)
from luxvox.models.training.picture.quantise import dead_zone, straight_through

BIT = 0.1155  # 2 ln 2 / 12: squared steps that a bit is worth at high rate
ANALYSIS_FACTOR, SKELETON_FACTOR = 0.5, 0.15
# The worth of structural errors, chosen so that a step gives about the same rate as with squared
# error: bits per pixel at a step of one unit, exponent of the step. And their share for the eye.
STRUCTURE_BITS, STRUCTURE_SLOPE = 80.0, -2.13
STRUCTURE_SHARE = 0.95
CHANNELS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
CHANNEL_SHARE = 1 / 2  # of the structural error is measured on one random channel, the rest on luma


class JointPhase(CropPhase):
    """All parts at once."""

    name = "joint"

    def compile(self) -> None:
        """Compile the blocks: half a minute at the start, for up to a sixth less time per step."""
        for module in self.parts.model.modules():
            if isinstance(module, Block):
                module.compile(dynamic=False)

    def trained_module(self) -> nn.Module:
        """Return all parts."""
        return self.parts

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Train the analysis more slowly than the synthesis, and the linear skeleton most slowly.

        The matrices outside the blocks begin as an exact transform. Larger updates would be too
        noisy for the precision that fine steps need.
        """
        if parameter_name.startswith("context."):
            return 1.4

        # Blocks and step maps are not part of the exact transform.
        factor = 1.0 if ".synthesis." in parameter_name else ANALYSIS_FACTOR
        free = ".blocks." in parameter_name or ".step_maps." in parameter_name
        return factor if free else factor * SKELETON_FACTOR

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return distortion plus rate of a batch of crops at random steps and tunings."""
        pixels = self.pictures.crops(self.batch, self.crop, generator).to(self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        step, tune = (
            x.to(self.device) for x in draw_settings(self.batch, self.parts.model.config, generator)
        )
        at = self.parts.model.conditions(step, tune)

        sampled = draw_passes(generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            decoded, bits = self._code(pixels, at, generator, sampled)

        # Errors [B] are in squared steps, so a bit is worth the same at every rate.
        n_pixels = self.crop * self.crop
        total = sum(bits.values(), torch.zeros(()))
        gain = step / PIXELS_PER_UNIT
        error = squared_error(decoded, pixels) / gain.square()
        eyes = tune > 0.0
        if eyes.any():
            for_the_eye = _error_for_the_eye(
                decoded[eyes], pixels[eyes], gain[eyes], _any_channel(generator)
            )
            error[eyes] = torch.lerp(error[eyes], for_the_eye, tune[eyes])
        cost = (error + BIT * total) / (3.0 * n_pixels)

        figures = {
            "psnr": psnr(decoded.detach(), pixels).mean().item(),
            "bpp": total.mean().item() / n_pixels,
            **{level: b.mean().item() / n_pixels for level, b in bits.items()},
        }
        return (cost * gain**STEP_WEIGHT).mean(), figures

    def _code(
        self,
        pixels: Tensor,
        at: Conditions,
        generator: torch.Generator,
        sampled: dict[str, int] | None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return decoded pixels [B, 3, H, W] in units, and the bits [B] of each level."""
        model = self.parts.model
        latents = model.latents(pixels, at)
        placed, quantised, decoded = model.code_latents(latents, at, straight_through)

        # Noise as wide as a step stands in for the rounding, so that the rate has a gradient.
        noisy = {
            level: y + (torch.rand(y.shape, generator=generator).to(y.device) - 0.5)
            for level, y in placed.items()
        }
        bits = self.parts.context.level_bits(quantised, noisy, at.log_step.flatten(), sampled)
        return decoded.float(), bits

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure rate and distortion of held-back pictures, rounded with a dead zone."""
        figures: dict[str, float] = {}
        model = self.parts.model

        pixels = centres(self.held_back).to(self.device)
        n_pixels = pixels[0, 0].numel()

        for step, (tune, tuned) in itertools.product((20.0, 60.0), enumerate(("psnr", "eye"))):
            # [2, 1] -> [2, B]: step and tuning, the same for all.
            values = torch.tensor([[step], [tune]], device=self.device).expand(-1, len(pixels))
            at = model.conditions(*values)

            # All passes count and nothing is random, so validations can be compared.
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                latents = model.latents(pixels, at)
                _, quantised, decoded = model.code_latents(latents, at, dead_zone)
                log_step = at.log_step.flatten()
                bits = self.parts.context.level_bits(quantised, quantised, log_step)

            total = sum(bits.values(), torch.zeros(()))
            decoded = decoded.float()
            eye = eye_error(decoded, pixels).mean().item() / n_pixels
            figures |= {
                f"{tuned}_bpp_{step:g}": total.mean().item() / n_pixels,
                f"{tuned}_psnr_{step:g}": psnr(decoded, pixels).mean().item(),
                f"{tuned}_eye_{step:g}": -10.0 * math.log10(eye),
                f"{tuned}_structure_{step:g}": structural_error(decoded, pixels).mean().item(),
            }
        return figures


def _any_channel(generator: torch.Generator) -> tuple[float, float, float]:
    return CHANNELS[int(torch.randint(3, (), generator=generator))]


def _error_for_the_eye(
    decoded: Tensor, pixels: Tensor, gain: Tensor, channel: tuple[float, float, float]
) -> Tensor:
    """Return the error [B] in squared steps that pictures [B, 3, H, W] tuned for the eye minimise.

    Args:
        decoded, pixels: in units.
        gain: step [B] in units.
        channel: the mix of R, G and B whose structure counts, too.
    """
    # A share of squared error preserves colours, which the luma errors ignore.
    local = (1.0 - EYE_SHARE) * squared_error(decoded, pixels)
    local = local + EYE_SHARE * eye_error(decoded, pixels)

    # Structural errors are converted to their worth in bits at this step.
    structure = (1.0 - CHANNEL_SHARE) * structural_error(decoded, pixels)
    structure = structure + CHANNEL_SHARE * structural_error(decoded, pixels, channel)
    n_pixels = pixels.shape[2] * pixels.shape[3]
    bits = n_pixels * STRUCTURE_BITS * gain**STRUCTURE_SLOPE * structure

    return (1.0 - STRUCTURE_SHARE) * local / gain.square() + STRUCTURE_SHARE * BIT * bits
