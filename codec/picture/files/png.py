"""The chunks of a PNG file that Pillow does not read, or refuses the file for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

MAGIC: Final = b"\x89PNG\r\n\x1a\n"
MAX_TEXT_BYTES: Final = 1 << 20
"""The longest profile or text that Pillow reads; it refuses files with longer ones."""

_FRONT_BYTES: Final = 8
_CRC_BYTES: Final = 4
_HEADER_BYTES: Final = 13
_CICP_BYTES: Final = 4
_N_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by its colour type
_UNPACKED_AT_ONCE: Final = 1 << 20
_MAX_CHUNKS: Final = 10_000
_MAX_PROFILE_BYTES: Final = 1 << 24
_PACKED: Final = (b"iCCP", b"zTXt", b"iTXt")


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of its payload
    size: int


def code_points(stream: BinaryIO) -> tuple[int, int] | None:
    """Return the primaries and the transfer of the cICP chunk of a PNG, or None."""
    payload = _cicp(stream)
    return None if payload is None else (payload[0], payload[1])


def is_narrow(stream: BinaryIO) -> bool:
    """Return whether the cICP chunk says that samples have the narrow range of video."""
    payload = _cicp(stream)
    return payload is not None and payload[3] == 0


def has_credentials(stream: BinaryIO) -> bool:
    """Return whether a PNG has a chunk with content credentials."""
    return any(chunk.name == b"caBX" for chunk in _chunks(stream))


def share_of_rows(stream: BinaryIO) -> float:
    """Return how much of the rows of a PNG without interlacing its data holds, 0 … 1.

    Pillow leaves missing rows black if the data ends properly.
    """
    size, n_missing = 0, 0
    unpacking = zlib.decompressobj()
    for chunk in _chunks(stream):
        stream.seek(chunk.start)
        if chunk.name == b"IHDR":
            width, height, bits, colour_type, _, _, is_interlaced = struct.unpack(
                ">IIBBBBB", stream.read(_HEADER_BYTES)
            )
            size = height * (1 + (width * bits * _N_SAMPLES[colour_type] + 7) // 8)
            n_missing = 0 if is_interlaced else size
        elif chunk.name == b"IDAT":
            rest = stream.read(chunk.size)
            while rest and n_missing > 0:
                n_missing -= len(unpacking.decompress(rest, _UNPACKED_AT_ONCE))
                rest = unpacking.unconsumed_tail
    return 1 - max(n_missing, 0) / size


def _cicp(stream: BinaryIO) -> bytes | None:
    for chunk in _chunks(stream):
        if chunk.name == b"IDAT":
            return None
        if chunk.name == b"cICP" and chunk.size == _CICP_BYTES:
            stream.seek(chunk.start)
            payload = stream.read(_CICP_BYTES)
            return payload if len(payload) == _CICP_BYTES else None
    return None


def without_long_chunks(stream: BinaryIO) -> tuple[bytes, bytes | None, int]:
    """Leave out the profile and the texts that are too long for Pillow.

    Returns:
        The file without them, its profile if that was left out, and how many texts were.
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
