"""The container against FORMAT.md: its worked example byte for byte, its edges, its laws."""

from __future__ import annotations

import binascii
import re
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

import luxvox.codec.container as box
from luxvox.codec.container import Part, PictureHeader, Section
from luxvox.codec.container.wire import Cursor, varint_bytes
from luxvox.codec.quality import Quality
from luxvox.errors import (
    ChecksumError,
    FormatError,
    InputError,
    LuxvoxError,
    TruncatedError,
    UnsupportedError,
)
from luxvox.tests.codec.container.examples import (
    BORDERS,
    EXAMPLE,
    HEADER,
    PARTS,
    PLAIN,
    SECTIONS,
    assert_refused_or_cut,
    spell,
    table,
    with_sections,
)

TABLE, CODES = 25, 39
FORMAT_MD = Path(__file__).parents[3] / "FORMAT.md"


# --- known answers ---------------------------------------------------------------------------


def test_example_is_written_byte_for_byte() -> None:
    assert box.write(HEADER, SECTIONS, PARTS) == EXAMPLE


def test_example_is_read() -> None:
    container = box.read(EXAMPLE)
    assert container == box.Container(HEADER, SECTIONS, truncated=False, parts=PARTS)
    assert container.payload(box.EXIF) == b"Exif"
    assert container.payload(box.ICC) is None


def test_example_equals_that_in_the_document() -> None:
    text = FORMAT_MD.read_text(encoding="utf-8")
    lines = re.findall(r"^    [0-9a-f]0  ([0-9a-f ]+)$", text, re.MULTILINE)
    assert bytes.fromhex("".join(lines[:4])) == EXAMPLE


def test_smallest_file() -> None:
    header = replace(PLAIN, width=1, height=1, band_rows=1)
    data = box.write(header, [])
    assert len(data) == 22 + 8
    assert box.read(data) == box.Container(header, (), truncated=False)
    assert len(box.write(replace(header, band_rows=0), [])) == 22 + 3


def test_checksum_is_the_documented_one() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1
    assert zlib.crc32(b"123456789") == 0xCBF43926


@pytest.mark.parametrize(
    ("value", "spelling"),
    [(0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (2**32 - 1, "ffffffff0f")],
)
def test_varint(value: int, spelling: str) -> None:
    assert varint_bytes(value).hex() == spelling
    assert Cursor(bytes.fromhex(spelling), 0, "here").varint() == value


@pytest.mark.parametrize("spelling", ["8000", "ff00", "8080808010", "8080808080", "ffffffffff"])
def test_varint_has_one_spelling(spelling: str) -> None:
    with pytest.raises(FormatError, match="here, offset 0: .*shortest form"):
        Cursor(bytes.fromhex(spelling), 0, "here").varint()


def test_overhead() -> None:
    largest = replace(PLAIN, width=2**15, height=2**15)
    assert box.read_header(box.write(largest, []))[1] <= 32
    for length, overhead in [(0, 5), (127, 5), (128, 6), (16383, 6), (16384, 7), (2**21 - 1, 7)]:
        size = len(box.write(PLAIN, [Section(box.ICC, bytes(length))])) - len(box.write(PLAIN, []))
        assert size == length + overhead


def test_overhead_of_a_small_picture() -> None:
    header = replace(PLAIN, width=64, height=64, band_rows=0)
    for length in (1, 127, 128, 400, 16383):
        assert len(box.write(header, [], {Part(1, 0): b"x" * length})) - length <= 28


# --- info ------------------------------------------------------------------------------------


def test_header_needs_only_the_first_bytes() -> None:
    assert box.read_header(EXAMPLE[: box.MAX_HEADER_SIZE]) == (HEADER, TABLE)


def test_listing() -> None:
    listing = box.list_sections(EXAMPLE)
    assert (listing.header, listing.header_size) == (HEADER, TABLE)
    assert [entry.offset for entry in listing.entries] == [39, 48, 51, 56]
    names = ["codes 1, apex, the preview", "codes 2, top", "alpha", "EXIF"]
    assert [entry.name for entry in listing.entries] == names
    assert all(entry.crc_ok for entry in listing.entries)
    assert sum(entry.size for entry in listing.entries) == len(EXAMPLE) - CODES
    assert listing.damage is None


def test_listing_of_a_joined_picture() -> None:
    data = box.write(replace(PLAIN, band_rows=0), [], {Part(1, 0): b"x"})
    assert [entry.name for entry in box.list_sections(data).entries] == ["codes 1, all levels"]


def test_listing_of_a_cut_file() -> None:
    listing = box.list_sections(EXAMPLE[:-1])
    assert [entry.crc_ok for entry in listing.entries] == [True, True, True, False]
    assert listing.damage is not None
    assert "ends early, at 63" in listing.damage


def test_listing_of_an_altered_file() -> None:
    listing = box.list_sections(EXAMPLE[:42] + b"\xff" + EXAMPLE[43:])
    assert [entry.crc_ok for entry in listing.entries] == [False, True, True, True]
    assert listing.damage is not None
    assert "codes 1 of band 1, offset 39" in listing.damage


def test_section_names() -> None:
    names = [box.section_name(t) for t in (63, 128, 130, 65, 255, 0)]
    assert names[:3] == ["codes 63", "ICC profile", "XMP"]
    assert names[3:] == ["unknown type 65", "unknown type 255", "unknown type 0"]


# --- header refusals -------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n", b"hello", b"\xff\xd8", b"\x00"])
def test_another_file(data: bytes) -> None:
    with pytest.raises(FormatError, match="not a luxvox file"):
        box.read(data)


@pytest.mark.parametrize("size", range(25))
def test_cut_in_the_header(size: int) -> None:
    with pytest.raises(TruncatedError, match="header, offset"):
        box.read_header(EXAMPLE[:size])


def test_another_version() -> None:
    with pytest.raises(UnsupportedError, match="offset 4: format version 2, legal: 1"):
        box.read(EXAMPLE[:4] + b"\x02" + EXAMPLE[5:])


@pytest.mark.parametrize("kind", [0, 3, 255])
def test_another_kind(kind: int) -> None:
    with pytest.raises(
        UnsupportedError, match=rf"offset 5: kind {kind}, legal: 1 \(picture\), 2 \(voice\)"
    ):
        box.read(EXAMPLE[:5] + bytes([kind]) + EXAMPLE[6:])


def test_altered_header() -> None:
    with pytest.raises(ChecksumError, match="header, offset 21"):
        box.read(EXAMPLE[:8] + b"\x00" + EXAMPLE[9:])


@pytest.mark.parametrize(
    ("width", "height", "quality", "message"),
    [
        (0, 1, 100, "width 0, legal: 1..1073741824"),
        (1, 0, 100, "height 0, legal"),
        (2**30 + 1, 1, 100, "width 1073741825, legal"),
        (2**16, 2**14 + 1, 100, "65536x16385 pixels, legal: at most 1073741824"),
        (2**30, 2**30, 100, "pixels, legal"),
        (1, 1, 99, "quality in hundredths 99, legal: 100..10000"),
        (1, 1, 10001, "quality in hundredths 10001"),
    ],
)
def test_illegal_header(width: int, height: int, quality: int, message: str) -> None:
    fields = varint_bytes(width) + varint_bytes(height) + b"\0"
    with pytest.raises(FormatError, match=message):
        box.read(spell(fields + quality.to_bytes(2, "little") + b"\0"))


@pytest.mark.parametrize(
    ("height", "band_rows", "legal"),
    [(200, 5, "0 or 1..4"), (1, 2, "0 or 1..1"), (64 * 1025, 1, "0 or 2..1025")],
)
def test_illegal_bands(height: int, band_rows: int, legal: str) -> None:
    fields = b"\1" + varint_bytes(height) + b"\0d\0" + varint_bytes(band_rows)
    message = rf"bands of {band_rows} rows of cells, legal: {legal} at this height"
    with pytest.raises(FormatError, match=message):
        box.read(spell(fields))
    with pytest.raises(InputError, match=message):
        box.write(replace(PLAIN, width=1, height=height, band_rows=band_rows), [])


@pytest.mark.parametrize("flags", [128, 129, 192])
def test_reserved_flags(flags: int) -> None:
    with pytest.raises(UnsupportedError, match=r"reserved flags are set, legal: bits 0\.\.6"):
        box.read(spell(bytes([1, 1, flags, 100, 0, 0])))


def test_unknown_profile() -> None:
    with pytest.raises(UnsupportedError, match=r"profile 3, legal: 0\.\.2"):
        box.read(spell(bytes([1, 1, 24, 100, 0, 0])))


def test_a_count_of_0_sections() -> None:
    with pytest.raises(FormatError, match="0 sections are counted"):
        box.read(spell(bytes([1, 1, 32, 0, 100, 0, 0])))


def test_largest_pictures() -> None:
    for width, height in [(2**30, 1), (1, 2**30), (2**15, 2**15)]:
        header = replace(PLAIN, width=width, height=height, band_rows=0)
        assert box.read_header(box.write(header, []))[0] == header


@pytest.mark.parametrize(
    "header",
    [
        replace(PLAIN, width=0),
        replace(PLAIN, width=2**15, height=2**15 + 1),
        replace(PLAIN, quality=Quality(99)),
        replace(PLAIN, coder=3),
        replace(PLAIN, profile=3),
        replace(PLAIN, model_number=2**16),
        replace(PLAIN, fingerprint=b"abc"),
    ],
)
def test_illegal_header_is_not_written(header: PictureHeader) -> None:
    with pytest.raises(InputError, match="legal: "):
        box.write(header, [])


# --- section refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ([0], r"types \[0\] after the codes, legal: 64\.\.255"),
        ([1, 128], r"after the codes, legal: 64\.\.255"),
        ([128, 128], "legal: ascending"),
        ([box.EXIF, box.ICC], "legal: ascending"),
        ([box.ALPHA], "the header says that there is no alpha"),
    ],
)
def test_illegal_order(types: list[int], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        box.read(with_sections(*((t, b"x") for t in types)))
    with pytest.raises(LuxvoxError, match=message):
        box.write(PLAIN, [Section(t, b"x") for t in types])


def test_missing_alpha() -> None:
    with pytest.raises(FormatError, match="no alpha section"):
        box.read(with_sections((128, b"x"), alpha=True))
    with pytest.raises(LuxvoxError, match="no alpha section"):
        box.write(HEADER, SECTIONS[1:])


def test_type_over_a_byte_is_not_written() -> None:
    with pytest.raises(LuxvoxError, match="legal: 64"):
        box.write(PLAIN, [Section(256, b"x")])


@pytest.mark.parametrize("section_type", [65, 127])
def test_unknown_critical_section(section_type: int) -> None:
    with pytest.raises(UnsupportedError, match="section 1 .*newer luxvox"):
        box.read(with_sections((section_type, b"x")))


@pytest.mark.parametrize("section_type", [131, 255])
def test_unknown_skippable_section(section_type: int) -> None:
    container = box.read(with_sections((section_type, b"y")))
    assert container.sections == (Section(section_type, b"y"),)
    assert not container.truncated


def test_bytes_after_the_end() -> None:
    with pytest.raises(FormatError, match="end, offset 64: 1 bytes too many"):
        box.read(EXAMPLE + b"\x00")


def test_huge_length_takes_no_memory() -> None:
    data = spell(bytes([1, 1, 0, 100, 0, 1])) + table(1, 2**32 - 1, 0, 0, 0, 0)
    crc = binascii.crc_hqx(b"\1\0x", 0xFFFF).to_bytes(2, "little")
    content = box.read(data + crc + b"x" + b"\0\0x")
    assert content.truncated
    assert content.parts == {Part(1, 0): b"x"}


# --- parts -----------------------------------------------------------------------------------


def test_null_parts_take_one_byte() -> None:
    assert box.write(HEADER, SECTIONS, {**PARTS, Part(6, 1): b""}) == EXAMPLE
    content = box.read(box.write(PLAIN, []))
    assert content == box.Container(PLAIN, (), truncated=False)


@pytest.mark.parametrize("part", [Part(7, 0), Part(1, 2), Part(0, 0)])
def test_impossible_parts_are_not_written(part: Part) -> None:
    with pytest.raises(LuxvoxError, match="parts cannot be written"):
        box.write(PLAIN, [], {part: b"x"})
    with pytest.raises(LuxvoxError, match="parts cannot be written"):
        box.write(replace(PLAIN, band_rows=0), [], {Part(2, 0): b"x"})


def test_an_altered_part_is_named_and_can_be_left_out() -> None:
    data = EXAMPLE[:46] + b"\xff" + EXAMPLE[47:]
    with pytest.raises(ChecksumError, match="codes 1 of band 2, offset 44: the checksum"):
        box.read(data)
    content, lost = box.salvage(data)
    assert lost == box.Lost(parts=frozenset([Part(1, 1)]))
    assert content.parts == {part: PARTS[part] for part in (Part(1, 0), Part(2, 0))}
    assert content.sections == SECTIONS


def test_an_altered_table_is_refused() -> None:
    data = EXAMPLE[:30] + b"\1" + EXAMPLE[31:]
    for read in (box.read, box.salvage):
        with pytest.raises(ChecksumError, match="table of parts, offset 37"):
            read(data)


# --- cut files -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", range(TABLE, len(EXAMPLE)))
def test_cut_file_keeps_its_whole_sections(size: int) -> None:
    n_whole = sum(border <= size for border in BORDERS)
    if n_whole == 0:
        with pytest.raises(TruncatedError, match="offset"):
            box.read(EXAMPLE[:size])
    else:
        parts = {part: PARTS[part] for part in sorted(PARTS)[:n_whole]}
        sections = SECTIONS[: max(n_whole - 3, 0)]
        assert box.read(EXAMPLE[:size]) == box.Container(HEADER, sections, True, parts)


def test_cut_file_must_be_sound_before_the_cut() -> None:
    with pytest.raises(ChecksumError, match="codes 1"):
        box.read(EXAMPLE[:41] + b"\xff" + EXAMPLE[42:-1])


def test_cut_file_must_be_legal_before_the_cut() -> None:
    with pytest.raises(FormatError, match="no alpha section"):
        box.read(with_sections((box.ICC, b"x"), (box.XMP, b"x"), alpha=True)[:-1])


# --- laws ------------------------------------------------------------------------------------


def test_every_change_of_every_byte() -> None:
    for offset in range(len(EXAMPLE)):
        for value in set(range(256)) - {EXAMPLE[offset]}:
            data = EXAMPLE[:offset] + bytes([value]) + EXAMPLE[offset + 1 :]
            assert_refused_or_cut(data, EXAMPLE)
