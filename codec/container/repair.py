"""One altered byte at the front of a file is found by its checksum, and corrected.

The header, and the table of parts of a picture, say how to read all that follows. Each byte is
tried with every other value; what makes the checksum match is what was written. A checksum of 16
bits leaves a few values in a long table; of those the one is taken under which most parts are
sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from luxvox.codec.container import OpenFile, open_file
from luxvox.codec.container.bands import Bands, bands_of
from luxvox.codec.container.header import MAX_HEADER_SIZE, PictureHeader, parse_header
from luxvox.codec.container.parts import list_parts
from luxvox.codec.container.wire import CRC_SIZE, crc16
from luxvox.errors import (
    ChecksumError,
    DamageWarning,
    FormatError,
    LuxvoxError,
    TruncatedError,
)

_LONGEST_TABLE: Final = 1024  # bytes; of 70 megapixels
_IS_END: Final = bytes([1] * 128 + [0] * 128)  # each varint ends with a byte below 128
_DAMAGE: Final = (ChecksumError, FormatError, TruncatedError)


def open_repaired(data: bytes, conceal: bool) -> tuple[OpenFile, tuple[Warning, ...]]:
    """Open a file.

    With `conceal`, one altered byte of its header or table of parts is corrected, with a caution.
    """
    whole = repair_front(data) if conceal else data
    message = "a byte of its header or table of parts was altered, and is put right"
    cautions = () if whole == data else (DamageWarning(message),)
    return open_file(whole), cautions


def repair_front(data: bytes) -> bytes:
    """Return a file with its header and table as they were, if one byte of each was altered.

    A file that cannot be corrected is returned as it is.
    """
    data = _with_header(data)
    try:
        header, _, start = parse_header(data)
    except LuxvoxError:
        return data
    if not isinstance(header, PictureHeader):
        return data
    bands = bands_of(header)
    try:
        list_parts(data, start, bands)
    except _DAMAGE:
        return _with_table(data, start, bands)
    return data


def _with_header(data: bytes) -> bytes:
    try:
        parse_header(data)
        return data
    except LuxvoxError:
        front = data[: MAX_HEADER_SIZE + 1]
    for tried in _changes(front):
        try:
            parse_header(tried)
        except LuxvoxError:
            continue
        return tried + data[len(front) :]
    return data


def _with_table(data: bytes, start: int, bands: Bands) -> bytes:
    n_parts = bands.n_bands * bands.n_sections
    front = data[start : start + _LONGEST_TABLE]
    # An altered byte may split a number in two, or join two of them.
    front = front[: (_end_of(front, n_parts + 1) or len(front)) + CRC_SIZE]
    if n_parts > 1 and not _end_of(front, n_parts - 1):
        return data  # one byte cannot make up for more than one number
    best, max_whole = data, -1
    for tried in _changes(front):
        end = _end_of(tried, n_parts)
        crc = crc16(tried[:end])
        if not end or tried[end : end + CRC_SIZE] != crc:
            continue
        whole = data[:start] + tried + data[start + len(front) :]
        try:
            n_whole = len(list_parts(whole, start, bands).in_state("whole"))
        except LuxvoxError:
            continue
        if n_whole > max_whole:
            best, max_whole = whole, n_whole
    return best


def _end_of(table: bytes, n_parts: int) -> int:
    """Return where the last of n varints ends; 0 if there are fewer."""
    ends = table.translate(_IS_END)
    at = -1
    for _ in range(n_parts):
        at = ends.find(b"\1", at + 1)
        if at < 0:
            return 0
    return at + 1


def _changes(front: bytes) -> Iterator[bytes]:
    """Yield the bytes with each of them set to each other value."""
    for offset in range(len(front)):
        for value in range(256):
            if value != front[offset]:
                yield front[:offset] + bytes([value]) + front[offset + 1 :]
