"""How far a job is: functions that are called with the share of the work done, 0 … 1."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]


def silent(share: float) -> None:
    """Ignore progress."""


def part_of(progress: Progress, start: float, size: float) -> Progress:
    """Return what a part of the work tells its own progress: it begins at `start` of the whole."""
    return lambda done: progress(start + size * done)
