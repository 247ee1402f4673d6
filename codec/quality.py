"""Quality on the outside, log-steps on the inside: one value, and what it means to the networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from luxvox.errors import UsageError

MIN_QUALITY, MAX_QUALITY = 1.0, 100.0


@dataclass(frozen=True, order=True)
class Quality:
    """A quality, in hundredths so that it is a whole number in a file.

    Attributes:
        hundredths: 100 (coarsest) … 10,000 (finest).
    """

    hundredths: int

    @classmethod
    def of(cls, value: float) -> Quality:
        """Return a quality of 1 … 100, rounded to hundredths.

        Raises:
            UsageError: if it is out of range.
        """
        if not MIN_QUALITY <= value <= MAX_QUALITY:
            raise UsageError(f"quality {value:g} is out of range, legal: 1..100")
        return cls(math.floor(value * 100.0 + 0.5))

    @property
    def value(self) -> float:
        """Return 1 … 100."""
        return self.hundredths / 100.0

    @property
    def log_step(self) -> float:
        """Return the log-step −1 (finest) … 1 (coarsest) that float networks take."""
        return 1.0 - 2.0 * (self.hundredths - 100) / 9900.0

    @property
    def log_step_int(self) -> int:
        """Return the log-step −127 (finest) … 127 (coarsest) that context models take."""
        return 127 - (508 * (self.hundredths - 100) + 9900) // 19800


COARSEST: Final = Quality(100)
FINEST: Final = Quality(10_000)
