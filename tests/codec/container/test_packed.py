"""Packed metadata: it comes back, and bad data is refused before it takes memory."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.codec.container.packed import MAX_METADATA_BYTES, pack, unpack
from luxvox.codec.container.wire import varint_bytes
from luxvox.errors import FormatError


@given(st.binary(min_size=1, max_size=3000))
def test_comes_back(metadata):
    assert unpack(pack(metadata), "EXIF") == metadata


def test_known_answer():
    assert unpack(bytes.fromhex("0a4b4c840100"), "EXIF") == b"aaaaaaaaaa"


def test_the_largest_comes_back():
    metadata = bytes(MAX_METADATA_BYTES)
    assert unpack(pack(metadata), "XMP") == metadata


def test_a_bomb_is_refused():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(1 << 26)) + packer.flush()
    with pytest.raises(FormatError, match="does not unpack to the 100 bytes it says"):
        unpack(varint_bytes(100) + bomb, "XMP")
    with pytest.raises(FormatError, match=r"67108864 bytes unpacked, legal: 1\.\.16777216"):
        unpack(varint_bytes(1 << 26) + bomb, "XMP")


@given(st.binary(max_size=60))
def test_junk_is_refused_or_legal(junk):
    try:
        assert 1 <= len(unpack(junk, "XMP")) <= MAX_METADATA_BYTES
    except FormatError as error:
        assert str(error).startswith("XMP")
