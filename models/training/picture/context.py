"""Training of the context model alone, on the codes of fixed networks.

In joint training the rate is measured on latents with noise, since codes have no gradient. Here it
is measured on the codes, and only the context model learns.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from luxvox.models.picture.conditions import FINEST, LEVELS, PIXELS_PER_UNIT, Conditions
from luxvox.models.training.picture.crops import (
    STEP_WEIGHT,
    CropPhase,
    PhaseSettings,
    centres,
    draw_passes,
    draw_settings,
)
from luxvox.models.training.picture.data import Pictures
from luxvox.models.training.picture.parts import PictureParts
from luxvox.models.training.picture.quantise import dead_zone

VALIDATED_STEPS = 15.0, 40.0, 100.0


class ContextPhase(CropPhase):
    """The context model, trained by gradients of the bits of codes.

    Args:
        parts: of the codec; the networks do not change.
        data: pictures to train on, and held-back ones.
        settings: how the phase runs; all weights learn alike.
    """

    name = "context"

    def __init__(
        self,
        parts: PictureParts,
        data: tuple[Pictures, Pictures],
        settings: PhaseSettings = PhaseSettings(),  # noqa: B008 – frozen
    ) -> None:
        super().__init__(parts, data, settings)
        # The networks only give the codes.
        parts.model.requires_grad_(False)

    def trained_module(self) -> nn.Module:
        """Return the twin of the context model."""
        return self.parts.context

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Return 1: all weights learn at the same rate."""
        return 1.0

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return weighted bits per pixel of a batch of crops, at random steps and tunings."""
        pixels = self.pictures.crops(self.batch, self.crop, generator).to(self.device)
        step, tune = (
            x.to(self.device) for x in draw_settings(self.batch, self.parts.model.config, generator)
        )
        at = self.parts.model.conditions(step, tune)
        bits = self._bits(pixels, at, draw_passes(generator))

        # Coarse steps have few bits; the weight makes all rates count about the same.
        n_pixels = self.crop * self.crop
        total = sum(bits.values(), torch.zeros(())) / n_pixels
        weight = (step / PIXELS_PER_UNIT) ** STEP_WEIGHT
        figures = {level: b.detach().mean().item() / n_pixels for level, b in bits.items()}
        return (total * weight).mean(), {"bpp": total.detach().mean().item(), **figures}

    def _bits(
        self, pixels: Tensor, at: Conditions, sampled: dict[str, int] | None = None
    ) -> dict[str, Tensor]:
        """Return the bits [B] of the codes of each level of crops [B, 3, H, W].

        Args:
            pixels: in units.
            at: of each crop.
            sampled: the passes that represent others, see `ContextTwin.level_bits`.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            with torch.no_grad():
                codes = self._codes(pixels, at)
            return self.parts.context.level_bits(codes, codes, at.log_step.flatten(), sampled)

    def _codes(self, pixels: Tensor, at: Conditions) -> dict[str, Tensor]:
        """Return the codes [B, C, H, W] of each level; no pixels are made from them."""
        model = self.parts.model
        latents = model.latents(pixels.contiguous(memory_format=torch.channels_last), at)
        codes: dict[str, Tensor] = {}

        # The synthesis asks for a level when it knows the factors on its steps.
        def source(level: str, factor: Tensor) -> Tensor:
            codes[level] = dead_zone(latents[level] / factor)
            return codes[level] * (model.scale(level, at) * factor)

        features = model.synthesis.coarse(source, at)
        source(LEVELS[FINEST], model.synthesis.step_factors(FINEST, features, at))
        return codes

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the bits per pixel of held-back pictures, rounded with a dead zone."""
        pixels = centres(self.held_back).to(self.device)
        n_pixels = pixels[0, 0].numel()

        figures: dict[str, float] = {}
        for step in VALIDATED_STEPS:
            for tune, tuned in enumerate(("psnr", "eye")):
                # [2, 1] -> [2, B]: step and tuning, the same for all.
                values = torch.tensor([[step], [tune]], device=self.device).expand(-1, len(pixels))
                bits = self._bits(pixels, self.parts.model.conditions(*values))
                for level, of_level in bits.items():
                    name = f"{tuned}_{level}_{step:g}"
                    figures[name] = of_level.mean().item() / n_pixels
        return figures
