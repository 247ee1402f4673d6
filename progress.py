"""Progress of a job: functions that are called with the share of the work done, 0 … 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Progress = Callable[[float], None]
Item = TypeVar("Item")


def silent(share: float) -> None:
    """Ignore progress."""


def part_of(progress: Progress, start: float, size: float) -> Progress:
    """Return the progress of a part that begins at `start`; both are shares of the whole work."""
    return lambda done: progress(start + size * done)


def report_items(items: Iterable[Item], total: int, progress: Progress) -> Iterator[Item]:
    """Yield items, `total` in all, and report each that the caller has dealt with."""
    for n, item in enumerate(items, start=1):
        yield item
        progress(n / total)
