"""How much of a picture may be missing before it is refused, and the note on the loss."""

from __future__ import annotations

from typing import Final

from luxvox.codec.notes import PartNote
from luxvox.errors import InputError

NOTE_ON_CUT: Final = PartNote("the file is cut; the end of the picture may be missing or coarse")
_MAX_MISSING_SHARE: Final = 0.02


def check_missing(share: float) -> None:
    """Refuse a picture of which more than a fiftieth is missing.

    Raises:
        InputError: it is.
    """
    if share > _MAX_MISSING_SHARE:
        raise InputError(f"damaged picture: the file is cut, and {share:.0%} of it is missing")
