"""Bjøntegaard's rate difference between two rate–quality curves.

Source: G. Bjøntegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33,
2001; with piecewise cubic Hermite interpolation (PCHIP) in place of one cubic, as is now usual.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator


@dataclass(frozen=True)
class Curve:
    """Points of a rate–quality curve; rates above 0 in any unit, qualities in decibels."""

    rates: tuple[float, ...]
    qualities_db: tuple[float, ...]


def bd_rate_percent(anchor: Curve, test: Curve) -> float:
    """Tell how many percent more bits `test` needs than `anchor` at equal quality.

    The log-rates are interpolated over quality and their difference is averaged over the range of
    qualities that both curves reach. −50 means half the bits. Points that cost more than a point
    of the same curve without being better are left out, as nobody would choose them.

    Raises ValueError where the curves share no quality or a curve has fewer than two points.
    """
    anchor_points, test_points = _rising_points(anchor), _rising_points(test)
    low = max(anchor_points[0, 1], test_points[0, 1])
    high = min(anchor_points[-1, 1], test_points[-1, 1])
    if high <= low:
        raise ValueError(
            f"the curves share no quality: {anchor_points[0, 1]:.2f} to {anchor_points[-1, 1]:.2f}"
            f" dB and {test_points[0, 1]:.2f} to {test_points[-1, 1]:.2f} dB"
        )
    gap = _log_rate_integral(test_points, low, high) - _log_rate_integral(anchor_points, low, high)
    return 100.0 * math.expm1(gap / (high - low))


def _rising_points(curve: Curve) -> NDArray[np.float64]:
    """Return the points [n, 2] of rate and quality in which quality rises with rate."""
    rising: list[tuple[float, float]] = []
    # Of two points of equal rate the better one is seen first, so that the other is left out.
    for rate, quality in sorted(
        zip(curve.rates, curve.qualities_db, strict=True), key=lambda point: (point[0], -point[1])
    ):
        if not rising or quality > rising[-1][1]:
            rising.append((rate, quality))
    if len(rising) < 2:
        raise ValueError(f"a curve needs two points of rising quality, got {len(rising)}")
    return np.array(rising)


def _log_rate_integral(points: NDArray[np.float64], low: float, high: float) -> float:
    log_rate = PchipInterpolator(points[:, 1], np.log(points[:, 0]))
    return float(log_rate.integrate(low, high))
