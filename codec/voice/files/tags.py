"""Titles, names and other tags of recordings, none of which is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, Final

from luxvox.codec.voice.files.unfinished_headers import list_chunks

_NAMES: Final = frozenset(
    "title|artist|album|album_artist|composer|copyright|comment|date|description|genre|license|"
    "lyrics|performer|tracknumber|track".split("|")
)
_TAG_BYTES: Final = 128  # of an ID3v1 tag, at the end of a file
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
    chunks = list_chunks(file, file_size, "<")
    names = [_CHUNKS[chunk.name] for chunk in chunks if chunk.name in _CHUNKS]
    return (f"its tags are not kept: {', '.join(names)}",) if names else ()
