"""Memory that was freed, and that the C library keeps from the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


def release() -> None:
    """Hand freed memory back to the system where the C library can (glibc); a few milliseconds.

    Arrays of megabytes leave holes in the heap of glibc, and those that come next do not fit: a
    picture of 12 megapixels then takes half as much again as its arrays need.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.lru_cache(maxsize=1)
def _trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return None
    return trim
