"""The links of an Ogg file: recordings one after the other (RFC 3533, clause 4)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import BinaryIO, Final

_MAGIC: Final = b"OggS"
_FRONT_BYTES: Final = 27
_LONGEST_PAGE_BYTES: Final = _FRONT_BYTES + 255 + 255 * 255
_BEGINS_STREAM, _ENDS_STREAM = 2, 4
_CHECKSUM: Final = slice(22, 26)
_ALL_BITS: Final = 0xFFFFFFFF
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class OggLinks:
    """The positions of the links in a file.

    Attributes:
        spans: of each link.
        note: on missing parts; None if the file is whole.
    """

    spans: tuple[range, ...]
    note: str | None


def find_links(file: BinaryIO, file_size: int) -> OggLinks:
    """Find the links of a file by its pages."""
    starts: list[int] = []
    position, n_skipped, is_cut = 0, 0, False
    was_beginning = False
    pages = _Pages()
    while position < file_size:
        file.seek(position)
        head = file.read(_FRONT_BYTES + 255)
        if not head.startswith(_MAGIC) or len(head) < _FRONT_BYTES:
            following = _next_page(file, position + 1)
            if following is None:
                n_skipped += file_size - position
                break
            n_skipped += following - position
            position = following
            continue
        begins = bool(head[5] & _BEGINS_STREAM)
        # All streams of a link begin before any of them continues.
        if begins and not was_beginning:
            starts.append(position)
        was_beginning = begins
        n_segments = head[26]
        size = _FRONT_BYTES + n_segments + sum(head[_FRONT_BYTES : _FRONT_BYTES + n_segments])
        is_cut = position + size > file_size
        if not is_cut:
            file.seek(position)
            pages.add(file.read(size))
        position += size
    note = pages.note()
    if is_cut:
        note = "the file is cut: it ends inside a page"
    elif n_skipped:
        note = f"{n_skipped:,} bytes of it are damaged and left out"
    ends = [*starts[1:], file_size]
    return OggLinks(tuple(map(range, starts, ends)), note)


class _Pages:
    """Count damaged and missing pages, which the library leaves out silently."""

    def __init__(self) -> None:
        self._n_damaged = 0
        self._n_gaps = 0
        self._n_unfinished = 0
        self._next_numbers: dict[bytes, int] = {}  # by stream
        self._open_streams: set[bytes] = set()

    def add(self, page: bytes) -> None:
        """Add a complete page."""
        if _checksum(page) != int.from_bytes(page[_CHECKSUM], "little"):
            self._n_damaged += 1
        stream, number = page[14:18], int.from_bytes(page[18:22], "little")
        if page[5] & _BEGINS_STREAM:
            self._n_unfinished += stream in self._open_streams
            self._open_streams.add(stream)
        elif number != self._next_numbers.get(stream, number):
            self._n_gaps += 1
        self._next_numbers[stream] = number + 1
        if page[5] & _ENDS_STREAM:
            self._open_streams.discard(stream)

    def note(self) -> str | None:
        """Return a note on damaged or missing pages, or None."""
        if self._n_damaged:
            return f"{self._n_damaged:,} of its pages are damaged and left out"
        if self._n_gaps:
            return f"pages of it are missing in {self._n_gaps:,} place(s)"
        if self._n_unfinished or self._open_streams:
            return "the file has no end; some of it may be missing"
        return None


def _checksum(page: bytes) -> int:
    """Return the checksum that a page should have: zlib's polynomial, with its bits mirrored."""
    blank = page[: _CHECKSUM.start] + bytes(4) + page[_CHECKSUM.stop :]
    mirrored = zlib.crc32(blank.translate(_MIRRORED), _ALL_BITS) ^ _ALL_BITS
    return int(f"{mirrored:032b}"[::-1], 2)


def _next_page(file: BinaryIO, position: int) -> int | None:
    while True:
        file.seek(position)
        block = file.read(_LONGEST_PAGE_BYTES)
        found = block.find(_MAGIC)
        if found >= 0:
            return position + found
        if len(block) < len(_MAGIC):
            return None
        position += len(block) - len(_MAGIC) + 1
