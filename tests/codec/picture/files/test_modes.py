"""Every mode of Pillow becomes the grey or RGB that a viewer would show."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from luxvox.codec.picture import rasters
from luxvox.codec.picture.files import modes
from luxvox.errors import InputError


def ramp(shape=(4, 8)):
    return np.linspace(0, 255, int(np.prod(shape))).astype(np.uint8).reshape(shape)


@pytest.mark.parametrize(
    ("mode", "shape"),
    [
        ("1", (4, 8)),
        ("L", (4, 8)),
        ("LA", (4, 8, 2)),
        ("P", (4, 8, 3)),
        ("PA", (4, 8, 4)),
        ("RGB", (4, 8, 3)),
        ("RGBA", (4, 8, 4)),
        ("RGBX", (4, 8, 3)),
        ("La", (4, 8, 2)),
        ("RGBa", (4, 8, 4)),
        ("CMYK", (4, 8, 3)),
        ("YCbCr", (4, 8, 3)),
        ("HSV", (4, 8, 3)),
        ("LAB", (4, 8, 3)),
        ("I", (4, 8)),
        ("I;16", (4, 8)),
        ("I;16B", (4, 8)),
        ("F", (4, 8)),
    ],
)
def test_shape_of_each_mode(mode, shape):
    assert modes.samples_of(Image.new(mode, (8, 4)))[0].shape == shape


def test_bits_are_black_and_white():
    samples, _ = modes.samples_of(Image.fromarray(ramp() > 100))
    assert set(samples.flat) == {0, 255}


def test_palette_with_transparency_gets_alpha():
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    assert modes.samples_of(image)[0].tolist() == [[[255, 0, 0, 255], [0, 0, 255, 0]]]


def test_transparent_colour_gets_alpha():
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    image.info["transparency"] = (1, 2, 3)
    assert rasters.to_array(rasters.from_pil(image))[0, :, 3].tolist() == [0, 255]


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bits_survive_until_they_are_rounded(byte_order):
    values = np.array([[0, 127, 128, 129, 385, 386, 65535]], f"{byte_order}u2")
    image = Image.fromarray(values)
    assert np.array_equal(modes.samples_of(image)[0], values)
    assert rasters.from_pil(image).pixels[0, :, 0].tolist() == [0, 0, 0, 1, 1, 2, 255]


def test_thirty_two_bits_are_clipped_to_sixteen():
    image = Image.fromarray(np.array([[-5, 0, 257, 65535, 70000]], np.int32))
    samples, notes = modes.samples_of(image)
    assert samples.tolist() == [[0, 0, 257, 65535, 65535]]
    assert "2 samples are beyond" in notes[0]


@pytest.mark.parametrize(("top", "expected"), [(1.0, [0, 128, 255]), (255.0, [0, 128, 255])])
def test_reals_are_scaled_by_their_range(top, expected):
    image = Image.fromarray(np.array([[0, top * 128 / 255, top]], np.float32))
    assert rasters.from_pil(image).pixels[0, :, 0].tolist() == expected


def test_reals_that_are_not_finite():
    image = Image.fromarray(np.array([[np.nan, np.inf, -np.inf, 3]], np.float32))
    assert rasters.from_pil(image).pixels[0, :, 0].tolist() == [0, 255, 0, 3]


def test_inks_without_profile():
    raster = rasters.from_pil(Image.new("CMYK", (1, 1), (255, 0, 0, 0)))
    assert raster.pixels[0, 0].tolist() == [0, 255, 255]


def test_inks_with_a_broken_profile_are_converted_plainly_and_lose_it():
    image = Image.new("CMYK", (1, 1), (0, 0, 0, 255))
    image.info["icc_profile"] = b"no profile at all"
    raster = rasters.from_pil(image)
    assert raster.pixels[0, 0].tolist() == [0, 0, 0]
    assert raster.icc is None


def test_inks_with_a_profile_for_other_colours():
    image = Image.new("CMYK", (1, 1), (255, 0, 0, 0))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert rasters.from_pil(image).pixels[0, 0].tolist() == [0, 255, 255]


def test_lab_white_is_white():
    assert rasters.from_pil(Image.new("LAB", (1, 1), (255, 128, 128))).pixels.min() > 250


def test_unknown_mode_is_refused():
    image = Image.new("L", (1, 1))
    image._mode = "XYZ"
    with pytest.raises(InputError, match="XYZ"):
        modes.samples_of(image)
