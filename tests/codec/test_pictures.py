"""Pictures to files and back, with the shipped weights."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox.codec import pictures
from luxvox.codec.picture.rasters import Raster
from luxvox.codec.quality import Quality
from luxvox.entropy.picture.visitors import CodesMeter, fixed_source
from luxvox.entropy.picture.walk import walk
from luxvox.errors import InputError, UsageError
from luxvox.models.picture.tiling import grid_shapes
from luxvox.models.picture.weights import picture_codec
from luxvox.tests.codec.picture_checks import describe, psnr, reseal


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 64), (1, 70), (32, 32)])
@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (4,)])
def test_round_trip_of_any_size_and_kind(photograph, size, shape):
    pixels = np.dstack([photograph, photograph[:, :, :1]])[: size[0], : size[1]]
    pixels = pixels[:, :, : shape[0]] if shape else pixels[:, :, 1]
    decoded = luxvox.decompress_image(luxvox.compress_image(pixels, 95))
    expected = pixels[:, :, 0] if shape == (1,) else pixels
    assert decoded.shape == expected.shape
    assert decoded.dtype == np.uint8
    assert psnr(decoded, expected) > 27
    if shape in ((2,), (4,)):
        np.testing.assert_array_equal(decoded[:, :, -1], expected[:, :, -1])


def test_the_same_pixels_give_the_same_bytes(photograph):
    pixels = photograph[:40, :50]
    data = luxvox.compress_image(pixels)
    assert luxvox.compress_image(np.asfortranarray(pixels)) == data
    assert luxvox.compress_image(Image.fromarray(pixels)) == data
    assert luxvox.compress_image(Raster(pixels)) == data
    assert luxvox.compress_image(pixels.astype(np.uint16) * 257) == data
    grey = luxvox.compress_image(pixels[:, :, 0])
    assert luxvox.compress_image(pixels[:, :, :1]) == grey


def test_the_highest_qualities_lose_less_and_less(photograph):
    picture = photograph[:64, :64]
    sizes, errors = [], []
    for quality in (90, 95, 100):
        data = luxvox.compress_image(picture, quality)
        sizes.append(len(data))
        errors.append(-psnr(luxvox.decompress_image(data), picture))
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)


def test_what_sixteen_bits_lose_is_said():
    samples = np.random.default_rng(0).integers(0, 65_536, (20, 30, 3)).astype(np.uint16)
    with pytest.warns(luxvox.LossWarning, match="samples of more than 8 bits are rounded to 8"):
        luxvox.compress_image(samples)


def test_input_is_left_alone(photograph):
    pixels = photograph[:33, :31].copy()
    pixels.flags.writeable = False
    luxvox.compress_image(pixels)
    np.testing.assert_array_equal(pixels, photograph[:33, :31])


@pytest.mark.parametrize("level", [0, 17, 128, 255])
def test_flat_pictures(level):
    pixels = np.full((50, 70, 3), level, np.uint8)
    data = luxvox.compress_image(pixels)
    assert len(data) < 200
    decoded = luxvox.decompress_image(data)
    assert np.abs(np.asarray(decoded).astype(int) - level).max() <= 8


def test_noise_survives():
    noise = np.random.default_rng(0).integers(0, 256, (70, 61, 3), np.uint8)
    for quality in (1, 100):
        assert (
            np.shape(luxvox.decompress_image(luxvox.compress_image(noise, quality))) == noise.shape
        )


def test_detail_alone_survives():
    """All coarse levels are null, so their sections are empty."""
    rows, columns = np.indices((64, 64))
    pattern = 128 + 60 * np.where((rows // 2 + columns // 2) % 2, 1, -1)
    pixels = np.repeat(pattern[:, :, None], 3, 2).astype(np.uint8)
    for quality in (20, 60, 100):
        decoded = luxvox.decompress_image(luxvox.compress_image(pixels, quality))
        assert np.shape(decoded) == pixels.shape


def test_metadata_comes_back_unless_stripped(photograph):
    profile, xmp = b"profile" * 20, b"<x:xmpmeta/>"
    raster = Raster(photograph[:20, :20], None, profile, b"II*\0" + bytes(20), xmp)
    decoded = pictures.decompress_raster(luxvox.compress_image(raster))
    assert (decoded.icc, decoded.exif, decoded.xmp) == (raster.icc, raster.exif, raster.xmp)
    with pytest.warns(luxvox.LossWarning, match="colours may look different"):
        data = luxvox.compress_image(raster, strip=True)
    bare = pictures.decompress_raster(data)
    assert (bare.icc, bare.exif, bare.xmp) == (None, None, None)
    np.testing.assert_array_equal(bare.pixels, decoded.pixels)


def test_as_pil(small_file):
    image = luxvox.decompress_image(small_file, as_pil=True)
    assert isinstance(image, Image.Image)
    assert (image.mode, image.size) == ("RGBA", (80, 144))
    np.testing.assert_array_equal(np.asarray(image), luxvox.decompress_image(small_file))


def test_quality_is_monotone_in_bits_and_psnr(photograph):
    qualities = [1, 20, 40, 50, 60, 80, 100]
    files = [luxvox.compress_image(photograph, quality) for quality in qualities]
    sizes = [len(data) for data in files]
    assert sizes == sorted(set(sizes))
    figures = [psnr(luxvox.decompress_image(data), photograph) for data in files]
    assert figures == sorted(set(figures))
    assert figures[0] > 20 and figures[-1] > 42


def test_each_section_improves_the_picture(small_file, photograph):
    pixels = photograph[40:184, 40:120]
    figures = []
    for n_sections in (1, 2, 3, 4, 5, 6, 9):
        decoded = luxvox.decompress_image(small_file, n_sections)
        figures.append(psnr(decoded[:, :, :3], pixels))
        assert np.unique(decoded[:, :, 3]).tolist() == [7]
    assert figures[:6] == sorted(set(figures[:6]))
    np.testing.assert_array_equal(
        luxvox.decompress_image(small_file, 9), luxvox.decompress_image(small_file)
    )


@pytest.mark.parametrize("n_sections", [0, -1])
def test_no_sections_are_refused(small_file, n_sections):
    with pytest.raises(UsageError, match="legal: 1 or more"):
        luxvox.decompress_image(small_file, n_sections)


def test_too_many_pixels_are_refused_before_any_work(tiny_file):
    luxvox.decompress_image(tiny_file, max_pixels=32 * 40)
    with pytest.raises(InputError, match="40×32 pixels are over the limit of 1279"):
        luxvox.decompress_image(tiny_file, max_pixels=32 * 40 - 1)
    with pytest.raises(InputError, match="over the limit"):
        luxvox.decompress_image(reseal(tiny_file, width=2**15, height=2**15))
    with pytest.raises(InputError, match="over the limit"):
        luxvox.codes(reseal(tiny_file, width=2**15, height=2**15))


def test_pictures_over_the_format_limit_are_refused():
    pixels = np.broadcast_to(np.zeros(3, np.uint8), (2**15, 2**15 + 1, 3))
    with pytest.raises(InputError, match=r"over the limit of 2\^30"):
        luxvox.compress_image(Raster(pixels))


@pytest.mark.parametrize("quality", [0, 0.99, 100.01, -5, float("inf")])
def test_qualities_out_of_range_are_refused(quality):
    with pytest.raises(UsageError, match=r"out of range, legal: 1\.\.100"):
        luxvox.compress_image(np.zeros((2, 2), np.uint8), quality)


def test_a_quality_that_is_no_number_is_refused():
    with pytest.raises(UsageError, match="quality has to be a number, not float nan"):
        luxvox.compress_image(np.zeros((2, 2), np.uint8), float("nan"))


@pytest.mark.parametrize(
    "pixels", [[[1, 2]], None, np.zeros((2, 2)), np.zeros((0, 5, 3), np.uint8)]
)
def test_other_arguments_are_refused(pixels):
    with pytest.raises(UsageError):
        luxvox.compress_image(pixels)


def test_unknown_coders_are_refused():
    with pytest.raises(UsageError, match="coder 'huffman' is unknown, legal: constriction"):
        luxvox.compress_image(np.zeros((2, 2), np.uint8), coder="huffman")


def test_progress_rises_to_one(photograph):
    encoding: list[float] = []
    decoding: list[float] = []
    data = luxvox.compress_image(photograph, progress=encoding.append)
    luxvox.decompress_image(data, progress=decoding.append)
    for shares in (encoding, decoding):
        assert shares == sorted(shares)
        assert shares[0] >= 0.0 and shares[-1] == pytest.approx(1.0)


def test_codes_are_those_of_the_picture(small_file):
    codes = luxvox.codes(small_file)
    assert {level: array.shape[1:] for level, array in codes.items()} == {
        "apex": (3, 2),
        "top": (6, 4),
        "base": (12, 8),
        "detail": (24, 16),
    }
    assert all(array.dtype == np.int16 and array.any() for array in codes.values())
    again = luxvox.codes(small_file)
    assert all((again[level] == array).all() for level, array in codes.items())


def test_tuning_for_psnr_gains_psnr_at_the_same_size(photograph):
    psnrs = {}
    for tune in ("eye", "psnr"):
        data = luxvox.compress_image(photograph, size=3000, tune=tune)
        psnrs[tune] = psnr(luxvox.decompress_image(data), photograph)
    assert psnrs["psnr"] > psnrs["eye"]


@pytest.mark.parametrize(("quality", "tune"), [(20, "eye"), (50, "psnr"), (80, "eye")])
def test_saving_again_loses_almost_nothing(photograph, quality, tune):
    """A decoded picture is coded to the codes it came from; only pixels next to padding differ."""
    psnrs = []
    picture = photograph
    for effort in (5, 5, 1, 7, 5):
        data = luxvox.compress_image(picture, quality, tune=tune, effort=effort)
        picture = luxvox.decompress_image(data)
        psnrs.append(psnr(picture, photograph))
    assert all(after > before - 0.1 for before, after in itertools.pairwise(psnrs))
    assert psnrs[-1] > psnrs[0] - 0.15


def test_saving_at_another_quality_codes_again(photograph):
    decoded = luxvox.decompress_image(luxvox.compress_image(photograph, 50))
    sizes = [len(luxvox.compress_image(decoded, quality)) for quality in (45, 50, 55)]
    assert sizes == sorted(sizes)


def test_unknown_tunings_are_refused():
    with pytest.raises(UsageError, match="tune 'ear' is unknown, legal: eye, psnr"):
        luxvox.compress_image(np.zeros((2, 2), np.uint8), tune="ear")


def test_inspect_returns_the_fields_of_the_header(small_file):
    info = describe(small_file)
    assert (info.kind, info.width, info.height, info.channels) == ("picture", 80, 144, 4)
    assert (info.quality, info.coder, info.bytes) == (90.0, "constriction", len(small_file))
    assert info.rate_bpp == pytest.approx(8 * len(small_file) / 11520)
    assert [section.name for section in info.sections][-1] == "alpha"
    assert info.damage == ""
    assert describe(small_file[:-1]).damage


@pytest.mark.parametrize("quality", [5, 50, 95])
def test_overhead_of_a_small_picture(photograph, quality):
    """Everything in a file of 64×64 pixels except the cross-entropy of its codes.

    The range coder may lose a thousandth of that.
    """
    data = luxvox.compress_image(photograph[64:128, 64:128], quality)
    codec, codes = picture_codec(), luxvox.codes(data)
    meter = CodesMeter(fixed_source(codes))
    walk(codec.context, grid_shapes(64, 64), Quality.of(quality).log_step_int, meter)
    assert len(data) - 1.001 * sum(meter.bits.values()) / 8 < 32


def test_qualities_map_to_log_steps():
    assert Quality.of(50) == Quality(5000)
    assert Quality.of(12.345) == Quality(1235)
    log_steps = [Quality(hundredths).log_step_int for hundredths in range(100, 10_001)]
    assert (log_steps[0], log_steps[-1]) == (127, -127)
    assert log_steps == sorted(log_steps, reverse=True)
    exact = 127 - 254 * (np.arange(100, 10_001) - 100) / 9900
    assert np.abs(log_steps - exact).max() <= 0.5
    floats = [Quality(hundredths).log_step for hundredths in range(100, 10_001)]
    np.testing.assert_allclose(floats, exact / 127)


def test_files_from_all_modes_of_pillow():
    ramp = np.arange(48 * 40, dtype=np.uint32).reshape(48, 40)
    sixteen = Image.fromarray((ramp * 34).astype(np.uint16))
    with pytest.warns(luxvox.LossWarning, match="rounded to 8"):
        decoded = luxvox.decompress_image(luxvox.compress_image(sixteen, 95))
    assert np.shape(decoded) == (48, 40)
    assert psnr(decoded, np.round(ramp * 34 / 257)) > 30
    palette = Image.fromarray((ramp // 8).astype(np.uint8)).convert("P")
    assert np.shape(luxvox.decompress_image(luxvox.compress_image(palette)))[:2] == (48, 40)
    stream = io.BytesIO()
    Image.new("CMYK", (40, 48), (10, 200, 30, 5)).save(stream, "TIFF")
    cmyk = luxvox.compress_image(Image.open(stream))
    assert np.shape(luxvox.decompress_image(cmyk)) == (48, 40, 3)
