"""How the codes of a prediction are written: symbols of tables, plain bits, and escapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luxvox.entropy import coders
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.tables import ESCAPE, REACH
from luxvox.entropy.pmf import PRECISION, TOTAL
from luxvox.errors import FormatError

if TYPE_CHECKING:
    from luxvox.entropy.picture.prediction import Prediction

_ESCAPE_BITS_MAX = 16


def code_bits(prediction: Prediction, codes: NDArray[np.int32]) -> NDArray[np.float32]:
    """Return the cost in bits of codes [N, channels] under a prediction; 0 where silent."""
    coding = prediction.coding
    quotient = (codes - coding.base) >> coding.shift
    escaped = np.abs(quotient) > REACH
    symbols = np.where(escaped, ESCAPE, quotient + REACH)
    costs = (PRECISION - np.log2(prediction.counts)).astype(np.float32)
    bits: NDArray[np.float32] = costs[coding.table, symbols] + coding.shift
    excess = np.maximum(np.abs(quotient) - REACH, 1).astype(np.float32)
    bits += np.where(escaped, 5.0 + np.floor(np.log2(2.0 * excess)), 0.0).astype(np.float32)
    bits[coding.silent] = 0.0
    return bits


def push_codes(coder: coders.Encoder, prediction: Prediction, codes: NDArray[np.int32]) -> None:
    """Write the codes [N, channels] of one prediction.

    Symbols of tables come first, table by table in ascending order; then the plain bits of wide
    scales, by how many there are; then what the escapes stand for.
    """
    coding = prediction.coding
    coded = ~coding.silent
    difference = (codes - coding.base)[coded]
    shift, table = coding.shift[coded], coding.table[coded].astype(np.uint8)
    quotient = difference >> shift
    escaped = np.abs(quotient) > REACH
    symbols = np.where(escaped, ESCAPE, quotient + REACH)
    order = np.argsort(table, kind="stable")
    coder.push_tables(symbols[order], table[order], prediction.counts)

    for n_bits in np.flatnonzero(np.bincount(shift)[1:]) + 1:
        rest = difference[shift == n_bits] & ((1 << int(n_bits)) - 1)
        _push_plain(coder, rest, int(n_bits))
    for value in quotient[escaped].tolist():
        _push_escape(coder, value)


def pull_codes(coder: coders.Decoder, prediction: Prediction) -> NDArray[np.int32]:
    """Read the codes [N, channels] of one prediction."""
    coding = prediction.coding
    coded = ~coding.silent
    shift, table = coding.shift[coded], coding.table[coded].astype(np.uint8)
    order = np.argsort(table, kind="stable")
    symbols = np.zeros(len(table), np.int32)
    symbols[order] = coder.pull_tables(table[order], prediction.counts)
    quotient = symbols - REACH

    difference = quotient << shift
    for n_bits in np.flatnonzero(np.bincount(shift)[1:]) + 1:
        shifted = shift == n_bits
        difference[shifted] += _pull_plain(coder, int(shifted.sum()), int(n_bits))
    for index in np.flatnonzero(symbols == ESCAPE):
        rest = difference[index] - (quotient[index] << shift[index])
        difference[index] = (_pull_escape(coder) << shift[index]) + rest

    codes = coding.base.copy()
    codes[coded] += difference.astype(np.int32)
    if codes.size and np.abs(codes).max() > CODE_MAX:
        raise FormatError(f"a code lies beyond ±{CODE_MAX}")
    return codes


def _push_plain(coder: coders.Encoder, values: NDArray[np.int32], n_bits: int) -> None:
    table = np.zeros(len(values), np.int64)
    coder.push_tables(values.astype(np.int64), table, _uniform(n_bits))


def _pull_plain(coder: coders.Decoder, n: int, n_bits: int) -> NDArray[np.int64]:
    return coder.pull_tables(np.zeros(n, np.int64), _uniform(n_bits))


def _push_escape(coder: coders.Encoder, quotient: int) -> None:
    """Write a quotient beyond the tables: its class, then the bits below the leading one."""
    value = 2 * (abs(quotient) - REACH) + int(quotient < 0)
    n_bits = value.bit_length() - 1
    _push_plain(coder, np.array([n_bits], np.int32), 5)
    for start in range(0, n_bits, 8):
        width = min(8, n_bits - start)
        part = (value >> start) & ((1 << width) - 1)
        _push_plain(coder, np.array([part], np.int32), width)


def _pull_escape(coder: coders.Decoder) -> int:
    n_bits = int(_pull_plain(coder, 1, 5)[0])
    if not 1 <= n_bits <= _ESCAPE_BITS_MAX:
        raise FormatError(f"an escape of {n_bits} bits, legal: 1..{_ESCAPE_BITS_MAX}")
    value = 1 << n_bits
    for start in range(0, n_bits, 8):
        width = min(8, n_bits - start)
        value += int(_pull_plain(coder, 1, width)[0]) << start
    magnitude = (value >> 1) + REACH
    return -magnitude if value & 1 else magnitude


def _uniform(n_bits: int) -> NDArray[np.int64]:
    return np.full((1, 1 << n_bits), TOTAL >> n_bits, np.int64)
