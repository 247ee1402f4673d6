"""Means over files, their intervals, and Bjøntegaard differences between all pairs of curves.

Intervals come from the bootstrap: the files are resampled, with replacement, 500 times from a fixed
seed; 2.5 % of the draws lie below an interval and 2.5 % above it (B. Efron, "Bootstrap
methods: another look at the jackknife", 1979).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from luxvox.evaluate import bd
from luxvox.evaluate.against import Foreign
from luxvox.evaluate.bd import Curve, NoComparison
from luxvox.evaluate.study import Figures, Scale, Study

DRAWS = 500
_SEED = 2001
_MIN_FILES = 2  # one file has no spread
_MIN_DRAWS = 0.9  # share of the draws that must be comparable for an interval to be given


@dataclass(frozen=True)
class Difference:
    """A Bjøntegaard difference of `codec` from `reference` on a scale.

    Attributes:
        value: between the mean curves; None if they cannot be compared.
        interval: 95 %; None if there is none.
        mean_over_files: mean of the per-file differences, where they can be compared.
        files: how many files can be compared.
        refused: why there is no value.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    mean_over_files: float | None = None
    files: int = 0
    refused: str | None = None


@dataclass(frozen=True)
class Comparison:
    """Two codecs on a scale: at equal quality in percent of rate, and at equal rate in quality."""

    scale: str
    reference: str
    codec: str
    rate: Difference
    quality: Difference


@dataclass(frozen=True)
class MeanCurve:
    """Means over files that a metric has figures for: rates, figures [points], ends [2, points]."""

    rates: Figures
    figures: Figures
    ends: Figures | None


def mean_with_interval(table: Figures) -> tuple[Figures, Figures | None]:
    """Average figures [files, n] over files.

    Returns:
        Means [n], and the ends [2, n] of their intervals, or None for one file.
    """
    means = table.mean(axis=0)
    return means, _ends(_draws(len(table)) @ table) if len(table) >= _MIN_FILES else None


def mean_curve(study: Study, scale: Scale, codec: str) -> MeanCurve | None:
    """Return a codec's mean curve on a scale, or None if the metric has no figure for any file."""
    counted = study.is_counted(scale.metric)
    if not counted.any():
        return None
    figures, ends = mean_with_interval(study.figures(codec, scale.metric)[counted])
    return MeanCurve(
        study.rates(codec)[counted].mean(axis=0),
        scale.of(figures),
        None if ends is None else scale.of(ends),
    )


def compare(study: Study, scale: Scale, foreign: Sequence[Foreign] = ()) -> list[Comparison]:
    """Compare all pairs of codecs on a scale, and all codecs with curves from elsewhere."""
    if not study.is_counted(scale.metric).any():
        return []
    curves = [codec.name for codec in study.codecs if len(codec.points) > 1]
    own = [_Bundle.measure(study, scale, name) for name in curves]
    others = [_Bundle.foreign(curve, scale) for curve in foreign if scale.name in curve.points]
    pairs = [(a, b) for number, a in enumerate(own) for b in [*own[number + 1 :], *others]]
    return [comparison for a, b in pairs for comparison in _both_ways(a, b, scale)]


@dataclass(frozen=True)
class _Bundle:
    """The curves of a codec: of means, of each file, of each draw; from elsewhere the first."""

    name: str
    mean: Curve
    files: tuple[Curve, ...] = ()
    draws: tuple[Curve, ...] = ()

    @classmethod
    def measure(cls, study: Study, scale: Scale, codec: str) -> _Bundle:
        counted = study.is_counted(scale.metric)
        rates, figures = study.rates(codec)[counted], study.figures(codec, scale.metric)[counted]
        weights = _draws(len(rates)) if len(rates) >= _MIN_FILES else np.zeros((0, len(rates)))
        mean, *_ = _curves(rates.mean(axis=0)[None], figures.mean(axis=0)[None], scale)
        return cls(
            codec,
            mean,
            _curves(rates, figures, scale),
            _curves(weights @ rates, weights @ figures, scale),
        )

    @classmethod
    def foreign(cls, curve: Foreign, scale: Scale) -> _Bundle:
        rates, figures = zip(*curve.points[scale.name], strict=True)
        return cls(curve.name, Curve(rates, tuple(scale.upward(np.array(figures)).tolist())))


def _curves(rates: Figures, figures: Figures, scale: Scale) -> tuple[Curve, ...]:
    qualities = scale.upward(scale.of(figures)) if len(figures) else figures
    return tuple(
        Curve(tuple(r), tuple(q)) for r, q in zip(rates.tolist(), qualities.tolist(), strict=True)
    )


def _both_ways(a: _Bundle, b: _Bundle, scale: Scale) -> list[Comparison]:
    rate = _difference(a, b, bd.log_rate_gap)
    quality = _difference(a, b, bd.bd_quality)
    # A quality of which less is better was negated for the comparison.
    sign = 1.0 if scale.is_higher_better else -1.0
    return [
        Comparison(
            scale.name,
            reference.name,
            codec.name,
            _map_gaps(rate, functools.partial(_percent_of, way)),
            _map_gaps(quality, functools.partial(operator.mul, sign * way)),
        )
        for reference, codec, way in ((a, b, 1.0), (b, a, -1.0))
    ]


def _percent_of(way: float, log_gap: float) -> float:
    return bd.percent(way * log_gap)


@dataclass(frozen=True)
class _Gaps:
    """Gaps between means, between the curves of each file, of each draw; or why none is known."""

    mean: float | None
    files: tuple[float, ...]
    draws: tuple[float, ...]
    n_draws: int
    refused: str | None


def _difference(a: _Bundle, b: _Bundle, gap: Callable[[Curve, Curve], float]) -> _Gaps:
    try:
        mean = gap(a.mean, b.mean)
    except NoComparison as error:
        return _Gaps(None, (), (), 0, str(error))
    of_files = _gaps(a.files, b.files, gap) if b.files else ()
    # The curve from elsewhere stays the same while ours is resampled.
    of_draws = _gaps(a.draws, b.draws or (b.mean,) * len(a.draws), gap)
    return _Gaps(mean, of_files, of_draws, len(a.draws), None)


def _gaps(
    first: Sequence[Curve], second: Sequence[Curve], gap: Callable[[Curve, Curve], float]
) -> tuple[float, ...]:
    found = []
    for a, b in zip(first, second, strict=True):
        try:
            found.append(gap(a, b))
        except NoComparison:
            continue
    return tuple(found)


def _map_gaps(gaps: _Gaps, unit: Callable[[float], float]) -> Difference:
    if gaps.mean is None:
        return Difference(None, refused=gaps.refused)
    interval = None
    if gaps.n_draws and len(gaps.draws) >= _MIN_DRAWS * gaps.n_draws:
        low, high = _ends(np.array([unit(gap) for gap in gaps.draws]))
        interval = float(low), float(high)
    of_files = [unit(gap) for gap in gaps.files]
    mean = float(np.mean(of_files)) if of_files else None
    return Difference(unit(gaps.mean), interval, mean, len(of_files))


def _ends(draws: Figures) -> Figures:
    ends: Figures = np.quantile(draws, (0.025, 0.975), axis=0)
    return ends


@functools.lru_cache(maxsize=16)
def _draws(n_files: int) -> Figures:
    """Return weights [DRAWS, files] that average files drawn with replacement."""
    chosen = np.random.default_rng(_SEED).integers(0, n_files, (DRAWS, n_files))
    counts = [np.bincount(draw, minlength=n_files) for draw in chosen]
    weights: Figures = np.array(counts) / n_files
    return weights
