"""What was measured, as tables that can be averaged: which codecs and files count and which don't.

Codecs are compared only on the same files. A codec that fails on every file is left out; a file on
which any of the others fails is left out for all of them. A metric that has no figure for a file,
with any codec at any point, is averaged over the other files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from luxvox.evaluate.inputs import Failure, Kind, TestFile
from luxvox.evaluate.measure import Outcome, Row
from luxvox.evaluate.metrics import Metric, decibels
from luxvox.evaluate.peers import Absent, Codec
from luxvox.evaluate.timing import Times

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """Everything that is known about one kind.

    Attributes:
        kind: pictures or voices.
        test_files: the files that count, by name.
        sizes: of each file: width and height, or seconds.
        codecs: the codecs that count, in the order they were named.
        metrics: the metrics.
        rows: of those files and codecs.
        failures: what was left out and why.
        absent: codecs and metrics that could not run.
        times: how long codecs took, if that was measured.
    """

    kind: Kind
    test_files: tuple[TestFile, ...]
    sizes: Mapping[str, Mapping[str, float]]
    codecs: tuple[Codec, ...]
    metrics: tuple[Metric, ...]
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()
    absent: tuple[Absent, ...] = ()
    times: tuple[Times, ...] = field(default=())

    def rates(self, codec: str) -> Figures:
        """Return rates [files, points]."""
        return self._table(codec, lambda row: row.rate)

    def figures(self, codec: str, metric: str) -> Figures:
        """Return figures [files, points], NaN where the metric has none."""
        return self._table(codec, lambda row: _or_nan(row.figures.get(metric)))

    def is_counted(self, metric: str) -> NDArray[np.bool_]:
        """Return which files [files] a metric is averaged over."""
        tables = [self.figures(codec.name, metric) for codec in self.codecs]
        is_complete: NDArray[np.bool_] = ~np.any([np.isnan(t).any(axis=1) for t in tables], axis=0)
        return is_complete

    def _table(self, codec: str, value: Callable[[Row], float]) -> Figures:
        files = {test_file.name: row_number for row_number, test_file in enumerate(self.test_files)}
        points = {p: k for e in self.codecs if e.name == codec for k, p in enumerate(e.points)}
        table = np.full((len(files), len(points)), np.nan)
        for row in self.rows:
            if row.codec == codec:
                table[files[row.file], points[row.point]] = value(row)
        return table


@dataclass(frozen=True)
class Scale:
    """What a plot or table shows: a metric as it is, or its mean on another scale.

    Attributes:
        metric: whose figures are averaged.
        transform: applied to the means; None for none.
        is_compared: whether Bjøntegaard differences are computed on it.
    """

    name: str
    label: str
    unit: str
    digits: int
    is_higher_better: bool
    metric: str
    transform: Callable[[float], float] | None = None
    is_compared: bool = True

    def of(self, means: Figures) -> Figures:
        """Convert means of the metric to this scale."""
        return means if self.transform is None else np.vectorize(self.transform)(means)

    def upward(self, qualities: Figures) -> Figures:
        """Return figures that are higher for better files."""
        return qualities if self.is_higher_better else -qualities


def scales(metrics: Sequence[Metric]) -> list[Scale]:
    """Return the scales of metrics; MS-SSIM is averaged before conversion to dB, as is usual."""
    found = []
    for metric in metrics:
        plain = Scale(
            metric.name,
            metric.label,
            metric.unit,
            metric.digits,
            metric.is_higher_better,
            metric.name,
            is_compared=metric.name not in ("ms_ssim", "wer"),
        )
        found.append(plain)
        if metric.name == "ms_ssim":
            found.append(Scale("ms_ssim_db", "MS-SSIM", "dB", 2, True, metric.name, decibels))
    return found


def gather(
    kind: Kind,
    test_files: Sequence[TestFile],
    codecs: Sequence[Codec],
    metrics: Sequence[Metric],
    outcomes: Sequence[Outcome],
) -> Study:
    """Decide which files and codecs count.

    Args:
        kind: pictures or voices.
        test_files: the files that were tried, by name.
        codecs: the codecs.
        metrics: the metrics.
        outcomes: of each codec on each file.

    Returns:
        The study, without what is absent and without times.
    """
    failures = [outcome.failure for outcome in outcomes if outcome.failure is not None]
    unreadable = {failure.file for failure in failures if failure.codec is None}
    readable = [test_file for test_file in test_files if test_file.name not in unreadable]
    failed = {
        codec.name: [failure for failure in failures if failure.codec == codec.name]
        for codec in codecs
    }
    useless = {
        name
        for name, failures_of_it in failed.items()
        if failures_of_it and len(failures_of_it) == len(readable)
    }
    broken = {failure.file for name in failed.keys() - useless for failure in failed[name]}
    kept = tuple(test_file for test_file in readable if test_file.name not in broken)
    names = {test_file.name for test_file in kept}
    rows = [row for outcome in outcomes for row in outcome.rows]
    sizes = {outcome.rows[0].file: outcome.size for outcome in outcomes if outcome.rows}
    return Study(
        kind=kind,
        test_files=kept,
        sizes={name: sizes[name] for name in sorted(names & sizes.keys())},
        codecs=tuple(codec for codec in codecs if codec.name not in useless),
        metrics=tuple(metrics),
        rows=tuple(
            sorted(
                (row for row in rows if row.file in names and row.codec not in useless),
                key=lambda row: (row.file, [e.name for e in codecs].index(row.codec), row.point),
            )
        ),
        failures=tuple(dict.fromkeys(failures)),
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
