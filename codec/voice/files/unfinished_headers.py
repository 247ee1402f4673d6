"""WAV and AIFF files with unfinished headers, as recorders and pipes leave them.

Sizes of 0 or 0xFFFFFFFF, and sizes that do not match the end of the file, are replaced by the true
ones.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final, Literal

from luxvox.codec.voice.files.splicing import Part

_FORM_BYTES: Final = 12
_CHUNK_HEADER_BYTES: Final = 8
_FORMS: Final = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
_MAX_CHUNKS: Final = 1000
_LARGEST_SIZE: Final = 0xFFFFFFFF
# Writers that do not know the size put a number from here on.
_UNKNOWN_FROM: Final = 0x7FFF0000
_SSND_FRONT_BYTES: Final = 8
_UNCOMPRESSED_AIFC: Final = (b"NONE", b"twos", b"sowt", b"fl32", b"FL32", b"fl64", b"FL64")
_MIN_BYTES: Final = 4096  # fewer bytes after the samples may be padding


@dataclass(frozen=True)
class Chunk:
    """A chunk: its name, and where its payload lies."""

    name: bytes
    start: int  # of its payload
    size: int


@dataclass(frozen=True)
class Mended:
    """A file with corrected sizes.

    Attributes:
        parts: the file with true sizes; None if its own are right.
        note: on missing parts; None if it is whole.
    """

    parts: tuple[Part, ...] | None = None
    note: str | None = None


def mend(file: BinaryIO, file_size: int) -> Mended:
    """Find the true sizes of a WAV or AIFF file; other files are not changed."""
    file.seek(0)
    form = file.read(_FORM_BYTES)
    try:
        if form[:4] in _FORMS[:-1] and form[8:] == b"WAVE":
            return _mend(file, file_size, ">" if form[:4] == b"RIFX" else "<", b"data")
        if form[:4] == b"FORM" and form[8:] in (b"AIFF", b"AIFC"):
            return _mend(file, file_size, ">", b"SSND")
    except struct.error:  # a chunk is too short for its contents
        pass
    return Mended()


def _mend(file: BinaryIO, file_size: int, order: Literal["<", ">"], name: bytes) -> Mended:
    chunks = list_chunks(file, file_size, order, name)
    if not chunks or chunks[-1].name != name:
        return Mended()
    samples = chunks[-1]
    present = file_size - samples.start
    stated = _stated_size(file, chunks)
    if present <= 0 or stated == present or file_size > _LARGEST_SIZE:
        return Mended()
    note = None
    if stated > present:
        if stated < _UNKNOWN_FROM:
            note = f"the file is cut: {present:,} of {stated:,} bytes of samples are there"
    elif _ends_at(file, file_size, order, samples.start + stated, stated > 0):
        return _without_later_parts(file, file_size, order, samples)
    parts = _with_sizes(file, file_size, order, chunks)
    return Mended(parts, note)


def _without_later_parts(
    file: BinaryIO, file_size: int, order: Literal["<", ">"], samples: Chunk
) -> Mended:
    """Leave out what follows the first part of the sound, since the library reads only one."""
    names = [chunk.name for chunk in list_chunks(file, file_size, order)]
    n_parts = sum(name in (b"data", b"SSND", *_FORMS) for name in names)
    if n_parts == 1:
        return Mended()
    end = samples.start + samples.size
    file.seek(0)
    front = bytearray(file.read(samples.start))
    struct.pack_into(f"{order}I", front, 4, end - 8)
    note = f"only the first of {n_parts} parts of its sound is kept"
    return Mended((bytes(front), range(samples.start, end)), note)


def list_chunks(
    file: BinaryIO, file_size: int, order: Literal["<", ">"], last: bytes | None = None
) -> list[Chunk]:
    """List the chunks of a WAV or AIFF file, up to the one named `last`."""
    chunks: list[Chunk] = []
    position = _FORM_BYTES
    while position + _CHUNK_HEADER_BYTES <= file_size and len(chunks) < _MAX_CHUNKS:
        file.seek(position)
        name, size = struct.unpack(f"{order}4sI", file.read(_CHUNK_HEADER_BYTES))
        chunks.append(Chunk(name, position + _CHUNK_HEADER_BYTES, size))
        if name == last:
            break
        position += _CHUNK_HEADER_BYTES + size + size % 2
    return chunks


def _stated_size(file: BinaryIO, chunks: list[Chunk]) -> int:
    """Return the size of the samples; a 64-bit size has its own chunk."""
    samples = chunks[-1]
    if samples.size != _LARGEST_SIZE or chunks[0].name != b"ds64":
        return samples.size
    file.seek(chunks[0].start + 8)
    return int.from_bytes(file.read(8), "little") or samples.size


def _ends_at(
    file: BinaryIO, file_size: int, order: Literal["<", ">"], position: int, is_stated: bool
) -> bool:
    """Return whether samples end there: chunks follow, or no more bytes than padding."""
    position += position % 2
    rest = file_size - position
    if rest < (_MIN_BYTES if is_stated else 1):
        return True
    if rest < _CHUNK_HEADER_BYTES:
        return False
    file.seek(position)
    name, size = struct.unpack(f"{order}4sI", file.read(_CHUNK_HEADER_BYTES))
    is_a_name = all(0x20 <= byte < 0x7F for byte in name)
    return is_a_name and position + _CHUNK_HEADER_BYTES + size <= file_size + 1


def _with_sizes(
    file: BinaryIO, file_size: int, order: Literal["<", ">"], chunks: list[Chunk]
) -> tuple[Part, ...] | None:
    samples = chunks[-1]
    file.seek(0)
    front = bytearray(file.read(samples.start))
    present = file_size - samples.start
    if samples.name == b"SSND":
        layout = next((chunk for chunk in chunks if chunk.name == b"COMM"), None)
        if layout is None or not _set_frames(front, layout, present - _SSND_FRONT_BYTES):
            return None
    if bytes(front[:4]) in (b"RF64", b"BW64"):
        front[:4] = b"RIFF"
    struct.pack_into(f"{order}I", front, 4, file_size - 8)
    struct.pack_into(f"{order}I", front, samples.start - 4, present)
    return bytes(front), range(samples.start, file_size)


def _set_frames(front: bytearray, layout: Chunk, n_bytes: int) -> bool:
    """Set the number of frames of an AIFF file, if its samples are not compressed."""
    channels, _, bits = struct.unpack_from(">HIH", front, layout.start)
    is_aifc = bytes(front[8:12]) == b"AIFC"
    coding = bytes(front[layout.start + 18 : layout.start + 22])
    if not channels or not bits or (is_aifc and coding not in _UNCOMPRESSED_AIFC):
        return False
    struct.pack_into(">I", front, layout.start + 2, n_bytes // (channels * ((bits + 7) // 8)))
    return True
