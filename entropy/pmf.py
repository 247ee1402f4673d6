"""Integer probability mass functions: logits in 1/16 bit to counts that sum to 2¹⁶.

    d[k] = max(l) − l[k]
    w[k] = max(1, BASE[d mod 16] >> (d div 16))          about 2^(16 − d/16)
    n[k] = 1 + floor(w[k] · (2¹⁶ − K) / Σ w)
    n[first k of the largest l] += 2¹⁶ − Σ n

Every count is at least 1, so every symbol can be coded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PRECISION = 16
TOTAL = 1 << PRECISION
LOGITS_PER_BIT = 16

# round(2^(16 − r/16)) for r = 0 … 15
BASE = (
    *(65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393),
    *(46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219),
)
_N_WEIGHTS = LOGITS_PER_BIT * (PRECISION + 1)
_WEIGHTS = np.array([max(1, BASE[d % 16] >> (d // 16)) for d in range(_N_WEIGHTS)], np.float64)


def counts_from_logits(logits: NDArray[np.int32]) -> NDArray[np.int64]:
    """Turn logits [n, K] in 1/16 bit into counts [n, K] that sum to 2¹⁶, each at least 1.

    The quotient is computed in float64, where it is exact after flooring: numerators stay
    below 2³³, denominators at most 2³¹ (K up to 2¹⁵), so a quotient that is not whole is at least
    2⁻³¹ from the next whole number, far more than the rounding error of 2⁻³⁷.
    """
    n, size = logits.shape
    distance = logits.max(axis=1, keepdims=True, initial=np.iinfo(np.int32).min) - logits
    weights = _WEIGHTS[np.minimum(distance, _N_WEIGHTS - 1)]
    scaled = weights * float(TOTAL - size)
    scaled /= weights.sum(axis=1, keepdims=True)
    counts: NDArray[np.int64] = np.floor(scaled, out=scaled).astype(np.int64)
    counts += 1
    counts[np.arange(n), logits.argmax(axis=1)] += TOTAL - counts.sum(axis=1)
    return counts


def bits_of(counts: NDArray[np.int64], symbols: NDArray[np.int64]) -> float:
    """Return the ideal cost in bits of symbols [n] under counts [n, K]."""
    chosen = counts[np.arange(len(symbols)), symbols]
    return float(PRECISION * len(symbols) - np.log2(chosen).sum())
