"""Profiles that take no bytes: which ones are recognised, and that they come back."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

import luxvox
from luxvox.codec import pictures
from luxvox.codec.picture.files.colour import Colours, icc_profile
from luxvox.codec.picture.profiles import load_profile, profile_number
from luxvox.codec.picture.rasters import Raster

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "eileen_collins.png"


def test_profiles_that_mean_srgb():
    with Image.open(EXAMPLE) as image:
        embedded = image.info["icc_profile"]
    pillows = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert [profile_number(profile) for profile in (embedded, pillows, load_profile(1))] == [
        1,
        1,
        1,
    ]
    assert profile_number(load_profile(2)) == 2


def test_other_profiles_are_kept():
    wide = Colours(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), gamma=2.2)
    steep = Colours(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), gamma=1.8)
    grey = icc_profile(steep, is_grey=True)
    for icc in (icc_profile(wide, False), icc_profile(steep, False), grey, b"junk" * 9, b"", None):
        assert profile_number(icc) == 0
    assert load_profile(0) is None


@pytest.mark.parametrize("number", [1, 2])
def test_a_named_profile_takes_no_byte_and_comes_back(number):
    pixels = np.full((9, 9, 3), 90, np.uint8)
    icc = load_profile(number)
    assert icc is not None
    data = luxvox.compress_image(Raster(pixels, icc=icc))
    assert len(data) == len(luxvox.compress_image(pixels))
    assert pictures.decompress_raster(data).icc == icc
    info = luxvox.inspect(data)
    assert isinstance(info, luxvox.FileInfo)
    assert info.profile == ["sRGB", "Display P3"][number - 1]
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    assert ImageCms.getProfileDescription(profile).strip() == info.profile
