"""Progress of a job: functions that are called with the share of the work done, 0 … 1."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float], None]


def silent(share: float) -> None:
    """Ignore progress."""


def part_of(progress: Progress, start: float, size: float) -> Progress:
    """Return the progress of a part that begins at `start`; both are shares of the whole work."""
    return lambda done: progress(start + size * done)
