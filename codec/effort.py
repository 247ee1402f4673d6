"""How much work goes into a file: effort 1 … 9 (docs/decisions.md has what each level brings).

Pictures: codes are chosen once or several times. Between two choices the latents are corrected by
what the synthesis makes of the codes so far (`luxvox.models.refinement`), no latent by more than a
bound: larger corrections gain more on most pictures and run away on some, so the highest efforts
try both. Voices: codes are the nearest words, or chosen by the context model's costs, too
(`luxvox.models.speech_choice`); several sequences of codewords are kept in the search over stages,
or latents are corrected so many times by what is heard of their codes
(`luxvox.models.speech_refinement`). Every level decodes the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from luxvox.errors import UsageError

DEFAULT_EFFORT: Final = 5
EFFORTS: Final = range(1, 10)


@dataclass(frozen=True)
class Choice:
    """One choice of all codes of a picture.

    Attributes:
        contexts: by the costs that the context model gives, or else by the static tables'.
        rate_weight: squared steps that a bit is worth.
    """

    contexts: bool
    rate_weight: float


_STATIC: Final = Choice(False, 0.1155)
_CONTEXT: Final = Choice(True, 0.14)


@dataclass(frozen=True)
class PictureWork:
    """What is done for the codes of a picture.

    Attributes:
        choices: one after the other, latents corrected in between.
        bounds: steps that a latent is corrected by at most; of several the best is taken.
    """

    choices: tuple[Choice, ...]
    bounds: tuple[float, ...] = (0.5,)


PICTURE_WORK: Final[Mapping[int, PictureWork]] = {
    1: PictureWork((_STATIC,)),
    2: PictureWork((_STATIC, _STATIC)),
    3: PictureWork((_STATIC, _STATIC, _STATIC)),
    4: PictureWork((_STATIC, _CONTEXT)),
    5: PictureWork((_STATIC, _STATIC, _CONTEXT)),
    6: PictureWork((*3 * (_STATIC,), _CONTEXT)),
    7: PictureWork((_STATIC, _STATIC, _CONTEXT), (0.5, 1.0)),
    8: PictureWork((*3 * (_STATIC,), _CONTEXT), (0.5, 1.0)),
    9: PictureWork((*3 * (_STATIC,), *2 * (_CONTEXT,)), (0.5, 1.0)),
}


@dataclass(frozen=True)
class VoiceWork:
    """What is done for the codes of a voice.

    Attributes:
        beam_width: sequences of codewords kept in the search over stages.
        n_refinements: how often latents are corrected by what is heard of their codes.
        by_context: whether the context model's costs count, not only the distance of codewords.
    """

    beam_width: int
    n_refinements: int
    by_context: bool = False

    @property
    def chooses_anew(self) -> bool:
        """Whether each rate has codes of its own, not those of full depth cut."""
        return self.beam_width > 1 or self.by_context


# A beam beside corrections gains nothing: these are made for the words of a greedy search.
VOICE_WORK: Final[Mapping[int, VoiceWork]] = {
    1: VoiceWork(1, 0),
    2: VoiceWork(1, 0, True),
    3: VoiceWork(2, 0),
    4: VoiceWork(1, 1, True),
    5: VoiceWork(1, 2, True),
    6: VoiceWork(1, 4, True),
    7: VoiceWork(1, 8, True),
    8: VoiceWork(1, 16, True),
    9: VoiceWork(1, 32, True),
}


def check_effort(effort: int) -> int:
    """Return an effort.

    Raises:
        UsageError: if it is not a whole number of 1 … 9.
    """
    if isinstance(effort, bool) or not isinstance(effort, int) or effort not in EFFORTS:
        raise UsageError(f"effort {effort!r} is out of range, legal: {EFFORTS[0]}..{EFFORTS[-1]}")
    return effort
