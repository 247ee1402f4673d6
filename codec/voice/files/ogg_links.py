"""The links of an Ogg file: recordings that follow one another in it (RFC 3533, clause 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

_MAGIC: Final = b"OggS"
_FRONT_BYTES: Final = 27
_LONGEST_PAGE_BYTES: Final = _FRONT_BYTES + 255 + 255 * 255
_BEGINS_STREAM: Final = 2


@dataclass(frozen=True)
class OggLinks:
    """Where the links of a file stand.

    Attributes:
        spans: of each link.
        note: what the file lacks; None when it is whole.
    """

    spans: tuple[range, ...]
    note: str | None


def find_links(file: BinaryIO, file_size: int) -> OggLinks:
    """Find the links of a file by its pages."""
    starts: list[int] = []
    position, n_skipped, is_cut = 0, 0, False
    was_beginning = False
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
        # The streams of one link all begin before any of them goes on.
        if begins and not was_beginning:
            starts.append(position)
        was_beginning = begins
        n_segments = head[26]
        position += _FRONT_BYTES + n_segments + sum(head[_FRONT_BYTES : _FRONT_BYTES + n_segments])
        is_cut = position > file_size
    note = None
    if is_cut:
        note = "the file is cut: it ends inside a page"
    elif n_skipped:
        note = f"{n_skipped:,} bytes of it are damaged and left out"
    ends = [*starts[1:], file_size]
    return OggLinks(tuple(map(range, starts, ends)), note)


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
