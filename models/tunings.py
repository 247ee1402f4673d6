"""What a picture can be coded for, as a number for its networks, and λ for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TUNINGS: Final[Mapping[str, float]] = {"eye": 1.0, "psnr": 0.0}
"""The eye, or the least squared error."""

DEFAULT_TUNE: Final = "eye"

LAMBDAS: Final[Mapping[str, float]] = {"eye": 0.05, "psnr": 0.07}
"""Squared steps that a bit is worth when the encoder chooses codes."""
