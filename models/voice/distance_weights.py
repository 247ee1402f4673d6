"""The weight of each distance of a decoded voice (`luxvox.models.voice.losses`).

Corrections use other weights than training (docs/decisions/052).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

FOR_TRAINING: Final[Mapping[str, float]] = {
    "magnitude": 1.2,
    "mel_320": 0.85,
    "mel_640": 0.35,
    "texture": 0.3,
    "timbre": 1.5,
    "intelligibility": 5.0,
    "loudness": 1.0,
}
FOR_CORRECTION: Final[Mapping[str, float]] = {
    "magnitude": 1.0,
    "mel_320": 0.7,
    "mel_640": 0.3,
    "texture": 0.25,
    "timbre": 1.0,
    "intelligibility": 5.34,
    "loudness": 0.85,
}
