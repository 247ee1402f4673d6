"""The container: a header and sections of bytes, to one `.lvx` file and back (FORMAT.md).

Promises: every byte is under a checksum, so an altered file is refused; a cut file gives its
whole sections; lengths are checked before anything is allocated. Knows neither pixels nor models:
codes, alpha and metadata are payloads to it.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from luxvox.codec.header import (
    CODERS,
    FORMAT_VERSION,
    KIND_PICTURE,
    KIND_VOICE,
    MAGIC,
    MAX_HEADER_SIZE,
    MAX_PIXELS,
    Header,
    PictureHeader,
    VoiceHeader,
    describe,
    parse_header,
    write_header,
)
from luxvox.codec.timeline import PARTS, n_segments
from luxvox.codec.wire import VARINT_LIMIT, Cursor, varint_bytes
from luxvox.errors import (
    ChecksumError,
    FormatError,
    LuxvoxError,
    TruncatedError,
    UnsupportedError,
)

__all__ = [
    "ALPHA",
    "CODERS",
    "CUT",
    "EXIF",
    "FORMAT_VERSION",
    "ICC",
    "KIND_PICTURE",
    "KIND_VOICE",
    "LAST_CODES",
    "LAST_CRITICAL",
    "LAST_SECTION_TYPE",
    "MAGIC",
    "MAX_HEADER_SIZE",
    "MAX_PIXELS",
    "XMP",
    "Container",
    "Listing",
    "Header",
    "PictureHeader",
    "Section",
    "SectionEntry",
    "VoiceHeader",
    "describe",
    "list_sections",
    "read",
    "read_header",
    "salvage",
    "section_name",
    "write",
]

CUT: Final = "the file is cut"
LAST_CODES: Final = 63
ALPHA: Final = 64
LAST_CRITICAL: Final = 127
ICC: Final = 128
EXIF: Final = 129
XMP: Final = 130
LAST_SECTION_TYPE: Final = 255


@dataclass(frozen=True)
class Section:
    """Hold one section: its type, 1..255, and its payload."""

    type: int
    payload: bytes


@dataclass(frozen=True)
class SectionEntry:
    """Say where a section lies: offset and size of all of it, length of its payload, in bytes.

    `crc_ok` is False for altered bytes and for the last section of a file cut inside it.
    """

    type: int
    offset: int
    size: int
    length: int
    crc_ok: bool

    @property
    def name(self) -> str:
        """Return what the section holds, in words."""
        return section_name(self.type)


@dataclass(frozen=True)
class Container:
    """Hold a file that was read: its header, its whole sections, and whether it was cut."""

    header: Header
    sections: tuple[Section, ...]
    truncated: bool

    @property
    def codes(self) -> tuple[bytes, ...]:
        """Return the payloads of the code sections, coarsest first."""
        return tuple(s.payload for s in self.sections if s.type <= LAST_CODES)

    def payload(self, section_type: int) -> bytes | None:
        """Return the payload of the section of this type, or None if there is none."""
        return next((s.payload for s in self.sections if s.type == section_type), None)


@dataclass(frozen=True)
class Listing:
    """List what a file holds, for `info`: nothing is decoded, and damage is listed, not raised.

    `n_sections` is what the header announces; `entries` are those found before the file ends or
    can no longer be followed; `damage` says what is wrong with the file, None if nothing is.
    """

    header: Header
    header_size: int
    n_sections: int
    entries: tuple[SectionEntry, ...]
    damage: str | None


def write(header: Header, sections: Sequence[Section]) -> bytes:
    """Return the bytes of a file.

    Args:
        header: its fields.
        sections: of a picture in ascending order of type; codes are 1, 2, 3 … without gaps, and
            empty ones after the last that holds anything are left out. Of a voice first the codes
            of all segments, 1, 2 (3, 4 of the side channel) and again, then the others.

    Raises:
        InputError: a header field is outside its range (picture too large, say).
        LuxvoxError: the sections are out of order, too long, or contradict the header.
    """
    kept = _without_empty_tail(sections) if isinstance(header, PictureHeader) else sections
    front = write_header(header, len(kept))
    if reason := _fault(header, [s.type for s in kept], whole=True):
        raise LuxvoxError(f"sections cannot be written: {reason}")
    if any(len(s.payload) >= VARINT_LIMIT for s in kept):
        raise LuxvoxError("sections cannot be written: a payload of 4 GiB or more")
    return b"".join([front, *(_section_bytes(s) for s in kept)])


def read_header(data: bytes) -> tuple[Header, int]:
    """Read and check the header alone; the first `MAX_HEADER_SIZE` bytes of a file are enough.

    Returns:
        The header, and the offset at which the sections begin.

    Raises:
        FormatError, ChecksumError, TruncatedError, UnsupportedError: as `parse_header` does.
    """
    header, _, end = parse_header(data)
    return header, end


def read(data: bytes) -> Container:
    """Read a file, checking every byte; a cut file gives its whole sections, `truncated` set.

    Sections of unknown skippable types stay in the result, for the caller to ignore.

    Raises:
        FormatError: an illegal structure.
        ChecksumError: altered bytes.
        TruncatedError: cut so early that not one section is whole.
        UnsupportedError: another format version or kind, or an unknown critical section.
    """
    header, n_sections, start = parse_header(data)
    _check_count(header, n_sections, start)
    sections = tuple(_whole_sections(data, start, n_sections))
    truncated = len(sections) < n_sections
    if truncated and not sections:
        raise TruncatedError(
            f"section 1 of {n_sections}, offset {start}: the file ends at {len(data)}, "
            "before its first section is whole"
        )
    if reason := _fault(header, [s.type for s in sections], whole=not truncated):
        raise FormatError(f"sections, offset {start}: {reason}")
    return Container(header, sections, truncated)


def salvage(data: bytes) -> tuple[Container, frozenset[int]]:
    """Read a file as `read` does, but take altered sections for empty ones.

    Where sections can no longer be followed behind an altered one, the file counts as cut there.

    Returns:
        The content, and the positions of the altered sections in it.

    Raises:
        As `read`, but for altered sections; ChecksumError if nothing sound is left.
    """
    header, n_sections, start = parse_header(data)
    _check_count(header, n_sections, start)
    altered: list[int] = []
    sections = tuple(_whole_sections(data, start, n_sections, altered))
    if not altered:
        return read(data), frozenset()
    lost = frozenset(altered)
    if _fault(header, [s.type for s in sections], whole=len(sections) == n_sections):
        sections, lost = sections[: altered[0]], frozenset()
    if len(lost) == len(sections):
        raise ChecksumError("no section is whole and as it was written")
    return Container(header, sections, len(sections) < n_sections), lost


def list_sections(data: bytes) -> Listing:
    """List the sections of a file without raising for damage behind the header.

    Raises:
        FormatError, ChecksumError, TruncatedError, UnsupportedError: as `parse_header` does.
    """
    header, n_sections, start = parse_header(data)
    entries: list[SectionEntry] = []
    offset, damage = start, None
    try:
        _check_count(header, n_sections, start)
        while len(entries) < n_sections and offset < len(data):
            entries.append(_entry(data, offset, len(entries) + 1))
            offset += entries[-1].size
        if read(data).truncated:
            damage = f"the file ends early, at {len(data)}: not all {n_sections} sections are whole"
    except LuxvoxError as error:
        damage = str(error)
    return Listing(header, start, n_sections, tuple(entries), damage)


def section_name(section_type: int) -> str:
    """Return what sections of this type hold, in words: "codes 3", "alpha", "ICC profile"."""
    if 1 <= section_type <= LAST_CODES:
        return f"codes {section_type}"
    return _NAMES.get(section_type, f"unknown type {section_type}")


_NAMES: Final = {ALPHA: "alpha", ICC: "ICC profile", EXIF: "EXIF", XMP: "XMP"}
_CRC_SIZE: Final = 2
_CRC_START: Final = 0xFFFF


def _without_empty_tail(sections: Sequence[Section]) -> list[Section]:
    last = max((s.type for s in sections if s.type <= LAST_CODES and s.payload), default=0)
    return [s for s in sections if s.payload or not last < s.type <= LAST_CODES]


def _section_bytes(section: Section) -> bytes:
    front = bytes([section.type]) + varint_bytes(len(section.payload))
    crc = _section_crc(front, section.payload)
    return front + crc.to_bytes(_CRC_SIZE, "little") + section.payload


def _section_crc(front: bytes, payload: bytes) -> int:
    """Return CRC-16/IBM-3740: unlike half a CRC-32, it sees every altered byte at any length."""
    return binascii.crc_hqx(payload, binascii.crc_hqx(front, _CRC_START))


def _check_count(header: Header, n_sections: int, end: int) -> None:
    """Refuse a number of sections that no such file has, before they are read one by one."""
    if isinstance(header, VoiceHeader):
        most = _n_voice_codes(header) + LAST_SECTION_TYPE - LAST_CRITICAL
        if n_sections > most:
            raise FormatError(f"header, offset {end}: {n_sections} sections, legal: at most {most}")


def _whole_sections(
    data: bytes, offset: int, n_sections: int, altered: list[int] | None = None
) -> Iterator[Section]:
    """Yield the whole sections; stop where the file was cut, raise where it was altered.

    With a list for their positions, altered sections come out empty.
    """
    for number in range(1, n_sections + 1):
        try:
            entry = _entry(data, offset, number)
        except TruncatedError:
            return
        end = offset + entry.size
        if end > len(data):
            return
        place = f"section {number} ({entry.name}), offset {offset}"
        if not entry.crc_ok and altered is None:
            raise ChecksumError(f"{place}: the checksum does not match, the file was altered")
        if ALPHA < entry.type <= LAST_CRITICAL:
            raise UnsupportedError(f"{place}: a newer luxvox is needed to decode it")
        if not entry.crc_ok and altered is not None:
            altered.append(number - 1)
        yield Section(entry.type, data[end - entry.length : end] if entry.crc_ok else b"")
        offset = end
    if offset < len(data) and not altered:
        raise FormatError(f"end, offset {offset}: {len(data) - offset} bytes too many")


def _entry(data: bytes, offset: int, number: int) -> SectionEntry:
    """Read the front of a section and check its bytes, as many as the file has."""
    cursor = Cursor(data, offset, f"section {number}")
    section_type = cursor.unsigned(1)
    length = cursor.varint()
    front = data[offset : cursor.offset]
    stored = cursor.unsigned(_CRC_SIZE)
    size = cursor.offset - offset + length
    payload = data[cursor.offset : cursor.offset + length]
    crc_ok = len(payload) == length and _section_crc(front, payload) == stored
    return SectionEntry(section_type, offset, size, length, crc_ok)


def _fault(header: Header, types: Sequence[int], whole: bool) -> str | None:
    if isinstance(header, VoiceHeader):
        return _voice_order_fault(header, types, whole)
    return _order_fault(types, header.alpha, whole)


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
        return f"{len(codes)} code sections, legal: {n_codes}, for so many segments"
    if any(not LAST_CRITICAL < t <= LAST_SECTION_TYPE for t in others):
        return f"types {list(others)} after the codes, legal: {ICC}..{LAST_SECTION_TYPE}"
    if any(a >= b for a, b in pairwise(others)):
        return f"types {list(others)} after the codes, legal: ascending"
    return None


def _order_fault(types: Sequence[int], alpha: bool, whole: bool) -> str | None:
    """Return why these types, in this order, cannot stand in a file; None if they can."""
    if any(not 1 <= t <= LAST_SECTION_TYPE for t in types):
        return f"types {list(types)}, legal: 1..{LAST_SECTION_TYPE}"
    if any(a >= b for a, b in pairwise(types)):
        return f"types {list(types)}, legal: ascending"
    codes = [t for t in types if t <= LAST_CODES]
    if codes != list(range(1, len(codes) + 1)):
        return f"code sections {codes}, legal: 1, 2, 3 and so on without gaps"
    if ALPHA in types and not alpha:
        return "an alpha section, though the header says there is none"
    if alpha and ALPHA not in types and (whole or any(t > ALPHA for t in types)):
        return "no alpha section, though the header says there is one"
    return None
