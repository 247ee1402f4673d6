"""What callers should know about a result: a Python warning, or an item of a list.

`warnings.catch_warnings` replaces filters that all threads share, so two threads in it at once lose
warnings and leave the filters altered. A list belongs to the thread or task that asks for it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

_collected: ContextVar[list[Warning] | None] = ContextVar("collected", default=None)


def warn(caution: Warning, stacklevel: int = 1) -> None:
    """Issue a warning, or add it to the list of a thread that collects cautions.

    Args:
        caution: of one of the classes in `luxvox.errors`.
        stacklevel: the frame that the warning points to, 1 for the caller's.
    """
    collected = _collected.get()
    if collected is None:
        warnings.warn(caution, stacklevel=stacklevel + 1)
    else:
        collected.append(caution)


def warn_all(found: Iterable[Warning], stacklevel: int = 1) -> None:
    """Warn of several things; see `warn`."""
    for caution in found:
        warn(caution, stacklevel + 1)


@contextlib.contextmanager
def collect() -> Iterator[list[Warning]]:
    """Collect the cautions of the block, in this thread or task, instead of issuing warnings."""
    found: list[Warning] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)
