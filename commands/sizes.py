"""Sizes as people write them: 20000, 20kB, 1.5 MB, 64 KiB."""

from __future__ import annotations

import math
import re

from luxvox.errors import UsageError

_UNITS = {
    **{"": 1, "b": 1},
    **{"k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9},
    **{"kib": 2**10, "mib": 2**20, "gib": 2**30},
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([A-Za-z]*)\s*")


def parse_size(text: str) -> int:
    """Return a size in bytes, rounded down: a number and B, kB, KB, MB, GB, KiB, MiB or GiB.

    A k or M is a thousand or a million; with an i it is 1024 or 1024². Case does not matter.

    Raises:
        UsageError: if it is not a size, or is less than a byte.
    """
    match = _SIZE.fullmatch(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    n_bytes = float(match[1]) * unit if match and unit else 0.0
    if not 1.0 <= n_bytes < math.inf:
        raise UsageError(f"{text!r} is not a size; legal: a number and B, kB, MB, KiB or MiB")
    return int(n_bytes)
