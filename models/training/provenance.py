"""Where weights come from: the hours of a run and the sources of its data."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path


def core_hours(run: Path) -> float:
    """Return the core-hours of a run folder, and of what it started from."""
    # Minutes of all threads: what a phase would take on one core.
    phases = [json.loads(p.read_text()) for p in run.glob("summary-*.json")]
    later: float = sum(phase["minutes"] * phase["threads"] for phase in phases) / 60.0
    return earlier_core_hours(run) + later


def earlier_core_hours(run: Path) -> float:
    """Return the core-hours of what a run folder started from."""
    earlier: float = json.loads((run / "run.json").read_text()).get("earlier_core_hours", 0.0)
    return earlier


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
