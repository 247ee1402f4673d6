"""Colours of picture files: gamma, chromaticities, code points and profiles are respected."""

import struct

import numpy as np
import pytest
from PIL import ImageCms

from luxvox.codec.picture import rasters, reading
from luxvox.codec.picture.files.colour import Colours, icc_profile, to_srgb
from luxvox.tests.codec.picture.picture_files import (
    ADOBE,
    SRGB,
    chunk,
    encode_srgb,
    file_of,
    photograph,
    show,
    with_chunk,
)


@pytest.mark.parametrize("gamma", [1.0, 1 / 1.8, 1 / 2.6])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_gamma_of_a_png_is_shown(gamma, mode):
    pixels = photograph() if mode == "RGB" else photograph()[:, :, 0]
    data = with_chunk(file_of(pixels, "PNG"), chunk(b"gAMA", struct.pack(">I", round(1e5 * gamma))))
    raster = reading.from_file(data)
    expected = 255 * encode_srgb((np.atleast_3d(pixels) / 255) ** (1 / gamma))
    assert np.abs(show(raster) - expected).mean() < 1.5


def test_chromaticities_of_a_png_are_shown():
    numbers = [round(1e5 * value) for point in ((0.3127, 0.329), *ADOBE) for value in point]
    data = with_chunk(
        file_of(photograph(), "PNG"),
        chunk(b"gAMA", struct.pack(">I", 45_455)),
        chunk(b"cHRM", struct.pack(">8I", *numbers)),
    )
    assert np.abs(show(reading.from_file(data)) - photograph()).max() > 20
    green = np.full((2, 2, 3), (60, 200, 60), np.uint8)
    profile = reading.from_file(data).icc
    assert profile is not None
    shown = to_srgb(green, profile)
    assert shown is not None
    assert shown[0, 0, 1] >= green[0, 0, 1]
    assert shown[0, 0, 0] < green[0, 0, 0]


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk(b"gAMA", struct.pack(">I", 45_455))],
        [chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 100_000))],
        [chunk(b"cICP", bytes((1, 13, 0, 1))), chunk(b"gAMA", struct.pack(">I", 100_000))],
        [chunk(b"cHRM", bytes(32))],
        [],
    ],
    ids=["usual gamma", "sRGB", "cICP before gAMA", "no colours", "nothing"],
)
def test_srgb_needs_no_profile(chunks):
    assert reading.from_file(with_chunk(file_of(photograph(), "PNG"), *chunks)).icc is None


def test_code_points_of_a_png_are_shown():
    data = with_chunk(file_of(photograph(), "PNG"), chunk(b"cICP", bytes((12, 13, 0, 1))))
    raster = reading.from_file(data)
    expected = to_srgb(
        photograph(), icc_profile(Colours(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))), False)
    )
    assert expected is not None
    assert np.array_equal(show(raster), expected)
    assert np.abs(show(raster) - photograph()).max() > 10


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_code_points_are_noted(transfer):
    data = with_chunk(file_of(photograph(), "PNG"), chunk(b"cICP", bytes((9, transfer, 0, 1))))
    assert "HDR" in reading.from_file(data).notes[0]


def test_profile_of_the_curve_of_srgb_changes_nothing():
    converted = to_srgb(photograph(), icc_profile(Colours(SRGB), False))
    assert converted is not None
    assert np.abs(converted.astype(int) - photograph()).max() <= 1


def test_strip_converts_wide_colours():
    wide = icc_profile(Colours(ADOBE, gamma=2.2), False)
    raster = rasters.Raster(photograph(), icc=wide, exif=b"II*\0", xmp=b"<x/>")
    bare = rasters.strip_metadata(raster)
    assert (bare.icc, bare.exif, bare.xmp) == (None, None, None)
    expected = to_srgb(photograph(), wide)
    assert expected is not None
    assert np.array_equal(bare.pixels, expected)
    assert "converted to sRGB" in bare.notes[0]


def test_strip_of_srgb_changes_no_pixel():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    bare = rasters.strip_metadata(rasters.Raster(photograph(), icc=srgb))
    assert np.array_equal(bare.pixels, photograph())
    assert bare.notes == ()


def test_strip_of_a_broken_profile_is_noted():
    bare = rasters.strip_metadata(rasters.Raster(photograph(), icc=b"no profile"))
    assert np.array_equal(bare.pixels, photograph())
    assert "colours may look different" in bare.notes[0]
