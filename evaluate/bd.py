"""Bjøntegaard's differences between two rate–quality curves.

Source: G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33,
2001; with piecewise cubic Hermite interpolation (PCHIP) in place of one cubic, as is now usual.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator


class NoComparison(ValueError):
    """Report curves that cannot be compared; the message says why, in a line."""


@dataclass(frozen=True)
class Curve:
    """Points of a rate–quality curve; rates above 0 in any unit; higher quality is better."""

    rates: tuple[float, ...]
    qualities: tuple[float, ...]

    @functools.cached_property
    def rising(self) -> NDArray[np.float64]:
        """The points [n, 2] of log-rate and quality in which quality rises with rate.

        Points that cost more than another point of the same curve without being better are left
        out, as nobody would choose them.

        Raises:
            NoComparison: fewer than two points are left.
        """
        rising: list[tuple[float, float]] = []
        # Of two points of equal rate the better is seen first, so that the other is left out.
        for rate, quality in sorted(
            zip(self.rates, self.qualities, strict=True), key=lambda point: (point[0], -point[1])
        ):
            if not rising or quality > rising[-1][1]:
                rising.append((math.log(rate), quality))
        if len(rising) < 2:
            raise NoComparison(f"a curve needs two points of rising quality, got {len(rising)}")
        return np.array(rising)

    @functools.cached_property
    def log_rate_of_quality(self) -> Any:
        """The antiderivative of log-rate over quality."""
        return PchipInterpolator(self.rising[:, 1], self.rising[:, 0]).antiderivative()

    @functools.cached_property
    def quality_of_log_rate(self) -> Any:
        """The antiderivative of quality over log-rate."""
        return PchipInterpolator(self.rising[:, 0], self.rising[:, 1]).antiderivative()


def bd_rate_percent(anchor: Curve, test: Curve) -> float:
    """Return how many percent more bits `test` needs than `anchor` at equal quality.

    The log-rates are interpolated over quality and their difference is averaged over the range of
    qualities that both curves reach. −50 means half the bits.

    Raises:
        NoComparison: the curves share no quality, or one has fewer than two points.
    """
    return percent(log_rate_gap(anchor, test))


def log_rate_gap(anchor: Curve, test: Curve) -> float:
    """Return the mean difference of log-rate at equal quality, as in `bd_rate_percent`."""
    low, high = _common(anchor.rising[:, 1], test.rising[:, 1], "quality")
    gap = _integral(test.log_rate_of_quality, low, high) - _integral(
        anchor.log_rate_of_quality, low, high
    )
    return gap / (high - low)


def percent(log_gap: float) -> float:
    """Turn a difference of natural logarithms into percent."""
    return 100.0 * math.expm1(log_gap)


def bd_quality(anchor: Curve, test: Curve) -> float:
    """Return how much better `test` is than `anchor` at equal rate, in the unit of the qualities.

    The qualities are interpolated over log-rate and their difference is averaged over the range of
    rates that both curves reach.

    Raises:
        NoComparison: the curves share no rate, or one has fewer than two points.
    """
    low, high = _common(anchor.rising[:, 0], test.rising[:, 0], "rate")
    gap = _integral(test.quality_of_log_rate, low, high) - _integral(
        anchor.quality_of_log_rate, low, high
    )
    return gap / (high - low)


def _common(
    anchor: NDArray[np.float64], test: NDArray[np.float64], axis: str
) -> tuple[float, float]:
    low, high = max(anchor[0], test[0]), min(anchor[-1], test[-1])
    if high <= low:
        anchor_range, test_range = (
            " to ".join(f"{math.exp(end) if axis == 'rate' else end:.4g}" for end in (x[0], x[-1]))
            for x in (anchor, test)
        )
        raise NoComparison(f"the curves share no {axis}: {anchor_range} and {test_range}")
    return float(low), float(high)


def _integral(antiderivative: Any, low: float, high: float) -> float:
    at_low, at_high = antiderivative((low, high))
    return float(at_high - at_low)
