"""Metadata as a file holds it: its original size, then the deflated bytes (FORMAT.md, Metadata)."""

from __future__ import annotations

import zlib
from typing import Final

from luxvox.codec.container.wire import Cursor, varint_bytes
from luxvox.errors import FormatError, TruncatedError

MAX_METADATA_BYTES: Final = 2**24
_RAW_DEFLATE: Final = -15


def pack(metadata: bytes) -> bytes:
    """Return the payload of a section for 1 to `MAX_METADATA_BYTES` bytes of metadata."""
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, 9)
    return varint_bytes(len(metadata)) + packer.compress(metadata) + packer.flush()


def unpack(payload: bytes, place: str) -> bytes:
    """Return the metadata of a payload; never allocate more than the legal size.

    Args:
        payload: of a section.
        place: the section's name, for error messages.

    Raises:
        FormatError: it is not what `pack` makes.
    """
    cursor = Cursor(payload, 0, place)
    try:
        size = cursor.varint()
    except TruncatedError as error:
        raise FormatError(f"{place}: the size is missing") from error
    if not 1 <= size <= MAX_METADATA_BYTES:
        raise FormatError(f"{place}: {size} bytes unpacked, legal: 1..{MAX_METADATA_BYTES}")
    unpacker = zlib.decompressobj(_RAW_DEFLATE)
    try:
        # Ask for one byte more than the stated size, to notice if there is more.
        metadata = unpacker.decompress(payload[cursor.offset :], size + 1)
    except zlib.error as error:
        raise FormatError(f"{place}: cannot be unpacked: {error}") from error
    if len(metadata) != size or not unpacker.eof or unpacker.unused_data:
        raise FormatError(f"{place}: does not unpack to the {size} bytes it says")
    return metadata
