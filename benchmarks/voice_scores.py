"""Figures of decoded voices, by the metrics that are installed."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from luxvox.errors import UsageError
from luxvox.evaluate.inputs import VOICES, TestFile
from luxvox.evaluate.metrics import Metric, NotApplicable, Setting, all_metrics, choose

_WANTED = ("pesq", "stoi")
_INSTEAD = ("si_sdr",)
_OF_SILENCE = {"pesq": 1.0, "stoi": 0.0, "si_sdr": -30.0}
_NO_SUBJECT = TestFile(Path(), "", VOICES, "")
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class VoiceScores:
    """PESQ-WB and STOI, whichever are installed, or else SI-SDR."""

    metrics: tuple[Metric, ...]

    @classmethod
    def find_installed(cls) -> VoiceScores:
        """Find what can be measured here.

        Raises:
            UsageError: nothing can.
        """
        for names in (_WANTED, _INSTEAD):
            metrics, absent = choose(VOICES, names, Setting())
            if metrics:
                return cls(tuple(metrics))
        raise UsageError(f"no metric of voices is installed; {absent[0].install}")

    @property
    def names(self) -> tuple[str, ...]:
        """Return a short name for each metric."""
        return tuple(metric.name for metric in self.metrics)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the metrics' names in tables."""
        return tuple(
            ", ".join(filter(None, (metric.label, metric.unit))) for metric in self.metrics
        )

    @property
    def digits(self) -> tuple[int, ...]:
        """Return the decimals that are worth printing."""
        return tuple(metric.digits for metric in self.metrics)

    @property
    def packages(self) -> str:
        """Say what measured."""
        return ", ".join(metric.version for metric in self.metrics)

    def measure(self, original: Samples, decoded: Samples) -> tuple[float, ...]:
        """Return a figure for each metric; its lowest where it has none, as for silence."""
        return tuple(self._figure(name, original, decoded) for name in self.names)

    def _figure(self, name: str, original: Samples, decoded: Samples) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # STOI of silence
            try:
                return all_metrics()[name].measure(original, decoded, _NO_SUBJECT, Setting())
            except NotApplicable:
                return _OF_SILENCE[name]
