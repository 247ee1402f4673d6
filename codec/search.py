"""The search for a size, a rate or a PSNR: whole numbers are tried until the measure fits.

For pictures the numbers are qualities in hundredths, 100 … 10,000, and go on at both ends. Below
quality 1 a bit is worth more and more squared steps; above quality 100, less and less. What is
searched for rises along them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from luxvox.codec.quality import COARSEST, FINEST, Quality

BEYOND: Final = 600  # how far the numbers go on at each end
_FACTOR_BEYOND = 6.0  # on λ at the ends
MAX_TRIES: Final = 14

Measure = Callable[[int], float]
"""Gives size or quality of the file of a number."""


@dataclass(frozen=True)
class Window:
    """What is good enough: `low` … `high`, best near `aim`.

    Attributes:
        low, aim, high: of what is measured.
        is_limit: whether `high` must not be passed: all below it is better than anything above.
    """

    low: float
    aim: float
    high: float
    is_limit: bool = False

    def holds(self, value: float) -> bool:
        """Return whether a value is good enough."""
        return self.low <= value <= self.high

    def fault(self, value: float) -> tuple[bool, float]:
        """Return what to choose the best value by: the least fault."""
        return self.is_limit and value > self.high, abs(value - self.aim)


class Forecast(Protocol):
    """Says which number to try."""

    def first(self) -> int:
        """Return the number to begin with."""

    def next(self, tried: Mapping[int, float], left: range, aim: float) -> int:
        """Return the number where the measure should be about `aim`.

        Args:
            tried: what was measured, by number, the last one last.
            left: numbers that are left to search.
            aim: the measure that is wanted.
        """


@dataclass(frozen=True)
class LineForecast:
    """A forecast along the line through the last try and the nearest other one.

    Attributes:
        start: the number to begin with.
        slope: how much the measure rises from one number to the next, typically.
    """

    start: int
    slope: float

    def first(self) -> int:
        """Return the start."""
        return self.start

    def next(self, tried: Mapping[int, float], left: range, aim: float) -> int:
        """Return where the line reaches the aim; its slope stays near the typical one.

        Every third time, return the middle of what is left, or one end could stay for ever.
        """
        if len(tried) % 3 == 0:
            return (left[0] + left[-1]) // 2
        *others, last = tried
        slope = self.slope
        if others:
            nearest = min(others, key=lambda number: abs(number - last))
            risen = (tried[last] - tried[nearest]) / (last - nearest)
            slope = min(max(risen, slope / 4.0), slope * 4.0)
        return round(last + (aim - tried[last]) / slope)


PICTURE_NUMBERS: Final = range(COARSEST.hundredths - BEYOND, FINEST.hundredths + BEYOND + 1)


def quality_and_lambda_factor(number: int) -> tuple[Quality, float]:
    """Return the quality, and the factor on λ, of one of `PICTURE_NUMBERS`."""
    hundredths = min(max(number, COARSEST.hundredths), FINEST.hundredths)
    return Quality(hundredths), float(_FACTOR_BEYOND ** ((hundredths - number) / BEYOND))


def find(
    measure: Measure,
    window: Window,
    numbers: range,
    forecast: Forecast,
    max_tries: int = MAX_TRIES,
) -> int:
    """Return the number whose measure lies in a window, or comes nearest to it.

    Args:
        measure: called for a few numbers; rises, on the whole.
        window: where it should lie.
        numbers: to search among.
        forecast: says which of them to try.
        max_tries: after this many the nearest is good enough.
    """
    low, high = numbers[0], numbers[-1]
    tried: dict[int, float] = {}
    number = min(max(forecast.first(), low), high)
    for _ in range(max_tries):
        value = tried[number] = measure(number)
        if window.holds(value):
            return number

        low, high = (number + 1, high) if value < window.aim else (low, number - 1)
        if low > high:
            break
        following = forecast.next(tried, range(low, high + 1), window.aim)
        number = min(max(following, low), high)
    return min(tried, key=lambda number: window.fault(tried[number]))
