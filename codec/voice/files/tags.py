"""Titles, names and other tags of recordings, which are not kept."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO, Final

from luxvox.codec.voice.files.unfinished_headers import list_chunks

_NAMES: Final = frozenset(
    "title|artist|album|album_artist|composer|copyright|comment|date|description|genre|license|"
    "lyrics|performer|tracknumber|track".split("|")
)
_TAG_BYTES: Final = 128  # of an ID3v1 tag, at the end of a file
_APE_MAGIC: Final = b"APETAGEX"
_APE_FOOTER_BYTES: Final = 32
_APE_HAS_HEADER: Final = 1 << 31
_CHUNKS: Final = {
    b"bext": "broadcast description",
    b"iXML": "iXML",
    b"axml": "axml",
    b"_PMX": "XMP",
    b"id3 ": "ID3",
    b"ID3 ": "ID3",
    b"cart": "cart",
    b"cue ": "markers",
    b"MARK": "markers",
}


def note_on_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note that names the tags describing a recording, or none."""
    names = [name.lower() for name, text in tags.items() if text and name.lower() in _NAMES]
    return (f"its tags are not kept: {', '.join(sorted(names))}",) if names else ()


def tags_in_mpeg(data: bytes) -> tuple[str, ...]:
    """Return a note if an MP3 file has tags of either kind."""
    has_tags = data[:3] == b"ID3" or data[-_TAG_BYTES:][:3] == b"TAG"
    return ("its tags are not kept",) if has_tags else ()


def tags_in_chunks(file: BinaryIO, file_size: int) -> tuple[str, ...]:
    """Return a note if a WAV or AIFF file has chunks that describe it, or none."""
    file.seek(0)
    is_big = file.read(4) in (b"RIFX", b"FORM")
    chunks = list_chunks(file, file_size, ">" if is_big else "<")
    names = dict.fromkeys(_CHUNKS[chunk.name] for chunk in chunks if chunk.name in _CHUNKS)
    return (f"its tags are not kept: {', '.join(names)}",) if names else ()


def end_without_tags(file: BinaryIO, file_size: int) -> int:
    """Return the position of tags that some programs append to a file, or its end."""
    end = file_size
    file.seek(max(end - _TAG_BYTES, 0))
    if file.read(3) == b"TAG":
        end -= _TAG_BYTES
    file.seek(max(end - _APE_FOOTER_BYTES, 0))
    footer = file.read(_APE_FOOTER_BYTES)
    if footer.startswith(_APE_MAGIC) and len(footer) == _APE_FOOTER_BYTES:
        size, _, flags = struct.unpack_from("<III", footer, 12)
        end -= size + (_APE_FOOTER_BYTES if flags & _APE_HAS_HEADER else 0)
    return max(end, 0)
