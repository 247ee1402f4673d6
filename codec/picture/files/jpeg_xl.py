"""The size of a JPEG XL picture, read before its decoder runs, which decodes all at once.

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
    """Return width and height of a JPEG XL file; None if it does not state them.

    The position in the stream is left as it was.
    """
    position = stream.tell()
    stream.seek(0)
    is_bare = stream.read(len(CODESTREAM)) == CODESTREAM
    front = _front_at(stream, 0) if is_bare else _front_in_boxes(stream)
    stream.seek(position)
    if len(front) < _SIZE_BYTES or not front.startswith(CODESTREAM):
        return None
    return _size_in(_Bits(front[len(CODESTREAM) :]))


def _front_at(stream: BinaryIO, start: int, size: int = _SIZE_BYTES) -> bytes:
    stream.seek(start)
    return stream.read(min(size, _SIZE_BYTES))


def _front_in_boxes(stream: BinaryIO) -> bytes:
    """Return the first bytes of a codestream that lies in one box, or in parts in several."""
    position, parts = 0, b""
    for _ in range(_MAX_BOXES):
        stream.seek(position)
        head = stream.read(16)
        if len(head) < 16 or len(parts) >= _SIZE_BYTES:
            return parts
        size, name, start = int.from_bytes(head[:4], "big"), head[4:8], position + 8
        if size == 1:  # the size stands after the name, in 64 bits
            size, start = int.from_bytes(head[8:], "big"), position + 16
        if name == b"jxlc":
            return _front_at(stream, start)
        is_last = size == 0  # it goes on to the end of the file
        if not is_last and size < start - position:
            return parts
        if name == b"jxlp":
            n_bytes = _SIZE_BYTES if is_last else position + size - start - _PART_NUMBER_BYTES
            parts += _front_at(stream, start + _PART_NUMBER_BYTES, max(n_bytes, 0))
        if is_last:
            return parts
        position += size
    return parts


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
