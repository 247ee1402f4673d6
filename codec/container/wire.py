"""Numbers in bytes, as every part of a `.lvx` file spells them (FORMAT.md, Conventions)."""

from __future__ import annotations

import binascii
from typing import Final

from luxvox.errors import FormatError, TruncatedError

MAX_VARINT_SIZE: Final = 5
VARINT_LIMIT: Final = 2**32
CRC_SIZE: Final = 2
_MORE: Final = 0x80
_CRC_START: Final = 0xFFFF


class Cursor:
    """Walk through bytes; every refusal names the place and the offset."""

    def __init__(self, data: bytes, offset: int, place: str) -> None:
        self.data = data
        self.offset = offset
        self.place = place

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, or raise TruncatedError."""
        if size > len(self.data) - self.offset:
            raise TruncatedError(f"{self.at()}: the file ends too early, at {len(self.data)}")
        self.offset += size
        return self.data[self.offset - size : self.offset]

    def number(self, size: int) -> int:
        """Return the next little-endian number of `size` bytes, without a sign."""
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        """Return the next varint; raise FormatError unless it is in its shortest form."""
        start, value = self.at(), 0
        for index in range(MAX_VARINT_SIZE):
            (byte,) = self.take(1)
            value |= (byte & ~_MORE) << (7 * index)
            if byte < _MORE:
                if (byte == 0 and index > 0) or value >= VARINT_LIMIT:
                    break
                return value
        raise FormatError(f"{start}: not a varint in its shortest form, below 2^32")

    def at(self) -> str:
        """Return where the cursor stands, in words."""
        return f"{self.place}, offset {self.offset}"


def varint_bytes(value: int) -> bytes:
    """Return 0 <= value < 2^32 as LEB128: 7 bits a byte, lowest first, shortest form."""
    out = bytearray()
    while value >= _MORE:
        out.append(value % _MORE | _MORE)
        value //= _MORE
    out.append(value)
    return bytes(out)


def crc16(*pieces: bytes) -> bytes:
    """Return the CRC-16/IBM-3740 of pieces of bytes in a row.

    Unlike half a CRC-32, it sees every altered byte at any length.
    """
    crc = _CRC_START
    for piece in pieces:
        crc = binascii.crc_hqx(piece, crc)
    return crc.to_bytes(CRC_SIZE, "little")
