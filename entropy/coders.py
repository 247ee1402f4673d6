"""Range coders with `push` and `pull`: symbols under counts that sum to 2¹⁶ to bytes, and back.

Two coders exist; a file names the one that wrote it (FORMAT.md).  `constriction` is the default.
`torchac` comes with the extra `luxvox[torchac]`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from luxvox.entropy.pmf import TOTAL
from luxvox.errors import FormatError, SystemFailure, UnsupportedError, UsageError

CONSTRICTION = 1
TORCHAC = 2
CODER_NUMBERS = {"constriction": CONSTRICTION, "torchac": TORCHAC}
TABLES_AT_ONCE = 1 << 14  # symbols in a batch for torchac, which takes a row of counts for each

Counts = NDArray[np.int64]
Symbols = NDArray[np.int64]
Tables = NDArray[np.int64] | NDArray[np.uint8]


class Encoder(Protocol):
    """Writes symbols batch by batch."""

    def push(self, symbols: Symbols, counts: Counts) -> None:
        """Append symbols [n] under counts [n, K]."""

    def push_tables(self, symbols: Symbols, tables: Tables, counts: Counts) -> None:
        """Append symbols [n] under rows `tables` [n] (ascending) of counts [n_tables, K]."""

    def finish(self) -> bytes:
        """Return all bytes; nothing can be pushed afterwards."""


class Decoder(Protocol):
    """Reads symbols batch by batch, as they were pushed."""

    def pull(self, counts: Counts) -> Symbols:
        """Return the next symbols [n] under counts [n, K]."""

    def pull_tables(self, tables: Tables, counts: Counts) -> Symbols:
        """Return the next symbols [n] under rows `tables` [n] (ascending) of counts."""

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            FormatError: if unused bytes remain.
        """


def encoder(number: int) -> Encoder:
    """Return an encoder by its number in the file format."""
    if number == CONSTRICTION:
        return _ConstrictionEncoder()
    if number == TORCHAC:
        return _TorchacEncoder()
    raise UsageError(f"coder {number} is unknown; legal are 1 (constriction) and 2 (torchac)")


def decoder(number: int, data: bytes) -> Decoder:
    """Return a decoder of `data` by the coder's number in the file format."""
    if number == CONSTRICTION:
        return _ConstrictionDecoder(data)
    if number == TORCHAC:
        return _TorchacDecoder(data)
    raise UnsupportedError(f"coder {number} is unknown; this luxvox reads 1 and 2")


def _probabilities(counts: Counts) -> NDArray[np.float64]:
    """Counts as exact float64 multiples of 2⁻¹⁶; in float64 constriction's own mapping is exact."""
    return counts.astype(np.float64) * (1.0 / TOTAL)


def _runs(tables: Tables) -> Iterator[tuple[int, slice]]:
    """Yield each table of an ascending list, and its range in the list."""
    start = 0
    for table, n in enumerate(np.bincount(tables).tolist()):
        if n:
            yield table, slice(start, start + n)
            start += n


class _ConstrictionEncoder:
    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()
        self._family = constriction.stream.model.Categorical(perfect=False)

    def push(self, symbols: Symbols, counts: Counts) -> None:
        if len(symbols):
            self._coder.encode(symbols.astype(np.int32), self._family, _probabilities(counts))

    def push_tables(self, symbols: Symbols, tables: Tables, counts: Counts) -> None:
        for table, run in _runs(tables):
            model = _static_model(counts[table])
            self._coder.encode(symbols[run].astype(np.int32, copy=False), model)

    def finish(self) -> bytes:
        """The words, little endian, without trailing zero bytes, but with at least one byte.

        The decoder reads zeros past the end; an empty section stands for codes that are all null.
        """
        words: NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0") or b"\0"


class _ConstrictionDecoder:
    def __init__(self, data: bytes) -> None:
        if data[-1:] == b"\0" and len(data) > 1:
            raise FormatError("the coded bytes end in a zero, which no encoder writes")
        padded = data + bytes(-len(data) % 4)
        self._pulled = False
        words = np.frombuffer(padded, "<u4").astype(np.uint32)
        self._coder = constriction.stream.queue.RangeDecoder(words)
        self._family = constriction.stream.model.Categorical(perfect=False)

    def pull(self, counts: Counts) -> Symbols:
        if not len(counts):
            return np.zeros(0, np.int64)
        self._pulled = True
        try:
            symbols = self._coder.decode(self._family, _probabilities(counts))
        except (ValueError, AssertionError):
            raise FormatError("the coded bytes are those of no codes") from None
        return np.asarray(symbols, np.int64)

    def pull_tables(self, tables: Tables, counts: Counts) -> Symbols:
        symbols = np.zeros(len(tables), np.int64)
        for table, run in _runs(tables):
            self._pulled = True
            model = _static_model(counts[table])
            try:
                symbols[run] = self._coder.decode(model, run.stop - run.start)
            except (ValueError, AssertionError):
                raise FormatError("the coded bytes are those of no codes") from None
        return symbols

    def finish(self) -> None:
        if not (self._pulled and self._coder.maybe_exhausted()):
            raise FormatError("bytes are left after the last symbol")


def _static_model(counts: Counts) -> Any:
    return _model_of(counts.tobytes())


@functools.lru_cache(maxsize=1024)
def _model_of(counts_bytes: bytes) -> Any:
    """Return the model of a row of counts, made only once: a file reuses a few hundred rows."""
    counts: Counts = np.frombuffer(counts_bytes, np.int64)
    return constriction.stream.model.Categorical(_probabilities(counts), perfect=False)


class _TorchacEncoder:
    """torchac codes a batch at once; each is preceded by its length in 4 bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def push(self, symbols: Symbols, counts: Counts) -> None:
        if len(symbols):
            self._parts.append(_torchac_encode(symbols, counts))

    def push_tables(self, symbols: Symbols, tables: Tables, counts: Counts) -> None:
        for start in range(0, len(symbols), TABLES_AT_ONCE):
            batch = slice(start, start + TABLES_AT_ONCE)
            self.push(symbols[batch], counts[tables[batch]])

    def finish(self) -> bytes:
        return b"".join(len(part).to_bytes(4, "little") + part for part in self._parts)


class _TorchacDecoder:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    def pull(self, counts: Counts) -> Symbols:
        if not len(counts):
            return np.zeros(0, np.int64)
        start = self._offset + 4
        if start > len(self._data):
            raise FormatError("the coded bytes end too early")
        end = start + int.from_bytes(self._data[self._offset : start], "little")
        if end > len(self._data):
            raise FormatError("the coded bytes end too early")
        self._offset = end
        return _torchac_decode(counts, self._data[start:end])

    def pull_tables(self, tables: Tables, counts: Counts) -> Symbols:
        symbols = np.zeros(len(tables), np.int64)
        for start in range(0, len(tables), TABLES_AT_ONCE):
            batch = slice(start, start + TABLES_AT_ONCE)
            symbols[batch] = self.pull(counts[tables[batch]])
        return symbols

    def finish(self) -> None:
        if self._offset != len(self._data):
            raise FormatError("bytes are left after the last symbol")


def _torchac_encode(symbols: Symbols, counts: Counts) -> bytes:
    import torch

    data: bytes = _torchac().encode_int16_normalized_cdf(
        _torchac_cdf(counts), torch.from_numpy(symbols.astype(np.int16))
    )
    return data


def _torchac_decode(counts: Counts, data: bytes) -> Symbols:
    symbols = _torchac().decode_int16_normalized_cdf(_torchac_cdf(counts), data)
    return np.asarray(symbols.numpy(), np.int64)


def _torchac_cdf(counts: Counts) -> Any:
    import torch

    cdf = np.zeros((counts.shape[0], counts.shape[1] + 1), np.int64)
    np.cumsum(counts, axis=1, out=cdf[:, 1:])
    return torch.from_numpy(cdf.astype(np.uint16).view(np.int16))


def _torchac() -> Any:
    try:
        import torchac
    except ImportError:
        raise SystemFailure(
            "this file needs the torchac coder: pip install 'luxvox[torchac]'"
        ) from None
    return torchac
