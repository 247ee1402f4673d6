"""The parts of a picture's codes in bytes: a table of their lengths, then the parts (FORMAT.md).

Each part has a checksum of its own, so an altered byte costs only the part that it is in. Lengths
are under the checksum of the table, so what follows an altered part is still found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from luxvox.codec.container.bands import Bands, Part
from luxvox.codec.container.wire import CRC_SIZE, VARINT_LIMIT, Cursor, crc16, varint_bytes
from luxvox.errors import ChecksumError, LuxvoxError

_TABLE: Final = "table of parts"

Payloads = Mapping[Part, bytes]
"""Payloads by part; parts whose codes are all null are missing."""


@dataclass(frozen=True)
class PartEntry:
    """Where a part lies: its offset and size with its checksum, in bytes.

    `state` is `whole`, `altered`, or `cut` if the file ends before the part does.
    """

    part: Part
    offset: int
    size: int
    state: str

    @property
    def length(self) -> int:
        """Return the length of the payload."""
        return max(self.size - CRC_SIZE, 0)


@dataclass(frozen=True)
class PartListing:
    """The parts of a file that are not null, and the offset of what follows them."""

    entries: tuple[PartEntry, ...]
    end: int

    def payloads(self, data: bytes) -> dict[Part, bytes]:
        """Return the payloads of the whole parts."""
        return {
            entry.part: data[entry.offset + CRC_SIZE : entry.offset + entry.size]
            for entry in self.entries
            if entry.state == "whole"
        }

    def in_state(self, state: str) -> tuple[Part, ...]:
        """Return the parts in a state."""
        return tuple(entry.part for entry in self.entries if entry.state == state)


def write_parts(bands: Bands, payloads: Payloads) -> bytes:
    """Return table and parts; a payload that is missing or empty stands for null codes.

    Raises:
        LuxvoxError: if there is a part that such bands do not have, or one is too long.
    """
    order = list(bands.parts())
    if unknown := set(payloads) - set(order):
        raise LuxvoxError(
            f"parts cannot be written: {min(unknown)}, legal: {order[0]}..{order[-1]}"
        )
    if any(len(payload) >= VARINT_LIMIT for payload in payloads.values()):
        raise LuxvoxError("parts cannot be written: one of 4 GiB or more")
    table = b"".join(varint_bytes(len(payloads.get(part, b""))) for part in order)
    pieces = [table, crc16(table)]
    for part in order:
        if payload := payloads.get(part, b""):
            pieces += [_part_crc(part, payload), payload]
    return b"".join(pieces)


def list_parts(data: bytes, offset: int, bands: Bands) -> PartListing:
    """Read the table at an offset, find the parts, and check them.

    Raises:
        TruncatedError: the table is cut.
        FormatError: a length is not a varint in its shortest form.
        ChecksumError: the table was altered.
    """
    cursor = Cursor(data, offset, _TABLE)
    lengths = [(part, cursor.varint()) for part in bands.parts()]
    computed, place = crc16(data[offset : cursor.offset]), cursor.at()
    if cursor.take(CRC_SIZE) != computed:
        raise ChecksumError(f"{place}: the checksum does not match, the table was altered")
    entries, start = [], cursor.offset
    for part, length in lengths:
        if length:
            end = start + CRC_SIZE + length
            entries.append(PartEntry(part, start, end - start, _state(data, part, start, end)))
            start = end
    return PartListing(tuple(entries), start)


def _state(data: bytes, part: Part, start: int, end: int) -> str:
    if end > len(data):
        return "cut"
    payload = data[start + CRC_SIZE : end]
    return "whole" if data[start : start + CRC_SIZE] == _part_crc(part, payload) else "altered"


def _part_crc(part: Part, payload: bytes) -> bytes:
    """Return the checksum of a part and its name, so that parts cannot change places."""
    return crc16(bytes([part.section]), varint_bytes(part.band), payload)
