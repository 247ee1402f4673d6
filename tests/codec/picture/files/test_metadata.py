"""Metadata is kept, the orientation goes into the pixels."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from luxvox.codec.picture import rasters
from luxvox.codec.picture.files.exif import without_orientation
from luxvox.codec.picture.files.metadata import metadata_of, orientation_of, turn_upright

ORIENTATION = 0x0112


def exif_of(orientation=None, **extra):
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    if extra:
        exif[0x010F] = extra["maker"]
    return exif


def raw(exif):
    return exif.tobytes().removeprefix(b"Exif\0\0")


def reopen(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    opened = Image.open(io.BytesIO(stream.getvalue()))
    opened.load()
    return opened


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turns_as_pillow_does(orientation):
    samples = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    image = reopen(Image.fromarray(samples), "PNG", exif=exif_of(orientation))
    assert orientation_of(image) == orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(turn_upright(samples, orientation), expected)
    assert np.array_equal(rasters.from_pil(image).pixels, expected)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
def test_orientation_is_applied_once(format):
    image = Image.new("RGB", (8, 4))
    turned = reopen(image, format, exif=exif_of(6, maker="Maker"))
    raster = rasters.from_pil(turned)
    assert raster.pixels.shape == (8, 4, 3)
    assert raster.exif is not None
    again = reopen(rasters.to_pil(raster), "JPEG", exif=b"Exif\0\0" + raster.exif)
    assert again.getexif().get(ORIENTATION) is None
    assert again.getexif()[0x010F] == "Maker"


def test_all_other_bytes_stay():
    with_it = raw(exif_of(8, maker="A maker with a name of some length"))
    without = without_orientation(with_it)
    assert without is not None
    assert len(without) == len(with_it)
    assert b"A maker with a name of some length" in without
    assert without_orientation(without) == without


def test_exif_with_nothing_else_is_dropped():
    assert without_orientation(raw(exif_of(3))) is None


@pytest.mark.parametrize(
    "block", [b"", b"II*\0", b"junk", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\7"]
)
def test_unreadable_exif_is_dropped(block):
    assert without_orientation(block) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_dropped(block):
    edited = without_orientation(b"II*\0" + block)
    assert edited is None or len(edited) == len(block) + 4


def test_directory_cut_short_is_dropped():
    assert without_orientation(b"II*\0" + struct.pack("<IH", 8, 500)) is None


@pytest.mark.parametrize("value", [0, 9, 40000])
def test_illegal_orientation_counts_as_upright(value):
    assert orientation_of(reopen(Image.new("L", (2, 1)), "PNG", exif=exif_of(value))) == 1


@pytest.mark.parametrize(
    "written",
    [
        b'<x tiff:Orientation="6"/>',
        b"<x tiff:Orientation='6'/>",
        b"<x tiff:Orientation = '6'/>",
        b"<tiff:Orientation>6</tiff:Orientation>",
        b"<tiff:Orientation> 6 </tiff:Orientation>",
        b"<x xmlns:t='http://ns.adobe.com/tiff/1.0/' t:Orientation='6'/>",
    ],
)
def test_xmp_orientation_becomes_upright(written):
    image = Image.new("RGB", (8, 4))
    image.info["xmp"] = written
    raster = rasters.from_pil(image)
    assert raster.pixels.shape == (8, 4, 3)
    assert raster.xmp == written.replace(b"6", b"1")


def test_tiff_keeps_only_tags_that_describe_the_picture():
    exif = exif_of(1, maker="Maker")
    image = reopen(Image.new("RGB", (8, 4)), "TIFF", exif=exif)
    kept = Image.Exif()
    kept.load(metadata_of(image).exif or b"")
    assert dict(kept) == {0x010F: "Maker"}


def test_picture_without_metadata_has_none():
    metadata = metadata_of(Image.new("RGB", (2, 2)))
    assert (metadata.icc, metadata.exif, metadata.xmp) == (None, None, None)
