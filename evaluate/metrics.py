"""Metrics as the evaluation sees them: a small protocol, and a list of all of them."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from luxvox.errors import LuxvoxError, UsageError
from luxvox.evaluate.inputs import Kind, TestFile, one_line
from luxvox.evaluate.peers import Absent

EXTRA = "pip install 'luxvox[evaluate]'"
EXTRA_VOICES = "pip install 'luxvox[evaluate-voices]'"
LARGEST_DB = 100.0


class NotApplicable(ValueError):
    """Report that a metric has no figure for a file; the message says why, in one line."""


@dataclass(frozen=True)
class Setting:
    """What metrics need to know.

    Attributes:
        recogniser: folder of a Whisper model that faster-whisper can load, or None.
    """

    recogniser: str | None = None


class MetricSpec(Protocol):
    """A measure of a decoded file against its original."""

    @property
    def name(self) -> str:
        """A short word, for options and files."""

    @property
    def label(self) -> str:
        """Its name in tables and plots."""

    @property
    def unit(self) -> str:
        """Its unit, or an empty string."""

    @property
    def kind(self) -> Kind:
        """What it measures."""

    @property
    def is_higher_better(self) -> bool:
        """Whether better files get higher figures."""

    @property
    def digits(self) -> int:
        """Decimals that are worth printing."""

    @property
    def is_slow(self) -> bool:
        """Whether it takes seconds per file."""

    @property
    def install(self) -> str:
        """The command that installs what it needs."""

    def version(self, setting: Setting) -> str:
        """Name library and version.

        Raises:
            ImportError: the library is missing.
            LuxvoxError or OSError: weights are missing.
        """

    def measure(
        self, original: NDArray[Any], decoded: NDArray[Any], test_file: TestFile, setting: Setting
    ) -> float:
        """Measure a decoded picture or voice of its original's size.

        Raises:
            NotApplicable: the metric has no figure for this file.
        """


@dataclass(frozen=True)
class LibraryMetric:
    """A metric that a library computes; `compute` and `describe` are its two actions."""

    name: str
    label: str
    kind: Kind
    compute: Callable[[NDArray[Any], NDArray[Any], TestFile, Setting], float]
    describe: Callable[[Setting], str]
    unit: str = ""
    is_higher_better: bool = True
    digits: int = 2
    is_slow: bool = False
    install: str = EXTRA

    def version(self, setting: Setting) -> str:
        """Name library and version."""
        return self.describe(setting)

    def measure(
        self, original: NDArray[Any], decoded: NDArray[Any], test_file: TestFile, setting: Setting
    ) -> float:
        """Measure."""
        value = float(self.compute(original, decoded, test_file, setting))
        if not math.isfinite(value):
            raise NotApplicable(f"{self.label} is {value}")
        return value


@dataclass(frozen=True)
class Metric:
    """A metric that can run here."""

    name: str
    label: str
    unit: str
    is_higher_better: bool
    digits: int
    is_slow: bool
    version: str

    @property
    def key(self) -> str:
        """The key of its cached figures."""
        return f"{self.name} by {self.version}"


_HOMES = ("picture.metrics", "voice.metrics")


def all_metrics() -> dict[str, MetricSpec]:
    """Return all metrics by name, in the order of reports."""
    homes = [importlib.import_module(f"luxvox.evaluate.{home}") for home in _HOMES]
    return {metric.name: metric for home in homes for metric in home.METRICS}


def choose(
    kind: Kind, names: Sequence[str] | None, setting: Setting
) -> tuple[list[Metric], list[Absent]]:
    """Return the metrics of a kind that can run here, and those that cannot.

    Args:
        kind: pictures or voices.
        names: those that are wanted; None for all.
        setting: what metrics need to know.

    Raises:
        UsageError: an unknown name.
    """
    known = all_metrics()
    for name in names or ():
        if name not in known:
            raise UsageError(f"no metric is called {name}; known: {', '.join(known)}")
    chosen = [known[name] for name in (known if names is None else dict.fromkeys(names))]
    entered = [_enter(metric, setting) for metric in chosen if metric.kind == kind]
    return (
        [metric for metric in entered if isinstance(metric, Metric)],
        [metric for metric in entered if isinstance(metric, Absent)],
    )


def decibels(similarity: float) -> float:
    """Spread a similarity (0 to 1) on a decibel scale: −10 · log10(1 − similarity), at most 100."""
    return -10.0 * math.log10(max(1.0 - similarity, 10.0 ** (-LARGEST_DB / 10.0)))


def _enter(metric: MetricSpec, setting: Setting) -> Metric | Absent:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries that are imported
            version = metric.version(setting)
    except (ImportError, LuxvoxError, OSError, RuntimeError) as error:
        return Absent(metric.name, one_line(error), metric.install)
    return Metric(
        metric.name,
        metric.label,
        metric.unit,
        metric.is_higher_better,
        metric.digits,
        metric.is_slow,
        version,
    )
