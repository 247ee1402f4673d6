"""The shape of a picture model, and the conditions that its networks take: step and tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from luxvox.models.tunings import TUNINGS

LEVELS = ("apex", "top", "base", "detail")  # coarse to fine, in coding order
STRIDES = {"apex": 64, "top": 32, "base": 16, "detail": 8}
FINEST = len(LEVELS) - 1
PIXELS_PER_UNIT = 8.0
EYE_UNTIL = 85.0  # quality
PAD_MULTIPLE = 64  # the coarsest stride, in pixels


@dataclass(frozen=True)
class PictureConfig:
    """Shape of the picture networks; everything needed to build them.

    Attributes:
        coarsest_step, finest_step: quantiser steps of quality 1 and 100, in 8-bit levels.
        channels: latent channels by level, coarse to fine.
        passed: number of features that the linear start passes on from strides 8, 16 and 32.
        widths: features at strides 64, 32, 16 and 8.
        analysis_blocks, synthesis_blocks: residual blocks at those strides.
        analysis_hidden, synthesis_hidden: widths of each half of their gated product.
        tunings: what the weights are trained for, `eye`, `psnr` or both.
    """

    coarsest_step: float = 160.0
    finest_step: float = 3.5
    channels: tuple[int, ...] = (32, 24, 120, 112)
    passed: tuple[int, ...] = (8, 8, 32)
    widths: tuple[int, ...] = (192, 256, 256, 192)
    analysis_blocks: tuple[int, ...] = (2, 3, 6, 4)
    synthesis_blocks: tuple[int, ...] = (2, 3, 3, 3)
    analysis_hidden: tuple[int, ...] = (192, 256, 256, 192)
    synthesis_hidden: tuple[int, ...] = (192, 256, 256, 176)
    tunings: tuple[str, ...] = tuple(TUNINGS)

    def n_channels(self, level: str) -> int:
        """Return the number of latent channels of a level."""
        return self.channels[LEVELS.index(level)]


def quality_to_step(quality: float, config: PictureConfig) -> float:
    """Return the quantiser step in 8-bit levels for a quality of 1 (coarse) to 100 (fine)."""
    ratio = config.finest_step / config.coarsest_step
    return config.coarsest_step * float(ratio ** ((quality - 1.0) / 99.0))


def log_step(step: Tensor, config: PictureConfig) -> Tensor:
    """Map steps in 8-bit levels [B] to −1 (finest) … 1 (coarsest), linear in log-step."""
    span = math.log(config.coarsest_step / config.finest_step)
    return 2.0 * torch.log(step / config.finest_step) / span - 1.0


@dataclass(frozen=True)
class Setting:
    """The coding parameters of a picture.

    Attributes:
        step: quantiser step in 8-bit levels.
        tune: 0 (least squared error) … 1 (for the eye).
    """

    step: float
    tune: float = 1.0


def setting_of(quality: float, is_for_eye: bool, config: PictureConfig) -> Setting:
    """Return step and tuning of a file by its quality and its header's bit.

    Up to quality 85 the tuning is that of the header. From there to 100 pictures tuned for the eye
    turn to the least squared error: the eye sees hardly any difference by then.
    """
    tune = tune_for_eye(quality) if is_for_eye else 0.0
    return Setting(quality_to_step(quality, config), tune)


def tune_for_eye(quality: float) -> float:
    """Return the tuning of pictures for the eye at a quality: 1, and towards 100 less and less."""
    return min((100.0 - quality) / (100.0 - EYE_UNTIL), 1.0)


@dataclass(frozen=True)
class Conditions:
    """The conditions of each file of a batch, each [B, 1, 1, 1].

    Attributes:
        log_step: log-step, −1 (finest) … 1 (coarsest).
        gain: step in units.
        tune: 0 (least squared error) … 1 (for the eye).
    """

    log_step: Tensor
    gain: Tensor
    tune: Tensor
