"""The common base of phases that learn from crops: settings, draws and validation crops."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from luxvox.models.picture.conditions import (
    EYE_UNTIL,
    PIXELS_PER_UNIT,
    PictureConfig,
    quality_to_step,
    tune_for_eye,
)
from luxvox.models.training.picture.data import Pictures
from luxvox.models.training.picture.parts import PictureParts, save_parts
from luxvox.models.tunings import TUNINGS

STEP_WEIGHT = 0.85  # exponent of the step that makes all rates count about the same
N_VALIDATED = 12
TRAINED_STEPS = 4.5, 160.0  # finer steps would code the noise of the training pictures
FADING_SHARE = 0.25  # of crops, for weights for the eye: qualities where the tuning fades
COARSE_SHARE = 0.75  # exponent below 1: draws more coarse steps, where peers are ahead


@dataclass(frozen=True)
class PhaseSettings:
    """How a phase that learns from crops runs.

    Attributes:
        device: `cpu` or `cuda`.
        bfloat16: whether the networks are computed in bfloat16.
        learning_rate: the highest; in joint training, the rate of the synthesis blocks.
        crop, batch: side in pixels of the crops of a step, and their number.
    """

    device: str = "cpu"
    bfloat16: bool = True
    learning_rate: float = 4e-4
    crop: int = 256
    batch: int = 8


class CropPhase:
    """A phase that learns from crops.

    Args:
        parts: of the codec.
        data: pictures to train on, and held-back ones.
        settings: how the phase runs.
    """

    def __init__(
        self,
        parts: PictureParts,
        data: tuple[Pictures, Pictures],
        settings: PhaseSettings = PhaseSettings(),  # noqa: B008 – frozen
    ) -> None:
        self.learning_rate = settings.learning_rate
        self.crop = settings.crop
        self.batch = settings.batch
        self.bfloat16 = settings.bfloat16
        self.parts = parts.to(settings.device)
        self.pictures, self.held_back = data
        self.device = torch.device(settings.device)

        # Convolutions are quicker where the channels of a position lie next to each other.
        for module in (parts.model.analysis, parts.model.synthesis):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def memory(self) -> dict[str, Tensor]:
        """Return nothing: everything that these phases change has a gradient."""
        return {}

    def finish(self, run: Path) -> None:
        """Write the parts into the run folder."""
        save_parts(self.parts, run)


def draw_settings(
    n: int, config: PictureConfig, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw steps [n] in 8-bit levels, and tunings [n] as numbers, each as often as the others."""
    # Each batch has steps from the whole range, so the networks do not forget the fine ones.
    low, high = TRAINED_STEPS
    share = (torch.arange(n) + torch.rand(n, generator=generator)) / n
    step = low * (high / low) ** (share**COARSE_SHARE)

    # Tunings do not depend on steps.
    numbers = torch.tensor([TUNINGS[tune] for tune in config.tunings])
    tune = numbers[torch.randperm(n, generator=generator) % len(numbers)]

    # At the highest qualities the tuning for the eye turns to the least squared error, which
    # weights that are trained for the eye alone would forget.
    if config.tunings == ("eye",):
        for crop in range(int(FADING_SHARE * n)):
            quality = EYE_UNTIL + (100.0 - EYE_UNTIL) * float(torch.rand(1, generator=generator))
            step[crop] = max(quality_to_step(quality, config), low)
            tune[crop] = tune_for_eye(quality)
    return step, tune


def draw_passes(generator: torch.Generator) -> dict[str, int]:
    """Draw one pass per slice of the large levels, which is enough to estimate the rate."""
    return {level: int(torch.randint(2, (), generator=generator)) for level in ("base", "detail")}


def centres(held_back: Pictures) -> Tensor:
    """Return the middles of some held-back pictures in units, as one batch [B, 3, 256, 256]."""
    return torch.stack([_centre(picture) for picture in held_back.pictures[:N_VALIDATED]])


def _centre(picture: Tensor, size: int = 256) -> Tensor:
    """Cut [3, size, size] out of the middle of a picture [3, H, W], in units."""
    top, left = ((n - size) // 2 for n in picture.shape[1:])
    crop = picture[:, top : top + size, left : left + size]
    return (crop.float() - 128.0) / PIXELS_PER_UNIT
