"""The stated number of bytes of samples in AU, CAF, Wave64, NIST and VOC files.

libsndfile silently shortens a file that is cut.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final

_UNKNOWN: Final = 0xFFFFFFFF
_MAX_CHUNKS: Final = 1000
_END_OF_VOC: Final = 0
_NIST_BYTES: Final = 1024
_EDIT_COUNT_BYTES: Final = 4  # before the samples of a CAF file


def note_on_cut(file: BinaryIO, file_size: int, kind: str | None) -> str | None:
    """Return a note if a file has fewer bytes of samples than it states, or None."""
    find = _FINDERS.get(kind or "")
    try:
        found = None if find is None else find(file, file_size)
    except (struct.error, ValueError):
        return None
    if found is None:
        return None
    start, stated = found
    present = max(file_size - start, 0)
    if present >= stated:
        return None
    return f"the file is cut: {present:,} of {stated:,} bytes of samples are there"


def _of_au(file: BinaryIO, _: int) -> tuple[int, int] | None:
    file.seek(4)
    start, size = struct.unpack(">II", file.read(8))
    return None if size == _UNKNOWN else (start, size)


def _of_caf(file: BinaryIO, file_size: int) -> tuple[int, int] | None:
    for start, name, size in _chunks(file, file_size, 8, ">4sq"):
        if name == b"data" and size >= 0:
            return start + _EDIT_COUNT_BYTES, size - _EDIT_COUNT_BYTES
    return None


def _of_wave64(file: BinaryIO, file_size: int) -> tuple[int, int] | None:
    for start, name, size in _chunks(file, file_size, 40, "<16sQ", counts_itself=True):
        if name.startswith(b"data"):
            return start, size - 24
    return None


def _chunks(
    file: BinaryIO, file_size: int, position: int, layout: str, counts_itself: bool = False
) -> Iterator[tuple[int, bytes, int]]:
    """Yield start of the contents, name and stated size of each chunk.

    With `counts_itself` a size includes name and size, and chunks begin at multiples of 8.
    """
    n_bytes = struct.calcsize(layout)
    for _ in range(_MAX_CHUNKS):
        if position + n_bytes > file_size:
            return
        file.seek(position)
        name, size = struct.unpack(layout, file.read(n_bytes))
        yield position + n_bytes, name, size
        length = -(-size // 8) * 8 if counts_itself else n_bytes + size
        if length < n_bytes:
            return
        position += length


def _of_nist(file: BinaryIO, _: int) -> tuple[int, int] | None:
    file.seek(0)
    text = file.read(_NIST_BYTES).decode("latin-1")
    numbers = {name: int(value) for name, value in re.findall(r"(\w+) -i (\d+)", text)}
    if "sample_count" not in numbers or "sample_n_bytes" not in numbers:
        return None
    per_sample = numbers["sample_n_bytes"] * numbers.get("channel_count", 1)
    return int(text.split()[1]), numbers["sample_count"] * per_sample


def _of_voc(file: BinaryIO, file_size: int) -> tuple[int, int] | None:
    file.seek(20)
    (position,) = struct.unpack("<H", file.read(2))
    for _ in range(_MAX_CHUNKS):
        if position + 4 > file_size:
            return None
        file.seek(position)
        kind, *size = file.read(4)
        n_bytes = int.from_bytes(bytes(size), "little")
        if kind == _END_OF_VOC:
            return None
        if position + 4 + n_bytes > file_size:
            return position + 4, n_bytes
        position += 4 + n_bytes
    return None


_FINDERS: Final[Mapping[str, Callable[[BinaryIO, int], tuple[int, int] | None]]] = {
    "AU": _of_au,
    "CAF": _of_caf,
    "Wave64": _of_wave64,
    "NIST Sphere": _of_nist,
    "VOC": _of_voc,
}
