"""Freed memory that the C library has not handed back to the system."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable

_OF_DASK = "65536"  # bytes that Dask lets a worker keep
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's settings
_TRIM_THRESHOLD, _MMAP_THRESHOLD = 1 << 26, 1 << 25  # bytes; what glibc's own end up as


def release() -> None:
    """Hand freed memory back to the system where the C library can (glibc); a few milliseconds.

    Arrays of megabytes leave holes in the heap of glibc, and those that come next do not fit: a
    picture of 12 megapixels then takes half as much again as its arrays need.
    """
    trim = _function("malloc_trim")
    if trim is not None:
        trim(0)


@functools.cache
def keep_as_usual() -> None:
    """Let the C library (glibc) keep as much freed memory as it does by default, also under Dask.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_=65536. Then each array is handed back as
    soon as it is freed, and the pages of the next one are new to the process: coding a picture
    takes half as long again. Only the first call does anything.
    """
    mallopt = _function("mallopt")
    if mallopt is not None and os.environ.get("MALLOC_TRIM_THRESHOLD_") == _OF_DASK:
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD)


@functools.cache
def _function(name: str) -> Callable[..., int] | None:
    """Return a function of the C library, or None if it lacks it."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another C library, or another system
        return None
    return function
