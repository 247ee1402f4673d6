"""EXIF is edited in place, in both byte orders, and broken blocks are left alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from luxvox.codec.picture.files import exif as exif_blocks


def block(order, **resolution):
    tags = Image.Exif()
    tags.endian = order
    tags[0x010F] = "Maker"
    tags[0x0100], tags[0x0101] = 40, 30
    if resolution:
        tags[0x011A], tags[0x011B] = resolution["across"], resolution["down"]
        tags[0x0128] = resolution["unit"]
    tags.get_ifd(0x8769).update({0xA002: 40, 0xA003: 30, 0x9003: "2020:01:02 03:04:05"})
    return tags.tobytes().removeprefix(b"Exif\0\0")


def read(data):
    tags = Image.Exif()
    tags.load(data)
    return tags


@pytest.mark.parametrize("order", ["<", ">"])
def test_sizes_are_set_where_they_stand(order):
    before = block(order)
    after = exif_blocks.with_size(before, 300, 400, 1)
    assert len(after) == len(before)
    tags = read(after)
    assert (tags[0x0100], tags[0x0101], tags[0x010F]) == (300, 400, "Maker")
    inner = tags.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003], inner[0x9003]) == (300, 400, "2020:01:02 03:04:05")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("unit", "scale"), [(2, 1.0), (3, 2.54)])
def test_resolution_is_read_and_turned(order, unit, scale):
    data = block(order, across=100.0, down=50.0, unit=unit)
    assert exif_blocks.resolution_of(data) == pytest.approx((100 * scale, 50 * scale))
    turned = exif_blocks.with_size(data, 30, 40, 6)
    assert exif_blocks.resolution_of(turned) == pytest.approx((50 * scale, 100 * scale))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("had_one", [False, True])
def test_resolution_is_set(order, had_one):
    more = {"across": 72.0, "down": 72.0, "unit": 3} if had_one else {}
    data = exif_blocks.with_resolution(block(order, **more), (300.5, 150.25))
    assert exif_blocks.resolution_of(data) == pytest.approx((300.5, 150.25))
    tags = read(data)
    assert tags[0x010F] == "Maker"
    assert tags.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


def test_a_resolution_alone_is_a_block():
    data = exif_blocks.with_resolution(None, (600, 600))
    assert exif_blocks.resolution_of(data) == (600, 600)
    assert set(read(data)) == {0x011A, 0x011B, 0x0128}


@given(st.binary(max_size=120), st.sampled_from([b"II*\0", b"MM\0*", b""]))
def test_any_bytes_are_edited_or_left(junk, magic):
    data = magic + junk
    assert len(exif_blocks.with_size(data, 3, 4, 6)) == len(data)
    exif_blocks.resolution_of(data)
    exif_blocks.with_resolution(data, (300, 300))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_thumbnail_stays_where_it_lies_like_the_picture(orientation):
    data = bytearray(block("<"))
    link = 10 + 12 * int.from_bytes(data[8:10], "little")
    data[link : link + 4] = len(data).to_bytes(4, "little")
    after = exif_blocks.with_size(bytes(data), 40, 30, orientation)
    assert (after[link : link + 4] == bytes(4)) == (orientation > 1)
