"""Titles, names and other tags of recordings, none of which is kept."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO, Final

_NAMES: Final = frozenset(
    "title|artist|album|album_artist|composer|copyright|comment|date|description|genre|license|"
    "lyrics|performer|tracknumber|track".split("|")
)
_TAG_BYTES: Final = 128  # of an ID3v1 tag, at the end of a file
_FORM_BYTES: Final = 12
_CHUNK_HEADER_BYTES: Final = 8
_MAX_CHUNKS: Final = 1000
_CHUNKS: Final = {b"bext": "broadcast description", b"iXML": "iXML"}


def note_on_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note that names the tags that say something of a recording, or none."""
    names = [name.lower() for name, text in tags.items() if text and name.lower() in _NAMES]
    return (f"its tags are not kept: {', '.join(sorted(names))}",) if names else ()


def tags_in_mpeg(data: bytes) -> tuple[str, ...]:
    """Return a note if an MP3 file has tags of either kind."""
    has_tags = data[:3] == b"ID3" or data[-_TAG_BYTES:][:3] == b"TAG"
    return ("its tags are not kept",) if has_tags else ()


def tags_in_wav(file: BinaryIO, file_size: int) -> tuple[str, ...]:
    """Return a note if a WAV file has chunks that describe it, or none."""
    file.seek(0)
    if file.read(4) not in (b"RIFF", b"RF64", b"BW64"):
        return ()
    names = []
    place = _FORM_BYTES
    for _ in range(_MAX_CHUNKS):
        if place + _CHUNK_HEADER_BYTES > file_size:
            break
        file.seek(place)
        name, size = struct.unpack("<4sI", file.read(_CHUNK_HEADER_BYTES))
        if name in _CHUNKS:
            names.append(_CHUNKS[name])
        place += _CHUNK_HEADER_BYTES + size + size % 2
    return (f"its tags are not kept: {', '.join(names)}",) if names else ()
