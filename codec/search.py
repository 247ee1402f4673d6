"""The search for a size, a rate or a PSNR: over quality, and beyond its ends over μ.

Both lie on one axis, *fineness*. 100 … 10000 are qualities in hundredths. Below, at quality 1,
a bit is worth more and more squared steps; above, at quality 100, less and less. What is
searched for rises along it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

COARSEST, FINEST = 100, 10000
BEYOND: Final = 600  # how far fineness goes on at each end
_FACTOR_BEYOND = 6.0  # of a bit's worth at the ends of it
MAX_TRIES: Final = 14

Measure = Callable[[int], float]
"""Gives size or quality at a fineness."""


@dataclass(frozen=True)
class Window:
    """What is good enough: `low` … `high`, best near `aim`."""

    low: float
    aim: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether a value is good enough."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Axis:
    """Whole numbers to search among.

    Attributes:
        low, high: the ends.
        first: where to try first.
        slope: how much the measure rises from one number to the next, typically.
    """

    low: int
    high: int
    first: int
    slope: float


def fineness_axis(first: int, slope: float) -> Axis:
    """Return the axis of all finenesses."""
    return Axis(COARSEST - BEYOND, FINEST + BEYOND, first, slope)


def quality_and_worth(fineness: int) -> tuple[int, float]:
    """Return the quality in hundredths, and the factor on a bit's worth, at a fineness."""
    centi = min(max(fineness, COARSEST), FINEST)
    return centi, float(_FACTOR_BEYOND ** ((centi - fineness) / BEYOND))


def find(measure: Measure, window: Window, axis: Axis, max_tries: int = MAX_TRIES) -> int:
    """Return the number on an axis whose measure lies in a window, or comes nearest to it.

    Args:
        measure: called for a few numbers; rises, on the whole.
        window: where it should lie.
        axis: of the numbers.
        max_tries: after this many the nearest is good enough.
    """
    low, high = axis.low, axis.high
    tried: dict[int, float] = {}
    number = min(max(axis.first, low), high)
    for n_tries in range(1, max_tries + 1):
        value = tried[number] = measure(number)
        if window.holds(value):
            return number
        low, high = (number + 1, high) if value < window.aim else (low, number - 1)
        if low > high:
            break
        halve = n_tries % 3 == 0  # or one end of the bracket stays where it is
        after = (low + high) // 2 if halve else _next(tried, number, window.aim, axis.slope)
        number = min(max(after, low), high)
    return min(tried, key=lambda one: abs(tried[one] - window.aim))


def _next(tried: dict[int, float], last: int, aim: float, slope: float) -> int:
    """Go on from the last try along the line through it and the nearest other one."""
    others = [one for one in tried if one != last]
    if others:
        other = min(others, key=lambda one: abs(one - last))
        risen = (tried[last] - tried[other]) / (last - other)
        slope = min(max(risen, slope / 4.0), slope * 4.0)
    return round(last + (aim - tried[last]) / slope)
