"""FORMAT.md, PMF and Range coder: bytes to symbols, with both coders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from luxvox.tests.second_decoder.arithmetic import Integers
from luxvox.tests.second_decoder.container import Refused

BASE = np.array(
    (
        *(65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393),
        *(46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219),
    )
)


def pmf(logits: Integers) -> Integers:
    """Turn logits in 1/16 bit into counts that sum to 2¹⁶."""
    distances = logits.max() - logits
    weights = np.maximum(1, BASE[distances % 16] >> np.minimum(distances // 16, 17))
    counts: Integers = 1 + weights * (2**16 - len(logits)) // weights.sum()
    counts[distances.argmin()] += 2**16 - counts.sum()
    return counts


WORD, STATE = 1 << 32, 1 << 64


def boundaries(counts: Integers) -> Integers:
    """Map counts that sum to 2¹⁶ to boundaries from 0 to 2²⁴."""
    size = len(counts)
    result = np.full(size + 1, 2**24)
    below = np.cumsum(counts) - counts
    result[:-1] = below * (2**24 - size) // 2**16 + np.arange(size)
    return result


class Stream(Protocol):
    """Gives the symbols of one section."""

    def begin(self) -> None: ...
    def pull(self, counts: Integers) -> int: ...
    def finish(self) -> None: ...


def stream_of(coder: int, payload: bytes) -> Stream:
    return RangeDecoder(payload) if coder == 1 else BatchDecoder(payload)


class RangeDecoder:
    """Coder 1: reads the symbols of one section."""

    def __init__(self, data: bytes) -> None:
        if len(data) > 1 and data[-1] == 0:
            raise Refused("a zero byte at the end")
        data = data + bytes(-len(data) % 4)
        self._words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self._n_symbols, self._n_read = 0, 0
        self._lower, self._range = 0, STATE - 1
        self._point = self._next_word() * WORD + self._next_word()

    def begin(self) -> None:
        """Begin a batch, which this coder knows nothing of."""

    def pull(self, counts: Integers) -> int:
        """Return the next symbol."""
        bounds = boundaries(counts)
        scale = self._range // 2**24
        quantile = (self._point - self._lower) % STATE // scale
        if quantile >= 2**24:
            raise Refused("no such symbol")
        symbol = int(np.searchsorted(bounds, quantile, side="right")) - 1
        low, high = int(bounds[symbol]), int(bounds[symbol + 1])
        self._lower = (self._lower + scale * low) % STATE
        self._range = scale * (high - low)
        if self._range < WORD:
            self._lower = self._lower * WORD % STATE
            self._range *= WORD
            self._point = self._point * WORD % STATE + self._next_word()
        self._n_symbols += 1
        return symbol

    def finish(self) -> None:
        """Refuse bytes that no symbol used."""
        used_up = self._n_read >= len(self._words)
        rest = (self._point - self._lower) % STATE
        if not (self._n_symbols and used_up and rest < 2 * WORD - 1):
            raise Refused("bytes are left")

    def _next_word(self) -> int:
        self._n_read += 1
        return self._words[self._n_read - 1] if self._n_read <= len(self._words) else 0


class BatchDecoder:
    """Coder 2: reads the symbols of one section, batch after batch."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset = data, 0
        self._bits: Iterator[int] = iter(())
        self._low, self._high, self._value = 0, 0, 0

    def begin(self) -> None:
        """Begin the next batch."""
        start = self._offset + 4
        end = start + int.from_bytes(self._data[self._offset : start], "little")
        if end > len(self._data) or start > len(self._data):
            raise Refused("a batch is missing or too long")
        batch, self._offset = self._data[start:end], end
        self._bits = iter([byte >> shift & 1 for byte in batch for shift in range(7, -1, -1)])
        self._low, self._high, self._value = 0, WORD - 1, 0
        for _ in range(32):
            self._value = 2 * self._value + next(self._bits, 0)

    def pull(self, counts: Integers) -> int:
        """Return the next symbol."""
        bounds = [0, *np.cumsum(counts).tolist()]
        span = self._high - self._low + 1
        quantile = ((self._value - self._low + 1) * 2**16 - 1) // span
        symbol = int(np.searchsorted(bounds, quantile, side="right")) - 1
        self._high = self._low - 1 + span * bounds[symbol + 1] // 2**16
        self._low += span * bounds[symbol] // 2**16
        half, quarter = WORD // 2, WORD // 4
        while True:
            if self._high < half:
                offset = 0
            elif self._low >= half:
                offset = half
            elif self._low >= quarter and self._high < 3 * quarter:
                offset = quarter
            else:
                return symbol
            self._low = 2 * (self._low - offset)
            self._high = 2 * (self._high - offset) + 1
            self._value = 2 * (self._value - offset) + next(self._bits, 0)

    def finish(self) -> None:
        """Refuse bytes after the last batch."""
        if self._offset != len(self._data):
            raise Refused("bytes are left")
