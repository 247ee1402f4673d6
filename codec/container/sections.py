"""The sections of a file: a type, a length, a checksum and a payload each (FORMAT.md, Sections).

Codes of voices, alpha and metadata lie in sections; codes of pictures lie in parts
(`luxvox.codec.container.parts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from luxvox.codec.container.header import Header, VoiceHeader
from luxvox.codec.container.wire import CRC_SIZE, Cursor, crc16, varint_bytes
from luxvox.errors import ChecksumError, FormatError, TruncatedError, UnsupportedError
from luxvox.timeline import PARTS, n_segments

LAST_CODES: Final = 63
ALPHA: Final = 64
LAST_CRITICAL: Final = 127
ICC: Final = 128
EXIF: Final = 129
XMP: Final = 130
LAST_SECTION_TYPE: Final = 255


@dataclass(frozen=True)
class Section:
    """One section: its type, 1..255, and its payload."""

    type: int
    payload: bytes


@dataclass(frozen=True)
class SectionEntry:
    """Where a section lies: its offset and size, and the length of its payload, in bytes.

    Codes of a picture have one entry per section, for all bands together. `crc_ok` is False for
    altered sections, and for those that a cut file does not hold completely.
    """

    type: int
    name: str
    offset: int
    size: int
    length: int
    crc_ok: bool


def section_name(section_type: int) -> str:
    """Return what sections of this type hold, in words: "codes 3", "alpha", "ICC profile"."""
    if 1 <= section_type <= LAST_CODES:
        return f"codes {section_type}"
    return _NAMES.get(section_type, f"unknown type {section_type}")


_NAMES: Final = {ALPHA: "alpha", ICC: "ICC profile", EXIF: "EXIF", XMP: "XMP"}


def section_bytes(section: Section) -> bytes:
    """Return the bytes of a section."""
    front = bytes([section.type]) + varint_bytes(len(section.payload))
    return front + crc16(front, section.payload) + section.payload


def check_count(header: Header, n_sections: int, end: int) -> None:
    """Refuse a number of sections that no such file has, before they are read one by one."""
    if isinstance(header, VoiceHeader):
        max_sections = _n_voice_codes(header) + LAST_SECTION_TYPE - LAST_CRITICAL
        if n_sections > max_sections:
            raise FormatError(
                f"header, offset {end}: {n_sections} sections, legal: at most {max_sections}"
            )


def whole_sections(
    data: bytes, offset: int, n_sections: int, altered: list[int] | None = None
) -> Iterator[Section]:
    """Yield the whole sections; stop where the file was cut, raise where it was altered.

    Given a list for their positions, altered sections are yielded as empty ones.
    """
    for number in range(1, n_sections + 1):
        try:
            entry = section_entry(data, offset, number)
        except TruncatedError:
            return
        end = offset + entry.size
        if end > len(data):
            return
        where = f"section {number} ({entry.name}), offset {offset}"
        if not entry.crc_ok and altered is None:
            raise ChecksumError(f"{where}: the checksum does not match, the file was altered")
        if ALPHA < entry.type <= LAST_CRITICAL:
            raise UnsupportedError(f"{where}: a newer luxvox is needed to decode it")
        if not entry.crc_ok and altered is not None:
            altered.append(number - 1)
        yield Section(entry.type, data[end - entry.length : end] if entry.crc_ok else b"")
        offset = end
    if offset < len(data) and not altered:
        raise FormatError(f"end, offset {offset}: {len(data) - offset} bytes too many")


def section_entry(data: bytes, offset: int, number: int) -> SectionEntry:
    """Read the front of a section and check its bytes, as many as the file has."""
    cursor = Cursor(data, offset, f"section {number}")
    section_type = cursor.number(1)
    length = cursor.varint()
    front = data[offset : cursor.offset]
    stored = cursor.take(CRC_SIZE)
    size = cursor.offset - offset + length
    payload = data[cursor.offset : cursor.offset + length]
    crc_ok = len(payload) == length and crc16(front, payload) == stored
    return SectionEntry(section_type, section_name(section_type), offset, size, length, crc_ok)


def order_fault(header: Header, types: Sequence[int], whole: bool) -> str | None:
    """Return why sections of these types, in this order, cannot stand in a file, or None."""
    if isinstance(header, VoiceHeader):
        return _voice_order_fault(header, types, whole)
    return _picture_order_fault(types, header.alpha, whole)


def _n_voice_codes(header: VoiceHeader) -> int:
    return PARTS * header.channels * n_segments(header.n_samples, header.sample_rate_hz)


def _voice_order_fault(header: VoiceHeader, types: Sequence[int], whole: bool) -> str | None:
    """Return why these types, in this order, cannot stand in a voice's file."""
    n_codes = _n_voice_codes(header)
    period = PARTS * header.channels
    codes, others = types[:n_codes], types[n_codes:]
    if any(t != n % period + 1 for n, t in enumerate(codes)):
        return f"code sections are not in the order 1..{period}, segment after segment"
    if whole and len(codes) < n_codes:
        return f"{len(codes)} code sections, legal: {n_codes}, for this many segments"
    if any(not LAST_CRITICAL < t <= LAST_SECTION_TYPE for t in others):
        return f"types {list(others)} after the codes, legal: {ICC}..{LAST_SECTION_TYPE}"
    if any(a >= b for a, b in pairwise(others)):
        return f"types {list(others)} after the codes, legal: ascending"
    return None


def _picture_order_fault(types: Sequence[int], alpha: bool, whole: bool) -> str | None:
    """Return why these types, in this order, cannot follow a picture's codes."""
    if any(not ALPHA <= t <= LAST_SECTION_TYPE for t in types):
        return f"types {list(types)} after the codes, legal: {ALPHA}..{LAST_SECTION_TYPE}"
    if any(a >= b for a, b in pairwise(types)):
        return f"types {list(types)}, legal: ascending"
    if ALPHA in types and not alpha:
        return "an alpha section, though the header says that there is no alpha"
    if alpha and ALPHA not in types and (whole or types):
        return "no alpha section, though the header says there is one"
    return None
