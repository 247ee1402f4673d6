"""One altered byte at the front of a file is found by its checksum, and corrected.

The header, and the table of parts of a picture, say how to read all that follows. The change that
makes the checksum match is the right one. In a header, every other value of each byte is tried; in
a table, which is longer, the checksum itself tells which byte it was. Its 16 bits leave a few
candidates in a long table; the one under which most parts are sound is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from luxvox.codec.container import OpenFile, open_file
from luxvox.codec.container.bands import Bands, bands_of
from luxvox.codec.container.header import MAX_HEADER_SIZE, PictureHeader, parse_header
from luxvox.codec.container.parts import list_parts
from luxvox.codec.container.syndromes import single_changes
from luxvox.codec.container.wire import CRC_SIZE, MAX_VARINT_SIZE
from luxvox.errors import (
    ChecksumError,
    DamageWarning,
    FormatError,
    LuxvoxError,
    TruncatedError,
)

_LONGEST_TABLE: Final = 8192  # bytes; longer ones match by chance too often
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

    A file that cannot be corrected is returned unchanged.
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
    for candidate in _changes(front):
        try:
            parse_header(candidate)
        except LuxvoxError:
            continue
        return candidate + data[len(front) :]
    return data


def _with_table(data: bytes, start: int, bands: Bands) -> bytes:
    n_parts = bands.n_bands * bands.n_sections
    front = data[start : start + _LONGEST_TABLE]
    best, max_whole = data, -1
    for end in _possible_ends(front, n_parts):
        for sound in single_changes(front[:end], front[end : end + CRC_SIZE]):
            if _end_of_numbers(sound[:end], n_parts) != end:
                continue
            whole = data[:start] + sound + data[start + len(sound) :]
            try:
                n_whole = len(list_parts(whole, start, bands).in_state("whole"))
            except LuxvoxError:
                continue
            if n_whole > max_whole:
                best, max_whole = whole, n_whole
    return best


def _possible_ends(front: bytes, n_parts: int) -> list[int]:
    """Return where a table of n varints may end, if one byte of it is altered."""
    # The altered byte may split a number in two, or join two of them. It may also have been the
    # last byte of the table: then any byte of what now is the last number may be it.
    end_of_others = _end_of_numbers(front, n_parts - 1)
    if end_of_others is None:
        return []  # one byte cannot make up for more than one number
    ends = {end_of_others + size for size in range(MAX_VARINT_SIZE + 1)}
    ends |= {_end_of_numbers(front, n) or 0 for n in (n_parts, n_parts + 1)}
    return sorted(end for end in ends if 0 < end <= len(front) - CRC_SIZE)


def _end_of_numbers(table: bytes, n: int) -> int | None:
    """Return where the last of n varints ends; None if there are fewer."""
    ends = table.translate(_IS_END)
    at = -1
    for _ in range(n):
        at = ends.find(b"\1", at + 1)
        if at < 0:
            return None
    return at + 1


def _changes(front: bytes) -> Iterator[bytes]:
    """Yield the bytes with each of them set to each other value."""
    for offset in range(len(front)):
        for value in range(256):
            if value != front[offset]:
                yield front[:offset] + bytes([value]) + front[offset + 1 :]
