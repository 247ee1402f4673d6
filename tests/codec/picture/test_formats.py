"""Rasters are written in the usual formats, with whatever each can hold."""

import io

import numpy as np
import pytest
from PIL import Image

from luxvox.codec.picture import formats, rasters, reading
from luxvox.errors import LossWarning, SystemFailure, UsageError

EXIF = Image.Exif()
EXIF[0x010F] = "Maker"
RAW_EXIF = EXIF.tobytes()[6:]
XMP = b"<x:xmpmeta/>"
ICC = b"a profile"


def raster_of(n_planes, size=(6, 5), **metadata):
    rng = np.random.default_rng(1)
    plain = rasters.from_array(rng.integers(0, 256, (size[1], size[0], n_planes), np.uint8))
    return rasters.Raster(plain.pixels, plain.alpha, **metadata)


def reopen(raster, ending):
    image = Image.open(io.BytesIO(rasters.to_bytes(raster, ending)))
    image.load()
    return image


@pytest.mark.parametrize("ending", formats.FORMATS)
@pytest.mark.parametrize("n_planes", [1, 2, 3, 4])
@pytest.mark.filterwarnings("ignore:.*is written without")
def test_every_format_takes_every_raster(ending, n_planes):
    image = reopen(raster_of(n_planes, icc=ICC, exif=RAW_EXIF, xmp=XMP), ending)
    assert image.size == (6, 5)
    assert image.format == formats.FORMATS[ending].pillow_name


@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
@pytest.mark.parametrize("n_planes", [3, 4])
def test_lossless_formats_lose_nothing(ending, n_planes):
    raster = raster_of(n_planes)
    read = reading.from_file(rasters.to_bytes(raster, ending))
    assert np.array_equal(rasters.to_array(read), rasters.to_array(raster))


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff", "avif"])
def test_metadata_is_written(ending):
    raster = raster_of(3, icc=ICC, exif=RAW_EXIF, xmp=XMP)
    read = reading.from_file(rasters.to_bytes(raster, ending))
    assert read.icc == ICC
    assert read.xmp == XMP
    assert read.exif is not None
    assert b"Maker" in read.exif


def test_transparent_becomes_white_where_there_is_no_alpha():
    transparent = np.zeros((4, 4), np.uint8)
    raster = rasters.Raster(np.zeros((4, 4, 3), np.uint8), transparent)
    with pytest.warns(LossWarning, match="transparency, which is laid on white"):
        written = rasters.to_bytes(raster, "jpg")
    assert reading.from_file(written).pixels.min() > 250


@pytest.mark.filterwarnings("error")
def test_opaque_alpha_is_no_loss():
    raster = rasters.Raster(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 255, np.uint8))
    assert reading.from_file(rasters.to_bytes(raster, "jpg")).pixels.max() < 5


def test_metadata_too_long_for_jpeg_is_left_out():
    raster = raster_of(3, icc=ICC, exif=RAW_EXIF + bytes(70_000), xmp=XMP + b" " * 70_000)
    with pytest.warns(LossWarning, match=r"without EXIF of 70,\d+ bytes.*, XMP of 70,012"):
        read = reading.from_file(rasters.to_bytes(raster, "jpg"))
    assert (read.icc, read.exif, read.xmp) == (ICC, None, None)


def test_sides_too_long_for_a_format_are_refused():
    with pytest.raises(UsageError, match=r"at most 16383; write \.png"):
        rasters.to_bytes(raster_of(1, size=(16_384, 1)), "webp")


@pytest.mark.parametrize("ending", ["xyz", "lvx", "gif", "pdf"])
def test_other_endings_are_refused(ending):
    with pytest.raises(UsageError, match=r"\.png, \.jpg"):
        formats.find_format(ending)


def test_a_format_is_needed():
    with pytest.raises(UsageError, match="no format given"):
        formats.ending_of("picture")


def test_format_that_this_pillow_lacks(monkeypatch):
    monkeypatch.delitem(Image.SAVE, "AVIF")
    with pytest.raises(SystemFailure, match="AVIF"):
        rasters.to_bytes(raster_of(3), "avif")


def test_ending_is_read_in_any_case():
    assert formats.ending_of("A.B.JPG") == "jpg"
    assert formats.find_format("JPG") is formats.find_format(".jpeg")


def photo_exif():
    """EXIF as cameras write it: a maker, and the date in a directory of its own."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    return exif.tobytes().removeprefix(b"Exif\x00\x00")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff", "avif"])
def test_directories_of_exif_are_kept(ending):
    image = reopen(raster_of(3, exif=photo_exif()), ending)
    assert image.getexif()[0x010F] == "Maker"
    assert image.getexif().get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff", "avif"])
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # of Pillow, which reads it back
@pytest.mark.parametrize("position", range(8, 60, 4))
def test_broken_exif_costs_no_picture(ending, position):
    exif = bytearray(photo_exif())
    exif[position % len(exif)] ^= 0xFF
    raster = raster_of(3, exif=bytes(exif))
    assert reopen(raster, ending).size == reopen(raster_of(3), ending).size
