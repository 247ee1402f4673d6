"""What Pillow does not read of JPEG 2000 files: bit depth and ICC profile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, Final

_START_AND_SIZE: Final = b"\xff\x4f\xff\x51"  # the first two markers of a codestream
_COMPONENTS: Final = 40  # bytes from these markers to the number of components
_FRONT_BYTES: Final = 1 << 16  # of a file in which its codestream begins
_LONGEST_PROFILE: Final = 16 << 20
_ICC_METHODS: Final = (2, 3)
_COLOUR_FRONT_BYTES: Final = 3


def bit_depth(stream: BinaryIO) -> int:
    """Return the bits of the deepest component, 8 if that is not known."""
    stream.seek(0)
    front = stream.read(_FRONT_BYTES)
    start = front.find(_START_AND_SIZE)
    offset = start + _COMPONENTS
    if start < 0 or offset + 2 > len(front):
        return 8
    (n_components,) = struct.unpack_from(">H", front, offset)
    depths = front[offset + 2 : offset + 2 + 3 * n_components : 3]
    return max(((depth & 0x7F) + 1 for depth in depths), default=8)


def icc_profile(stream: BinaryIO) -> bytes | None:
    """Return the ICC profile in the colour box of a file, or None."""
    for name, start, end in _boxes(stream, 0, None):
        if name == b"jp2h":
            for inner, first, last in _boxes(stream, start, end):
                is_short = _COLOUR_FRONT_BYTES < last - first <= _LONGEST_PROFILE
                if inner == b"colr" and is_short:
                    stream.seek(first)
                    data = stream.read(last - first)
                    if data[0] in _ICC_METHODS:
                        return data[_COLOUR_FRONT_BYTES:]
        if name == b"jp2c":
            return None
    return None


def _boxes(stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the contents of each box between two places."""
    if end is None:
        end = stream.seek(0, 2)
    while start + 8 <= end:
        stream.seek(start)
        size, name = struct.unpack(">I4s", stream.read(8))
        front = 8
        if size == 1:
            long_size = stream.read(8)
            if len(long_size) < 8:
                return
            size, front = int.from_bytes(long_size, "big"), 16
        stop = end if size == 0 else start + size
        if size and (size < front or stop > end):
            return
        yield name, start + front, stop
        start = stop
