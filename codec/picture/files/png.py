"""The chunks of a PNG file that Pillow does not read, or refuses the file for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES: Final = 1 << 20
"""The longest profile or text that Pillow reads; a file with a longer one it refuses."""

_FRONT_BYTES: Final = 8
_CRC_BYTES: Final = 4
_MAX_CHUNKS: Final = 10_000
_MAX_PROFILE_BYTES: Final = 1 << 24
_PACKED: Final = (b"iCCP", b"zTXt", b"iTXt")


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of its payload
    size: int


def code_points(stream: BinaryIO) -> tuple[int, int] | None:
    """Return the primaries and the transfer of the cICP chunk of a PNG, or None.

    The position in the stream is left as it was.
    """
    position = stream.tell()
    try:
        for chunk in _chunks(stream):
            if chunk.name == b"IDAT":
                return None
            if chunk.name == b"cICP" and chunk.size == 4:
                stream.seek(chunk.start)
                payload = stream.read(2)
                return (payload[0], payload[1]) if len(payload) == 2 else None
        return None
    finally:
        stream.seek(position)


def without_long_chunks(stream: BinaryIO) -> tuple[bytes, bytes | None, int]:
    """Leave out the profile and the texts that are too long for Pillow.

    Returns:
        The file without them, its profile where that was among them, and how many texts were.
    """
    kept, icc, n_texts = [MAGIC], None, 0
    for chunk in _chunks(stream):
        stream.seek(chunk.start - _FRONT_BYTES)
        whole = stream.read(_FRONT_BYTES + chunk.size + _CRC_BYTES)
        payload = whole[_FRONT_BYTES:-_CRC_BYTES]
        if (
            chunk.name not in _PACKED
            or len(_unpack(chunk.name, payload, MAX_TEXT_BYTES)) <= MAX_TEXT_BYTES
        ):
            kept.append(whole)
        elif chunk.name == b"iCCP":
            profile = _unpack(chunk.name, payload, _MAX_PROFILE_BYTES)
            icc = profile if len(profile) <= _MAX_PROFILE_BYTES else None
        else:
            n_texts += 1
    return b"".join(kept), icc, n_texts


def _chunks(stream: BinaryIO) -> Iterator[_Chunk]:
    position = len(MAGIC)
    for _ in range(_MAX_CHUNKS):
        stream.seek(position)
        front = stream.read(_FRONT_BYTES)
        if len(front) < _FRONT_BYTES:
            return
        size, name = struct.unpack(">I4s", front)
        yield _Chunk(name, position + _FRONT_BYTES, size)
        position += _FRONT_BYTES + size + _CRC_BYTES


def _unpack(name: bytes, payload: bytes, max_bytes: int) -> bytes:
    """Unpack what is compressed in a chunk, up to a byte more than is accepted."""
    if name not in _PACKED:
        return b""
    _, _, rest = payload.partition(b"\0")  # what comes before is a keyword
    packed = rest[1:]
    if name == b"iTXt":
        if rest[:1] != b"\1":
            return b""
        packed = rest[2:].split(b"\0", 2)[-1]  # a language and a translated keyword come before
    try:
        return zlib.decompressobj().decompress(packed, max_bytes + 1)
    except zlib.error:
        return b""
