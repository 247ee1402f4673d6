"""Edits of an EXIF block that move nothing in it, since maker notes hold absolute offsets.

A block begins with its TIFF header. Entries are changed where they stand; when one is added, the
first directory is written again at the end of the block. Source: CIPA DC-008, TIFF 6.0.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

ORIENTATION: Final = 0x0112
_WIDTH, _HEIGHT = 0x0100, 0x0101
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_EXIF_DIRECTORY = 0x8769
_PIXELS_ACROSS, _PIXELS_DOWN = 0xA002, 0xA003
_ENTRY_BYTES = 12
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_INCH, _CENTIMETRE = 2, 3
_CM_PER_INCH: Final = 2.54
_MAX_DENOMINATOR: Final = 10_000

Resolution = tuple[float, float]
"""Pixels an inch, across and down."""


@dataclass(frozen=True)
class _Directory:
    """Where the entries of a directory stand, by their tags."""

    order: str
    start: int
    entries: Mapping[int, int]
    end: int  # where the offset of the next directory stands


def without_orientation(exif: bytes) -> bytes | None:
    """Take the orientation out of an EXIF block.

    Args:
        exif: EXIF, from its TIFF header on.

    Returns:
        The block at the same length, or None when nothing else was in it or it cannot be read.
    """
    directory = _first_directory(exif)
    if directory is None:
        return None
    following = exif[directory.end : directory.end + 4]
    kept = [
        exif[at : at + _ENTRY_BYTES]
        for at in range(directory.start + 2, directory.end, _ENTRY_BYTES)
        if exif[at : at + 2] != struct.pack(f"{directory.order}H", ORIENTATION)
    ]
    if not kept and following == bytes(4):
        return None
    count = struct.pack(f"{directory.order}H", len(kept))
    written = (count + b"".join(kept) + following).ljust(directory.end + 4 - directory.start, b"\0")
    return exif[: directory.start] + written + exif[directory.end + 4 :]


def with_size(exif: bytes, width: int, height: int, orientation: int) -> bytes:
    """Set the sizes that EXIF states to the size of the upright picture.

    Args:
        exif: EXIF, from its TIFF header on.
        width, height: of the picture as it is kept.
        orientation: of the picture in the file, 1 (upright) to 8. Unless it was upright, the
            thumbnail, which still has that orientation, is left out.
    """
    block = bytearray(exif)
    first = _first_directory(exif)
    if first is None:
        return exif
    _set_integers(block, first, {_WIDTH: width, _HEIGHT: height})
    inner = _inner_directory(exif, first)
    if inner is not None:
        _set_integers(block, inner, {_PIXELS_ACROSS: width, _PIXELS_DOWN: height})
    if orientation >= 5:  # it lay on its side
        across, down = first.entries.get(_X_RESOLUTION), first.entries.get(_Y_RESOLUTION)
        if across is not None and down is not None:
            block[across + 2 : across + _ENTRY_BYTES], block[down + 2 : down + _ENTRY_BYTES] = (
                block[down + 2 : down + _ENTRY_BYTES],
                block[across + 2 : across + _ENTRY_BYTES],
            )
    if orientation > 1:
        block[first.end : first.end + 4] = bytes(4)
    return bytes(block)


def resolution_of(exif: bytes) -> Resolution | None:
    """Return the resolution that EXIF states, or None."""
    directory = _first_directory(exif)
    if directory is None:
        return None
    across = _rational(exif, directory, _X_RESOLUTION)
    down = _rational(exif, directory, _Y_RESOLUTION)
    unit_at = directory.entries.get(_RESOLUTION_UNIT)
    unit = _INCH
    if unit_at is not None:
        (unit,) = struct.unpack_from(f"{directory.order}H", exif, unit_at + 8)
    if not across or not down or unit not in (_INCH, _CENTIMETRE):
        return None
    scale = _CM_PER_INCH if unit == _CENTIMETRE else 1.0
    return across * scale, down * scale


def with_resolution(exif: bytes | None, resolution: Resolution) -> bytes:
    """State a resolution in an EXIF block, or make a block of it alone.

    A block that cannot be read is returned unchanged.
    """
    block = exif or b"II*\0" + struct.pack("<IHI", 8, 0, 0)
    directory = _first_directory(block)
    if directory is None:
        return block
    order = directory.order
    end = len(block) + len(block) % 2
    values = [
        Fraction(dpi).limit_denominator(_MAX_DENOMINATOR) if dpi < 1e5 else Fraction(round(dpi))
        for dpi in resolution
    ]
    pairs = [struct.pack(f"{order}II", value.numerator, value.denominator) for value in values]
    rationals = b"".join(pairs)
    entries = {tag: block[at : at + _ENTRY_BYTES] for tag, at in directory.entries.items()} | {
        _X_RESOLUTION: struct.pack(f"{order}HHII", _X_RESOLUTION, _RATIONAL, 1, end),
        _Y_RESOLUTION: struct.pack(f"{order}HHII", _Y_RESOLUTION, _RATIONAL, 1, end + 8),
        _RESOLUTION_UNIT: struct.pack(f"{order}HHIHH", _RESOLUTION_UNIT, _SHORT, 1, _INCH, 0),
    }
    new_directory = struct.pack(f"{order}H", len(entries))
    new_directory += b"".join(entry for _, entry in sorted(entries.items()))
    new_directory += block[directory.end : directory.end + 4]
    header = block[:4] + struct.pack(f"{order}I", end + len(rationals))
    return header + block[8:].ljust(end - 8, b"\0") + rationals + new_directory


def _first_directory(exif: bytes) -> _Directory | None:
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        return None
    return _directory_at(exif, order, struct.unpack_from(f"{order}I", exif, 4)[0])


def _inner_directory(exif: bytes, first: _Directory) -> _Directory | None:
    at = first.entries.get(_EXIF_DIRECTORY)
    if at is None:
        return None
    (start,) = struct.unpack_from(f"{first.order}I", exif, at + 8)
    return _directory_at(exif, first.order, start)


def _directory_at(exif: bytes, order: str, start: int) -> _Directory | None:
    if start + 2 > len(exif):
        return None
    (n_entries,) = struct.unpack_from(f"{order}H", exif, start)
    end = start + 2 + n_entries * _ENTRY_BYTES
    if end + 4 > len(exif):
        return None
    places = range(start + 2, end, _ENTRY_BYTES)
    tags = [struct.unpack_from(f"{order}H", exif, at)[0] for at in places]
    return _Directory(order, start, dict(zip(tags, places, strict=True)), end)


def _set_integers(block: bytearray, directory: _Directory, values: Mapping[int, int]) -> None:
    for tag, value in values.items():
        at = directory.entries.get(tag)
        if at is None:
            continue
        kind, count = struct.unpack_from(f"{directory.order}HI", block, at + 2)
        if count == 1 and kind == _LONG:
            struct.pack_into(f"{directory.order}I", block, at + 8, value)
        elif count == 1 and kind == _SHORT and value < 1 << 16:
            struct.pack_into(f"{directory.order}H", block, at + 8, value)


def _rational(exif: bytes, directory: _Directory, tag: int) -> float | None:
    at = directory.entries.get(tag)
    if at is None:
        return None
    kind, count, offset = struct.unpack_from(f"{directory.order}HII", exif, at + 2)
    if kind != _RATIONAL or count != 1 or offset + 8 > len(exif):
        return None
    numerator, denominator = struct.unpack_from(f"{directory.order}II", exif, offset)
    return numerator / denominator if denominator else None
