"""The container: a header, parts and sections of bytes, to one `.lvx` file and back (FORMAT.md).

Promises: every byte is under a checksum, so an altered file is refused; a cut file gives its
whole parts and sections; lengths are checked before anything is allocated. Knows neither pixels
nor models: codes, alpha and metadata are payloads to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from luxvox.codec.container.bands import SECTION_NAMES, Part, bands_of
from luxvox.codec.container.header import (
    FORMAT_VERSION,
    KIND_PICTURE,
    KIND_VOICE,
    MAGIC,
    MAX_HEADER_SIZE,
    Header,
    PictureHeader,
    VoiceHeader,
    parse_header,
    write_header,
)
from luxvox.codec.container.header_fields import CODERS, MAX_PIXELS
from luxvox.codec.container.parts import PartListing, list_parts, write_parts
from luxvox.codec.container.sections import (
    ALPHA,
    EXIF,
    ICC,
    LAST_CODES,
    LAST_CRITICAL,
    LAST_SECTION_TYPE,
    XMP,
    Section,
    SectionEntry,
    check_count,
    order_fault,
    section_bytes,
    section_entry,
    section_name,
    whole_sections,
)
from luxvox.codec.container.wire import VARINT_LIMIT
from luxvox.errors import ChecksumError, FormatError, LuxvoxError, TruncatedError

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
    "Lost",
    "OpenFile",
    "Part",
    "PictureHeader",
    "Section",
    "SectionEntry",
    "VoiceHeader",
    "list_sections",
    "open_file",
    "read",
    "read_header",
    "salvage",
    "section_name",
    "write",
]

CUT: Final = "the file is cut"


@dataclass(frozen=True)
class Container:
    """The contents of a file: its header, what is whole in it, and whether it was cut.

    Attributes:
        header: its fields.
        sections: all of a voice; of a picture those that do not hold codes.
        truncated: whether the file ends too early.
        parts: of a picture, the payloads of whole parts of its codes; null ones are missing.
    """

    header: Header
    sections: tuple[Section, ...]
    truncated: bool
    parts: Mapping[Part, bytes] = field(default_factory=dict)

    @property
    def codes(self) -> tuple[bytes, ...]:
        """Return the payloads of the code sections of a voice, coarsest first."""
        return tuple(s.payload for s in self.sections if s.type <= LAST_CODES)

    def payload(self, section_type: int) -> bytes | None:
        """Return the payload of the section of this type, or None if there is no such section."""
        return next((s.payload for s in self.sections if s.type == section_type), None)


@dataclass(frozen=True)
class Lost:
    """What was altered in a file: positions of its sections, and parts of its codes."""

    sections: frozenset[int] = frozenset()
    parts: frozenset[Part] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.sections or self.parts)


@dataclass(frozen=True)
class OpenFile:
    """A file whose header was read and checked; the rest is read on demand.

    Attributes:
        data: all bytes of the file.
        header: its fields.
        n_sections: how many sections the header announces.
        start: offset at which codes and sections begin.
    """

    data: bytes
    header: Header
    n_sections: int
    start: int

    def read(self) -> Container:
        """Check every byte and return the contents; see `read`."""
        content, _ = _read(self, None)
        return content

    def salvage(self) -> tuple[Container, Lost]:
        """Return the contents, with altered parts and sections as empty ones; see `salvage`."""
        return _salvage(self)

    def listing(self) -> Listing:
        """List the sections without raising for damage; see `list_sections`."""
        return _list_entries(self)


@dataclass(frozen=True)
class Listing:
    """List what a file holds, for `info`: nothing is decoded, and damage is listed, not raised.

    `header_size` is where codes and sections begin; `entries` are those found before the file ends
    or can no longer be followed; `damage` says what is wrong with the file, None if nothing is.
    """

    header: Header
    header_size: int
    entries: tuple[SectionEntry, ...]
    damage: str | None


def write(
    header: Header, sections: Sequence[Section], parts: Mapping[Part, bytes] | None = None
) -> bytes:
    """Return the bytes of a file.

    Args:
        header: its fields.
        sections: of a picture those of alpha and metadata, in ascending order of type. Of a voice,
            first the codes segment by segment, types 1 and 2 (3 and 4 for the second channel), then
            others.
        parts: the codes of a picture.

    Raises:
        InputError: a header field is outside its range (picture too large, say).
        LuxvoxError: the sections are out of order, too long, or contradict the header.
    """
    front = write_header(header, len(sections))
    if reason := order_fault(header, [s.type for s in sections], whole=True):
        raise LuxvoxError(f"sections cannot be written: {reason}")
    if any(len(s.payload) >= VARINT_LIMIT for s in sections):
        raise LuxvoxError("sections cannot be written: a payload of 4 GiB or more")
    if isinstance(header, PictureHeader):
        front += write_parts(bands_of(header), parts or {})
    return b"".join([front, *(section_bytes(s) for s in sections)])


def open_file(data: bytes) -> OpenFile:
    """Read and check the header of a file, once for everything that is done with it.

    Raises:
        FormatError, ChecksumError, TruncatedError, UnsupportedError: as `parse_header` does.
    """
    return OpenFile(data, *parse_header(data))


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
    """Read a file, checking every byte; a cut file gives what is whole, `truncated` set.

    Sections of unknown skippable types stay in the result, for the caller to ignore.

    Raises:
        FormatError: an illegal structure.
        ChecksumError: altered bytes.
        TruncatedError: cut so early that nothing in it is whole.
        UnsupportedError: another format version or kind, or an unknown critical section.
    """
    return open_file(data).read()


def salvage(data: bytes) -> tuple[Container, Lost]:
    """Read a file as `read` does, but treat altered parts and sections as empty.

    Where sections can no longer be followed after an altered one, the file counts as cut there.

    Raises:
        As `read`, except for altered parts and sections; ChecksumError if nothing sound is left.
    """
    return open_file(data).salvage()


def _salvage(file: OpenFile) -> tuple[Container, Lost]:
    altered: list[int] = []
    content, parts = _read(file, altered)
    sections, lost = content.sections, frozenset(altered)
    types = [s.type for s in sections]
    reason = order_fault(content.header, types, whole=not content.truncated)
    if altered and reason:
        sections, lost = sections[: altered[0]], frozenset()
        reason = order_fault(content.header, types[: altered[0]], whole=False)
    if reason:
        raise FormatError(f"sections: {reason}")
    if not altered and not parts:
        return content, Lost()
    if len(lost) == len(sections) and not content.parts:
        raise ChecksumError("nothing in the file is whole and as it was written")
    is_short = content.truncated or len(sections) < len(content.sections)
    return replace(content, sections=sections, truncated=is_short), Lost(lost, parts)


def _read(file: OpenFile, altered: list[int] | None) -> tuple[Container, frozenset[Part]]:
    """Read a file; a list for positions of altered sections lets these and altered parts pass."""
    data, header, n_sections, start = file.data, file.header, file.n_sections, file.start
    check_count(header, n_sections, start)
    parts: dict[Part, bytes] = {}
    lost: frozenset[Part] = frozenset()
    is_cut, offset = False, start
    if isinstance(header, PictureHeader):
        listing = list_parts(data, start, bands_of(header))
        lost, offset = frozenset(listing.in_state("altered")), listing.end
        if lost and altered is None:
            raise ChecksumError(_name_altered_part(listing))
        parts, is_cut = listing.payloads(data), bool(listing.in_state("cut"))
    sections: tuple[Section, ...] = ()
    if not is_cut:
        sections = tuple(whole_sections(data, offset, n_sections, altered))
        is_cut = len(sections) < n_sections
    if is_cut and not sections and not parts and not lost:
        raise TruncatedError(
            f"offset {start}: the file ends at {len(data)}, with nothing whole in it"
        )
    if altered is None and (reason := order_fault(header, [s.type for s in sections], not is_cut)):
        raise FormatError(f"sections, offset {offset}: {reason}")
    return Container(header, sections, is_cut, parts), lost


def _name_altered_part(listing: PartListing) -> str:
    entry = next(entry for entry in listing.entries if entry.state == "altered")
    name = f"codes {entry.part.section} of band {entry.part.band + 1}, offset {entry.offset}"
    return f"{name}: the checksum does not match, the file was altered"


def list_sections(data: bytes) -> Listing:
    """List the sections of a file without raising for damage after the header.

    Raises:
        FormatError, ChecksumError, TruncatedError, UnsupportedError: as `parse_header` does.
    """
    return open_file(data).listing()


def _list_entries(file: OpenFile) -> Listing:
    data, header, n_sections, start = file.data, file.header, file.n_sections, file.start
    entries: list[SectionEntry] = []
    offset, damage = start, None
    try:
        check_count(header, n_sections, start)
        if isinstance(header, PictureHeader):
            listing = list_parts(data, start, bands_of(header))
            entries, offset = _code_entries(listing, header.band_rows == 0), listing.end
        n_entries = len(entries) + n_sections
        while len(entries) < n_entries and offset < len(data):
            entries.append(section_entry(data, offset, len(entries) + 1))
            offset += entries[-1].size
        if file.read().truncated:
            damage = f"the file ends early, at {len(data)}: not all that it announces is whole"
    except LuxvoxError as error:
        damage = str(error)
    return Listing(header, start, tuple(entries), damage)


def _code_entries(listing: PartListing, joined: bool) -> list[SectionEntry]:
    """Return an entry for each section of a picture that is not null."""
    names = ("all levels",) if joined else SECTION_NAMES
    entries = []
    for section in sorted({entry.part.section for entry in listing.entries}):
        parts = [entry for entry in listing.entries if entry.part.section == section]
        entries.append(
            SectionEntry(
                section,
                f"{section_name(section)}, {names[section - 1]}",
                parts[0].offset,
                sum(entry.size for entry in parts),
                sum(entry.length for entry in parts),
                all(entry.state == "whole" for entry in parts),
            )
        )
    return entries
