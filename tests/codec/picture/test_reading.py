"""Picture files of every kind are read whole and upright, read with a note, or refused."""

import functools
import importlib.util
import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from luxvox.codec.picture import rasters, reading
from luxvox.codec.picture.files import jpeg_xl
from luxvox.codec.picture.files.exif import resolution_of
from luxvox.codec.picture.files.metadata import turn_upright
from luxvox.errors import InputError, SystemFailure
from luxvox.tests.codec.picture.picture_files import (
    HEIGHT,
    RAMP,
    WIDTH,
    chunk,
    file_of,
    photograph,
    png,
    with_chunk,
)

DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


# Transparent colours


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("pil", [False, True], ids=["file", "image"])
def test_transparent_grey(bits, pil):
    top = (1 << bits) - 1
    values = np.arange(64 * 16).reshape(16, 64) * 7 % (top + 1)
    key = int(values[3, 5])
    packed = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(16, 64, 2), axis=2)
    rows = np.packbits(packed[:, :, 16 - bits :].reshape(16, -1), axis=1)
    data = png(rows, bits, 0, chunk(b"tRNS", struct.pack(">H", key)))
    raster = rasters.from_pil(Image.open(io.BytesIO(data))) if pil else reading.from_file(data)
    assert raster.alpha is not None
    assert np.array_equal(raster.alpha == 0, values == key)
    assert np.abs(raster.pixels[:, :, 0] - values * 255 / top).max() <= 0.5


def test_only_the_exact_colour_of_16_bits_is_transparent():
    samples = np.random.default_rng(0).integers(0, 65_536, (16, 24, 3)).astype(">u2")
    samples[0, 1] = samples[0, 0] ^ 1  # differs in the low byte alone
    rows = samples.reshape(16, -1).view(np.uint8)
    data = png(rows, 16, 2, chunk(b"tRNS", samples[0, 0].tobytes()))
    raster = reading.from_file(data)
    assert raster.alpha is not None
    assert np.argwhere(raster.alpha == 0).tolist() == [[0, 0]]


# Metadata


def gain_map_xmp(quote="'", prefix="hdrgm"):
    q = quote
    return (
        f"<x:xmpmeta xmlns:x={q}adobe:ns:meta/{q}><rdf:Description"
        f" xmlns:{prefix}={q}http://ns.adobe.com/hdr-gain-map/1.0/{q}"
        f" xmlns:Container={q}http://ns.google.com/photos/1.0/container/{q}"
        f" xmlns:Item={q}http://ns.google.com/photos/1.0/container/item/{q}"
        f" xmlns:dc={q}http://purl.org/dc/elements/1.1/{q}"
        f" {prefix}:Version={q}1.0{q} dc:title={q}kept{q}>"
        "<Container:Directory><rdf:Seq><rdf:li>"
        f"<Container:Item Item:Semantic={q}Primary{q}/></rdf:li><rdf:li>"
        f"<Container:Item Item:Semantic={q}GainMap{q} Item:Length={q}999{q}/></rdf:li></rdf:Seq>"
        "</Container:Directory></rdf:Description></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("prefix", ["hdrgm", "gm"])
def test_gain_map_is_no_longer_claimed(quote, prefix):
    data = file_of(photograph(), "JPEG", xmp=gain_map_xmp(quote, prefix))
    raster = reading.from_file(data)
    assert raster.notes == ("its gain map (HDR) is not kept",)
    assert raster.xmp is not None
    assert b"GainMap" not in raster.xmp
    assert b"gain-map" not in raster.xmp
    assert b"kept" in raster.xmp


def test_film_of_a_moving_photograph_is_noted():
    xmp = b"<x xmlns:GCamera='http://ns.google.com/photos/1.0/camera/' GCamera:MotionPhoto='1'/>"
    raster = reading.from_file(file_of(photograph(), "JPEG", xmp=xmp))
    assert raster.notes == ("its film is not kept",)
    assert b"MotionPhoto" not in (raster.xmp or b"")


def test_size_tags_follow_the_turn():
    exif = Image.Exif()
    exif[0x0112], exif[0x0100], exif[0x0101] = 6, WIDTH, HEIGHT
    exif.get_ifd(0x8769).update({0xA002: WIDTH, 0xA003: HEIGHT})
    xmp = (
        f"<x tiff:Orientation='6' tiff:ImageWidth='{WIDTH}' exif:PixelXDimension='{WIDTH}'"
        f" exif:PixelYDimension='{HEIGHT}'/>"
    )
    raster = reading.from_file(file_of(photograph(), "JPEG", exif=exif, xmp=xmp.encode()))
    read = Image.Exif()
    read.load(raster.exif or b"")
    assert (read[0x0100], read[0x0101]) == (HEIGHT, WIDTH)
    assert (read.get_ifd(0x8769)[0xA002], read.get_ifd(0x8769)[0xA003]) == (HEIGHT, WIDTH)
    assert b"exif:PixelXDimension='%d' exif:PixelYDimension='%d'" % (HEIGHT, WIDTH) in (
        raster.xmp or b""
    )


@pytest.mark.parametrize(
    ("orientation", "expected"), [(1, (300, 150)), (3, (300, 150)), (6, (150, 300))]
)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("ending", ["png", "jpg", "tiff", "bmp"])
@pytest.mark.filterwarnings("ignore:.bmp is written without EXIF")
def test_resolution_is_kept(orientation, expected, format, ending):
    exif = Image.Exif()
    exif[0x0112] = orientation
    raster = reading.from_file(file_of(photograph(), format, exif=exif, dpi=(300, 150)))
    assert raster.exif is not None
    assert resolution_of(raster.exif) == pytest.approx(expected, rel=1e-3)
    written = Image.open(io.BytesIO(rasters.to_bytes(raster, ending)))
    assert [float(value) for value in written.info["dpi"]] == pytest.approx(expected, rel=1e-2)


def test_usual_resolution_costs_nothing():
    assert reading.from_file(file_of(photograph(), "JPEG", dpi=(72, 72))).exif is None
    assert reading.from_file(file_of(photograph(), "PNG")).exif is None


def test_resolution_joins_the_exif_that_is_there():
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    raster = reading.from_file(file_of(photograph(), "PNG", exif=exif, dpi=(600, 600)))
    read = Image.Exif()
    read.load(raster.exif or b"")
    assert read[0x010F] == "Maker"
    assert read.get_ifd(0x8769)[0x9003] == "2020:01:02 03:04:05"
    assert float(read[0x011A]) == pytest.approx(600, rel=1e-3)


@functools.cache  # it states when it was made
def large_profile():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    padded = srgb + np.random.default_rng(0).bytes(2_000_000)
    return struct.pack(">I", len(padded)) + padded[4:]


def test_long_profile_of_a_png_is_read():
    compressed = b"profile\0\0" + zlib.compress(large_profile())
    data = with_chunk(file_of(photograph(), "PNG"), chunk(b"iCCP", compressed))
    raster = reading.from_file(data)
    assert raster.icc == large_profile()
    assert np.array_equal(raster.pixels, photograph())


@pytest.mark.parametrize(
    "payload",
    [
        (b"zTXt", b"word\0\0" + zlib.compress(bytes(3_000_000))),
        (b"iTXt", b"word\0\1\0en\0wort\0" + zlib.compress(bytes(3_000_000))),
    ],
)
def test_long_texts_of_a_png_are_left_out(payload):
    raster = reading.from_file(with_chunk(file_of(photograph(), "PNG"), chunk(*payload)))
    assert np.array_equal(raster.pixels, photograph())
    assert raster.notes == ("1 long texts are left out",)


def test_long_profile_is_not_written_to_a_png():
    raster = rasters.Raster(photograph(), icc=large_profile())
    with pytest.warns(UserWarning, match=r"\.png is written without its ICC profile"):
        data = rasters.to_bytes(raster, "png")
    assert "icc_profile" not in Image.open(io.BytesIO(data)).info
    assert reading.from_file(rasters.to_bytes(raster, "webp")).icc == large_profile()


# Files that are cut, and files of other kinds


FRAMES = [Image.fromarray(photograph()[::step]).resize((24, 16)) for step in (1, -1)]


@pytest.mark.parametrize(
    ("format", "name"), [("GIF", "frame"), ("PNG", "frame"), ("WEBP", "frame"), ("MPO", "picture")]
)
def test_frames_left_out_are_noted(format, name):
    stream = io.BytesIO()
    FRAMES[0].save(stream, format, save_all=True, append_images=FRAMES[1:])
    expected = (f"only {name} 1 of 2 is kept",)
    assert reading.from_file(stream.getvalue()).notes == expected
    assert rasters.from_pil(Image.open(stream)).notes == expected


def test_depth_left_out_is_noted():
    raster = reading.from_file(file_of((RAMP * 257).astype(np.uint16), "PNG"))
    assert raster.notes == ("samples of more than 8 bits are rounded to 8",)


def test_dark_16_bits_are_noted():
    """They may be arrays of 8 or 12 bits in a wider type."""
    assert "the result is dark" in rasters.from_array(RAMP.astype(np.uint16)).notes[0]
    assert rasters.from_array((RAMP * 257).astype(np.uint16)).notes == ()
    assert rasters.from_array(np.zeros((2, 2), np.uint16)).notes == ()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"fLaC" + bytes(40), r"a recording \(FLAC\)"),
        (b"RIFF\0\0\0\0WAVEfmt " + bytes(40), r"a recording \(WAV\)"),
        (b"\0\0\0\x20ftypM4A " + bytes(40), r"a recording \(MPEG-4"),
        (b"FUJIFILMCCD-RAW " + bytes(40), "camera raw"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(40), "camera raw"),
        (b"IIU\0" + bytes(40), "camera raw"),
        (b"%PDF-1.7 " + bytes(40), "a PDF document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\x89LVX" + bytes(40), r"an \.lvx file"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "damaged, or a kind of JPEG"),
        (b"\0\0\0\x1cftypavif" + bytes(40), "damaged, or a kind of AVIF"),
        (b"RIFF\0\0\0\0WEBP" + bytes(40), "damaged, or a kind of WebP|damaged picture"),
        (b"hello", "not a picture"),
        (b"", "not a picture"),
    ],
)
def test_other_files_are_called_by_their_kind(head, words):
    with pytest.raises(InputError, match=words):
        reading.from_file(head)


def bitmap(alpha):
    """A BMP whose header says that it has alpha."""
    samples = np.dstack([photograph()[::-1, :, ::-1], np.full((HEIGHT, WIDTH), alpha, np.uint8)])
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    sizes = struct.pack("<IiiHHIIiiII", 108, WIDTH, HEIGHT, 1, 32, 3, samples.size, 0, 0, 0, 0)
    header = (sizes + masks).ljust(108, b"\0")
    return b"BM" + struct.pack("<IHHI", 122 + samples.size, 0, 0, 122) + header + samples.tobytes()


def test_alpha_that_hides_everything_is_ignored():
    raster = reading.from_file(bitmap(0))
    assert np.array_equal(raster.pixels, photograph())
    assert raster.alpha is None
    assert raster.notes == ("its alpha would hide all of it, and is left out",)
    translucent = reading.from_file(bitmap(100))
    assert translucent.alpha is not None
    assert (translucent.alpha == 100).all()
    assert translucent.notes == ()


def test_a_picture_that_is_transparent_everywhere_is_noted():
    data = file_of(np.dstack([photograph(), np.zeros((HEIGHT, WIDTH), np.uint8)]), "PNG")
    raster = reading.from_file(data)
    assert raster.alpha is not None
    assert raster.notes == ("it is transparent everywhere, so its colours are not kept",)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "I;16"])
def test_pictures_that_follow_in_a_map_are_noted(mode):
    image = Image.new(mode, (13, 7))
    stream = io.BytesIO()
    image.save(stream, "PPM")
    data = stream.getvalue()
    assert "only the first of several pictures is kept" not in reading.from_file(data).notes
    assert "only the first of several pictures is kept" in reading.from_file(data + data).notes


def test_bitmaps_of_16_bits_a_pixel_are_not_deep():
    image = bytearray(bitmap(0)[:122])
    image[28:30], image[14:18] = struct.pack("<H", 16), struct.pack("<I", 108)
    image[54:70] = struct.pack("<4I", 0xF800, 0x7E0, 0x1F, 0)
    assert reading.from_file(bytes(image) + bytes(2 * WIDTH * HEIGHT)).notes == ()


# What phones write


def has(package):
    return importlib.util.find_spec(package) is not None


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.skipif(not has("pillow_heif"), reason="needs pillow-heif")
def test_heic_is_read_upright_once(orientation):
    import pillow_heif

    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    stream = io.BytesIO()
    heif = pillow_heif.from_pillow(Image.fromarray(photograph(64, 48)))
    heif.save(stream, quality=100, chroma=444, exif=exif.tobytes())
    raster = reading.from_file(stream.getvalue())
    expected = turn_upright(photograph(64, 48), orientation)
    assert raster.pixels.shape == expected.shape
    assert np.abs(raster.pixels.astype(int) - expected).mean() < 4
    assert raster.exif is not None
    assert b"Maker" in raster.exif
    assert raster.notes == ()


@pytest.mark.skipif(not has("pillow_jxl"), reason="needs pillow-jxl-plugin")
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("from_jpeg", [False, True])
def test_jpeg_xl_is_read_upright_once(orientation, from_jpeg, tmp_path):
    import pillow_jxl  # noqa: F401

    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(photograph(64, 48))
    path = tmp_path / "a.jxl"
    if from_jpeg:
        image.save(tmp_path / "a.jpg", quality=95, exif=exif)
        image = Image.open(tmp_path / "a.jpg")
    image.save(path, lossless=True, lossless_jpeg=from_jpeg, exif=exif.tobytes())
    raster = reading.from_file(path)
    expected = turn_upright(photograph(64, 48), orientation if from_jpeg else 1)
    assert raster.pixels.shape == expected.shape
    assert np.abs(raster.pixels.astype(int) - expected).mean() < 6


@pytest.mark.skipif(not has("pillow_jxl"), reason="needs pillow-jxl-plugin")
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (64, 48), (256, 256), (300, 200), (1000, 7)])
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"])
def test_size_of_jpeg_xl_is_known_before_it_is_decoded(size, exif, tmp_path):
    import pillow_jxl  # noqa: F401

    path = tmp_path / "a.jxl"
    Image.new("RGB", size).save(path, exif=exif)
    with path.open("rb") as stream:
        assert jpeg_xl.size_of(stream) == size
    with pytest.raises(InputError, match="at most"):
        reading.from_file(path, max_pixels=size[0] * size[1] - 1)


@pytest.mark.skipif(not has("pillow_jxl"), reason="needs pillow-jxl-plugin")
def test_jpeg_xl_whose_size_is_hidden_is_refused(tmp_path):
    import pillow_jxl  # noqa: F401

    Image.new("RGB", (64, 48)).save(tmp_path / "a.jxl")
    codestream = (tmp_path / "a.jxl").read_bytes()
    boxes = b"\0\0\0\x08free" * 1000 + b"\0\0\0\0jxlc" + codestream
    path = tmp_path / "b.jxl"
    path.write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl " + boxes)
    with pytest.raises(InputError, match="does not say how large"):
        reading.from_file(path)


@pytest.mark.parametrize(
    ("head", "kind", "package"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "pillow_heif"),
        (b"\xff\x0a" + bytes(30), "JPEG XL", "pillow_jxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30), "JPEG XL", "pillow_jxl"),
    ],
)
def test_without_its_package_the_extra_is_named(head, kind, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("HEIF", "JXL"):
        monkeypatch.setattr(Image, "ID", [form for form in Image.ID if form != name])
    with pytest.raises(SystemFailure, match=rf"{kind}.*luxvox\[formats\]"):
        reading.from_file(head + bytes(40))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "TGA"])
def test_cut_files_are_refused_even_if_pillow_may_load_them(kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = file_of(photograph(), kind)
    with pytest.raises(InputError):
        reading.from_file(data[: len(data) * 6 // 10])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize(
    "data",
    [
        b"P6 1 1 65535\n" + bytes(6),
        b"P6 1 1 1023\n" + bytes(6),
        b"P5 1 1 1023\n" + bytes(2),
        b"P3 1 1 1023\n 5 5 5\n",
        b"Pf\n1 1\n-1.0\n" + bytes(4),
        file_of(np.zeros((2, 3, 3), np.uint8), "SGI", bpc=2),
    ],
)
def test_more_than_8_bits_are_noted_in_rare_formats(data):
    assert "samples of more than 8 bits are rounded to 8" in reading.from_file(data).notes


def test_8_bits_of_a_map_are_not_noted():
    assert reading.from_file(b"P6 1 1 255\n" + bytes(3)).notes == ()
