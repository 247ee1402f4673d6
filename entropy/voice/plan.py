"""The plan of the walk over a voice: which stages are predicted at which frames, and when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint8 | np.uint16]
"""Codes of a level, [stages, 1, 1, F]; uint16 where a codebook has more than 256 codewords."""

PERIOD = 4  # frames after which the passes of a stage repeat
QUARTERS = ((0,), (2,), (1, 3))
HALVES = ((0, 2), (1, 3))


@dataclass(frozen=True)
class Pass:
    """One evaluation of the context network.

    Attributes:
        stage: the stage that is predicted.
        phases: frames that it is predicted at, modulo `PERIOD`.
    """

    stage: int
    phases: tuple[int, ...]

    def mask(self, n_frames: int) -> NDArray[np.bool_]:
        """Return where the pass predicts, [n_frames]."""
        mask = np.zeros(n_frames, np.bool_)
        for phase in self.phases:
            mask[phase::PERIOD] = True
        return mask


@dataclass(frozen=True)
class LevelPlan:
    """The passes over a line of frames, and the section of the file each stage goes to."""

    name: str
    n_stages: int
    passes: tuple[Pass, ...]
    sections: tuple[int, ...]
    codebook_size: int


def voice_plan(n_stages: int, first_stages: int, codebook_size: int) -> tuple[LevelPlan, ...]:
    """Return the walk over a segment of a voice; its only level is called `frames`.

    Each stage covers the frames in dyadic passes. In the stages of the first section these are
    every fourth frame, the frames halfway between, and the others; in later stages, where
    neighbours help less, the even and the odd frames.
    """
    passes = tuple(
        Pass(stage, phases)
        for stage in range(n_stages)
        for phases in (QUARTERS if stage < first_stages else HALVES)
    )
    sections = tuple(1 if stage < first_stages else 2 for stage in range(n_stages))
    return (LevelPlan("frames", n_stages, passes, sections, codebook_size),)


def code_type(codebook_size: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type that holds codes of a codebook."""
    return np.uint8 if codebook_size <= 256 else np.uint16
