"""How far a job is: functions that are called with the share of the work done, 0 … 1."""

from __future__ import annotations

from collections.abc import Callable

Advance = Callable[[float], None]


def silent(share: float) -> None:
    """Ignore progress."""


def part_of(advance: Advance, start: float, size: float) -> Advance:
    """Return what a part of the work tells its own progress: it begins at `start` of the whole."""
    return lambda done: advance(start + size * done)
