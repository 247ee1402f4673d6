"""Laws of the container: any file comes back, and no cut or altered one passes for whole."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luxvox.codec.container as box
from luxvox.codec.container import Part, PictureHeader, Section
from luxvox.codec.container.bands import bands_of
from luxvox.codec.container.header import parse_header, write_header
from luxvox.codec.container.wire import Cursor, varint_bytes
from luxvox.codec.quality import Quality
from luxvox.errors import LuxvoxError
from luxvox.tests.codec.container.examples import EXAMPLE, assert_refused_or_cut
from luxvox.tests.codec.container.test_container import TABLE

law = settings(deadline=None)  # a busy machine is no failure


@st.composite
def headers(draw: st.DrawFn) -> PictureHeader:
    width = draw(st.integers(1, 2**30))
    height = draw(st.integers(1, 2**30 // width))
    n_rows = -(-height // 64)
    return PictureHeader(
        model_number=draw(st.integers(0, 2**16 - 1)),
        fingerprint=draw(st.binary(min_size=4, max_size=4)),
        width=width,
        height=height,
        colour=draw(st.booleans()),
        alpha=draw(st.booleans()),
        eye=draw(st.booleans()),
        profile=draw(st.integers(0, 2)),
        coder=draw(st.sampled_from(sorted(box.CODERS))),
        quality=Quality(draw(st.integers(100, 10000))),
        band_rows=draw(st.sampled_from([0, n_rows, -(-n_rows // min(n_rows, 5))])),
    )


File = tuple[PictureHeader, list[Section], dict[Part, bytes]]


@st.composite
def files(draw: st.DrawFn) -> File:
    header = draw(headers())
    names = st.sampled_from(list(bands_of(header).parts()))
    parts = draw(st.dictionaries(names, st.binary(min_size=1, max_size=300), max_size=5))
    sections = [Section(box.ALPHA, draw(st.binary(max_size=30)))] if header.alpha else []
    skippable = draw(st.sets(st.integers(box.ICC, box.LAST_SECTION_TYPE), max_size=3))
    sections += [Section(t, draw(st.binary(max_size=200))) for t in sorted(skippable)]
    return header, sections, parts


@law
@given(files())
def test_round_trip(file: File) -> None:
    header, sections, parts = file
    data = box.write(header, sections, parts)
    assert box.read(data) == box.Container(header, tuple(sections), False, parts)
    n_bytes = sum(map(len, parts.values())) + sum(len(s.payload) + 6 for s in sections)
    assert len(data) <= 36 + 6 * bands_of(header).n_bands + 4 * len(parts) + n_bytes
    assert box.read_header(data[: box.MAX_HEADER_SIZE])[0] == header


@law
@given(files(), st.data())
def test_every_cut(file: File, data: st.DataObject) -> None:
    whole = box.write(*file)
    assert_refused_or_cut(whole[: data.draw(st.integers(0, len(whole) - 1))], whole)


@settings(law, max_examples=300)
@given(files(), st.data())
def test_every_flip(file: File, data: st.DataObject) -> None:
    whole = bytearray(box.write(*file))
    original = bytes(whole)
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    assert_refused_or_cut(bytes(whole), original)


@law
@given(st.binary(max_size=200))
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(LuxvoxError):
        box.read(junk)


@law
@given(st.binary(max_size=100))
def test_junk_after_a_sound_header(junk: bytes) -> None:
    data = EXAMPLE[:TABLE] + junk
    try:
        assert box.read(data).truncated or junk == EXAMPLE[TABLE:]
    except LuxvoxError:
        pass
    listing = box.list_sections(data)
    assert listing.damage is not None or data == EXAMPLE


def spellings(words: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from([bytes.fromhex(word) for word in words.split()])


SIZES = spellings("00 01 05 8000 8001 ff01 8101 ffffff7f ffffffff0f 8080808010")
QUALITIES = spellings("6400 8813 1027 6300 1127")
CODERS = spellings("01 02 00 03")
FLAGS = spellings("00 01 02 05 0b 10 18 2101 2100 40")
PICTURE_FIELDS = (SIZES, SIZES, FLAGS, QUALITIES, SIZES)
RATES = spellings("00 03 0b 0c 13 1f8b7d 0fc13e 0f807d 0f8000 23")
VOICE_FIELDS = (SIZES, RATES, spellings("00 80 ff"), QUALITIES, CODERS, SIZES)


@settings(law, max_examples=200)
@given(
    st.one_of(st.tuples(st.just(b"\1"), *PICTURE_FIELDS), st.tuples(st.just(b"\2"), *VOICE_FIELDS))
)
def test_a_header_has_one_spelling(fields: tuple[bytes, ...]) -> None:
    """Bytes that are read as a header are exactly those that would be written for it."""
    head = box.MAGIC + b"\1" + fields[0] + bytes(6) + b"".join(fields[1:])
    data = head + zlib.crc32(head).to_bytes(4, "little")
    try:
        header, n_sections, offset = parse_header(data)
    except LuxvoxError:
        return
    assert write_header(header, n_sections) == data[:offset]


@law
@given(st.integers(0, 2**32 - 1))
def test_varint_round_trip(value: int) -> None:
    cursor = Cursor(varint_bytes(value), 0, "here")
    assert cursor.varint() == value
    assert cursor.offset == len(varint_bytes(value))
