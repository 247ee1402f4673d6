"""How much work goes into a file: effort 1 … 9 (docs/decisions/ says what each level gains).

Pictures: codes are chosen by the context model's costs, at every effort; nothing else that was
tried gained anything. Voices: codes are the nearest codewords, or chosen by the context model's
costs (`luxvox.models.voice.choice`); several sequences of codewords are kept in the search over
stages, or latents are corrected several times by what is heard of their codes
(`luxvox.models.voice.correction`). Every level decodes the same way.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from luxvox.errors import UsageError
from luxvox.models.tunings import DEFAULT_TUNE, LAMBDAS, TUNINGS

DEFAULT_EFFORT: Final = 5
EFFORTS: Final = range(1, 10)


@dataclass(frozen=True)
class PictureWork:
    """The work on the codes of a picture.

    Attributes:
        tune: `eye` or `psnr`.
        lambda_: squared steps that a bit is worth.
    """

    tune: str
    lambda_: float

    @property
    def is_for_eye(self) -> bool:
        """Return whether files are marked as tuned for the eye."""
        return TUNINGS[self.tune] > 0.0


def picture_work(effort: int, tune: str = DEFAULT_TUNE) -> PictureWork:
    """Return what an effort does for a picture.

    Args:
        effort: 1 … 9.
        tune: `eye` or `psnr`.

    Raises:
        UsageError: if the effort is not a whole number of 1 … 9, or the tuning is unknown.
    """
    check_tune(tune)
    check_effort(effort)
    return PictureWork(tune, LAMBDAS[tune])


@dataclass(frozen=True)
class VoiceWork:
    """The work on the codes of a voice.

    Attributes:
        beam_width: sequences of codewords kept in the search over stages.
        n_corrections: how often latents are corrected by what is heard of their codes.
        by_context: whether the context model's costs count, not only the distance of codewords.
    """

    beam_width: int
    n_corrections: int
    by_context: bool = False

    @property
    def chooses_again(self) -> bool:
        """Whether each rate gets codes of its own, not full-depth codes cut short."""
        return self.beam_width > 1 or self.by_context


# A beam gains nothing over corrections, which are made for the codewords of a greedy search.
VOICE_WORK: Final[Mapping[int, VoiceWork]] = {
    1: VoiceWork(1, 0),
    2: VoiceWork(1, 0, True),
    3: VoiceWork(2, 0),
    4: VoiceWork(1, 3, True),
    5: VoiceWork(1, 5, True),
    6: VoiceWork(1, 8, True),
    7: VoiceWork(1, 12, True),
    8: VoiceWork(1, 18, True),
    9: VoiceWork(1, 32, True),
}


def check_tune(tune: str) -> None:
    """Check a tuning.

    Raises:
        UsageError: if it is unknown.
    """
    if not isinstance(tune, str) or tune not in TUNINGS:
        raise UsageError(f"tune {tune!r} is unknown, legal: {', '.join(TUNINGS)}")


def check_effort(effort: int) -> int:
    """Return an effort.

    Raises:
        UsageError: if it is not a whole number of 1 … 9.
    """
    is_whole = isinstance(effort, numbers.Integral) and not isinstance(effort, bool)
    if not is_whole or effort not in EFFORTS:
        raise UsageError(f"effort {effort!r} is out of range, legal: {EFFORTS[0]}..{EFFORTS[-1]}")
    return int(effort)
