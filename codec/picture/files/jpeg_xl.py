"""The size of a JPEG XL picture, read before its decoder, which decodes all at once, is let loose.

Source: ISO/IEC 18181-1, size header; 18181-2, boxes.
"""

from __future__ import annotations

from typing import BinaryIO, Final

CODESTREAM: Final = b"\xff\x0a"
CONTAINER: Final = b"\0\0\0\x0cJXL "

_MAX_BOXES: Final = 1000
_SIZE_BYTES: Final = 12  # more than a size header takes
_PART_NUMBER_BYTES: Final = 4
_LENGTHS: Final = (9, 13, 18, 30)
_RATIOS: Final = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def size_of(stream: BinaryIO) -> tuple[int, int] | None:
    """Return width and height of a JPEG XL file; None when it does not say.

    The position in the stream is left as it was.
    """
    position = stream.tell()
    stream.seek(0)
    head = stream.read(len(CODESTREAM))
    start = 0 if head == CODESTREAM else _codestream_in_box(stream)
    front = b""
    if start is not None:
        stream.seek(start)
        front = stream.read(_SIZE_BYTES)
    stream.seek(position)
    if len(front) < _SIZE_BYTES or not front.startswith(CODESTREAM):
        return None
    return _size_in(_Bits(front[len(CODESTREAM) :]))


def _codestream_in_box(stream: BinaryIO) -> int | None:
    position = 0
    for _ in range(_MAX_BOXES):
        stream.seek(position)
        front = stream.read(16)
        if len(front) < 16:
            return None
        size, name, start = int.from_bytes(front[:4], "big"), front[4:8], position + 8
        if size == 1:  # the size stands after the name, in 64 bits
            size, start = int.from_bytes(front[8:], "big"), position + 16
        if name == b"jxlc":
            return start
        if name == b"jxlp":
            return start + _PART_NUMBER_BYTES
        if size < start - position:
            return None
        position += size
    return None


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def take(self, n_bits: int) -> int:
        value = self._rest & ((1 << n_bits) - 1)
        self._rest >>= n_bits
        return value


def _size_in(bits: _Bits) -> tuple[int, int]:
    is_small = bool(bits.take(1))
    height = _length(bits, is_small)
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return _length(bits, is_small), height


def _length(bits: _Bits, is_small: bool) -> int:
    if is_small:
        return 8 * (1 + bits.take(5))
    return 1 + bits.take(_LENGTHS[bits.take(2)])
