"""How much work goes into a file: effort 1 … 9 (docs/decisions.md has what each level brings).

Pictures: codes are chosen once or several times. Between two choices the latents are corrected by
what the synthesis makes of the codes so far (`luxvox.models.refinement`). Voices: so many
sequences of codewords are kept in the search over stages. Every level decodes the same way.
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

PICTURE_CHOICES: Final[Mapping[int, tuple[Choice, ...]]] = {
    1: (_STATIC,),
    2: (_STATIC, _STATIC),
    3: (_STATIC, _STATIC, _STATIC),
    4: (_STATIC, _CONTEXT),
    5: (_STATIC, _STATIC, _CONTEXT),
    6: (*3 * (_STATIC,), _CONTEXT),
    7: (*2 * (_STATIC,), *2 * (_CONTEXT,)),
    8: (*3 * (_STATIC,), *2 * (_CONTEXT,)),
    9: (*4 * (_STATIC,), *4 * (_CONTEXT,)),
}

BEAM_WIDTHS: Final[Mapping[int, int]] = {effort: 2 ** max(effort - 5, 0) for effort in EFFORTS}


def check_effort(effort: int) -> int:
    """Return an effort.

    Raises:
        UsageError: if it is not a whole number of 1 … 9.
    """
    if isinstance(effort, bool) or not isinstance(effort, int) or effort not in EFFORTS:
        raise UsageError(f"effort {effort!r} is out of range, legal: {EFFORTS[0]}..{EFFORTS[-1]}")
    return effort
