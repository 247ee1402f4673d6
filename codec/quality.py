"""Quality on the outside, steps and log-steps on the inside."""

from __future__ import annotations

import math

from luxvox.errors import UsageError

MIN_QUALITY, MAX_QUALITY = 1.0, 100.0


def quality_to_centi(quality: float) -> int:
    """Return a quality of 1 … 100 in hundredths.

    Raises:
        UsageError: if it is out of range.
    """
    if not MIN_QUALITY <= quality <= MAX_QUALITY:
        raise UsageError(f"quality {quality:g} is out of range, legal: 1..100")
    return math.floor(quality * 100.0 + 0.5)


def centi_to_position(quality_centi: int) -> int:
    """Return the log-step −127 (finest) … 127 (coarsest) the context model takes."""
    return 127 - (508 * (quality_centi - 100) + 9900) // 19800


def centi_to_share(quality_centi: int) -> float:
    """Return where a quality lies between −1 (finest) and 1 (coarsest)."""
    return 1.0 - 2.0 * (quality_centi - 100) / 9900.0
