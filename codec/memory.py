"""Memory that was freed, and that the C library keeps from the system."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Mapping

_OF_DASK = "65536"  # bytes that Dask lets a worker keep
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's settings
_TRIM_THRESHOLD, _MMAP_THRESHOLD = 1 << 26, 1 << 25  # bytes; what glibc's own end up as


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


@functools.lru_cache(maxsize=1)
def keep_as_usual() -> bool:
    """Let the C library (glibc) keep as much freed memory as it does by default, also under Dask.

    Dask starts its workers with MALLOC_TRIM_THRESHOLD_=65536. Then each array is handed back as
    soon as it is freed, and the pages of the next one are new to the process: networks take half
    as long again. Only the first call does anything.

    Returns:
        Whether a setting of Dask's was replaced.
    """
    return _keep_as_usual(os.environ, _mallopt())


def _keep_as_usual(
    environment: Mapping[str, str], mallopt: Callable[[int, int], int] | None
) -> bool:
    if mallopt is None or environment.get("MALLOC_TRIM_THRESHOLD_") != _OF_DASK:
        return False
    kept = mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
    return bool(kept and mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD))


def _mallopt() -> Callable[[int, int], int] | None:
    try:
        mallopt: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return None
    return mallopt
