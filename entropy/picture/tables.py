"""Integer probabilities of whole numbers around a predicted mean, as tables.

A context network gives a mean in eighths of a step and a scale index for each code. The code minus
the rounded mean is coded with a table of 64 counts that sum to 2¹⁶: 63 differences −31 … 31, and an
escape. Wide scales code a quotient with a table, and the remainder as plain bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luxvox.entropy.picture.layers import MEAN_UNITS, N_SCALES
from luxvox.entropy.pmf import TOTAL
from luxvox.errors import ModelError

N_TABLE_SCALES = 27  # for higher indices, codes are divided by powers of two
REACH = 31
ESCAPE = 2 * REACH + 1
N_SYMBOLS = ESCAPE + 1
N_TABLES = N_TABLE_SCALES * MEAN_UNITS
SILENT_SCALE = 0  # codes of this scale are the rounded mean, and are not coded at all

Int = NDArray[np.int32]


@dataclass(frozen=True)
class Coding:
    """How the codes of a pass are coded, arrays of one shape.

    Attributes:
        base: the code that difference 0 stands for.
        table: number of the table, scale × fraction of the mean.
        shift: how many plain bits follow the table's symbol.
        silent: where nothing is coded and the code is `base`.
    """

    base: Int
    table: Int
    shift: Int
    silent: NDArray[np.bool_]


def coding_of(mean: Int, scale: Int) -> Coding:
    """Return how codes are coded, for means in eighths of a step and scale indices."""
    half = MEAN_UNITS // 2
    base = (mean + half) >> 3
    fraction = mean + half - (base << 3)

    is_wide = scale >= N_TABLE_SCALES
    if not is_wide.any():
        shift = np.broadcast_to(np.int32(0), scale.shape)
        return Coding(base, scale * MEAN_UNITS + fraction, shift, scale == SILENT_SCALE)

    # Each octave beyond the widest table is one plain bit; difference 0 is centred on the mean.
    over = np.maximum(scale - (N_TABLE_SCALES - 1), 0)
    shift = (over + 3) >> 2
    base = base - ((1 << shift) >> 1)
    fraction = np.where(is_wide, half, fraction)
    table = (scale - 4 * shift) * MEAN_UNITS + fraction
    return Coding(base, table, shift, scale == SILENT_SCALE)


def start_tables() -> NDArray[np.int64]:
    """Return the counts [N_TABLES, 64] of the distribution that training assumes."""
    tables = np.zeros((N_TABLES, N_SYMBOLS))
    k = np.arange(-REACH, REACH + 1, dtype=np.float64)
    for scale in range(N_TABLE_SCALES):
        width = 0.05 * 2.0 ** (scale / 4.0)
        for fraction in range(MEAN_UNITS):
            offset = (fraction - MEAN_UNITS // 2) / MEAN_UNITS
            row = tables[scale * MEAN_UNITS + fraction]
            row[:ESCAPE] = np.maximum(_mass(k - offset, width), 0.0)
            row[ESCAPE] = max(1.0 - row[:ESCAPE].sum(), 0.0)
    return counts_from_shares(tables)


def _mass(distance: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Return probabilities of whole steps under the two logistics that training assumes."""
    total = np.zeros_like(distance, np.float64)
    for share, ratio in ((0.85, 1.0), (0.15, 2.5)):
        edges = np.abs(distance)
        upper, lower = ((d - edges) / (width * ratio) for d in (0.5, -0.5))
        total += share * (_sigmoid(upper) - _sigmoid(lower))
    return total


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def counts_from_shares(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turn probabilities [n, K] into counts that sum to 2¹⁶, each at least 1."""
    size = shares.shape[1]
    counts: NDArray[np.int64] = 1 + np.floor(shares * (TOTAL - size)).astype(np.int64)
    counts[np.arange(len(counts)), shares.argmax(axis=1)] += TOTAL - counts.sum(axis=1)
    return counts


def check_counts(counts: NDArray[np.int64]) -> None:
    """Check tables of counts [N_TABLES, 64].

    Raises:
        ModelError: if a count is below 1 or a row does not sum to 2¹⁶.
    """
    if counts.shape != (N_TABLES, N_SYMBOLS):
        raise ModelError(f"tables of {counts.shape}, legal: {N_TABLES} × {N_SYMBOLS}")
    if counts.min() < 1 or (counts.sum(axis=1) != TOTAL).any():
        raise ModelError("a table of counts does not sum to 2^16, or holds a zero")


assert N_SCALES > N_TABLE_SCALES
