"""Where weights come from: the phases and hours of a run, and the sources of its data."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from luxvox.models.cards import read_card

Phases = list[dict[str, Any]]
"""The phases of a run: name, steps, minutes, threads, command and machine of each."""


def core_hours(run: Path) -> float:
    """Return the core-hours of a run folder, including the training that it started from."""
    # Minutes times threads: the time that a phase would take on one core.
    own: float = sum(phase["minutes"] * phase["threads"] for phase in _own_phases(run)) / 60.0
    return earlier_core_hours(run) + own


def earlier_core_hours(run: Path) -> float:
    """Return the core-hours of the training that a run folder started from."""
    earlier: float = json.loads((run / "run.json").read_text()).get("earlier_core_hours", 0.0)
    return earlier


def phases(run: Path) -> Phases:
    """Return the phases of a run folder, after the phases that it started from."""
    earlier: Phases = json.loads((run / "run.json").read_text()).get("earlier_phases", [])
    return [*earlier, *_own_phases(run)]


def _own_phases(run: Path) -> Phases:
    summaries = [json.loads(path.read_text()) for path in sorted(run.glob("summary-*.json"))]
    return sorted(summaries, key=lambda summary: int(summary.get("number", 0)))


def history(origin: Path) -> tuple[float, Phases]:
    """Return the core-hours and the phases of a run folder, or of the weights of a model card."""
    if origin.is_dir():
        return core_hours(origin), phases(origin)
    training = read_card(origin.with_suffix(".json")).extra.get("training", {})
    return training.get("core_hours", 0.0), training.get("phases", [])


def sources(folders: list[Path], noun: str) -> list[dict[str, object]]:
    """Count files (pictures, say) by source and stated licence, from SOURCES.tsv of folders."""
    counts: Counter[tuple[str, str]] = Counter()
    for folder in folders:
        table = folder / "SOURCES.tsv"
        if not table.exists():
            continue

        # Tables name the column of the licence differently.
        with table.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                licence = row.get("licence_as_stated") or row.get("licence") or "not stated"
                counts[row.get("source") or "not stated", licence] += 1

    return [
        {"source": source, "licence": licence, noun: n}
        for (source, licence), n in counts.most_common()
    ]
