"""Pictures at a given size, rate or PSNR, and at any effort."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox.codec import pictures
from luxvox.codec.picture import rates
from luxvox.codec.picture.rasters import Raster
from luxvox.errors import LossWarning, TargetWarning, UsageError
from luxvox.models.cards import use_weights

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "eileen_collins.png"
TINY = Path(__file__).resolve().parents[1] / "golden" / "weights"


@pytest.fixture(scope="module")
def photograph():
    with Image.open(EXAMPLE) as image:
        return np.asarray(image.convert("RGB"))[60:156, 180:276].copy()


def psnr(decoded, original):
    return 10 * np.log10(255**2 / np.square(decoded.astype(np.float64) - original).mean())


@pytest.mark.parametrize("bpp", [0.25, 0.9])
def test_rate(photograph, bpp):
    data = luxvox.compress_image(photograph, bpp=bpp, effort=1)
    assert 8 * len(data) / (96 * 96) == pytest.approx(bpp, rel=0.02)


@pytest.mark.parametrize(("size", "effort"), [(400, 5), (1500, 1)])
def test_size_is_never_exceeded(photograph, size, effort):
    raster = Raster(photograph, None, b"profile" * 9)
    data = luxvox.compress_image(raster, size=size, effort=effort)
    assert 0.98 * size <= len(data) <= size
    assert pictures.decompress_raster(data).icc == raster.icc


@pytest.mark.parametrize(("psnr_db", "channels"), [(30.0, 3), (34.5, 1)])
def test_psnr(photograph, psnr_db, channels):
    pixels = photograph if channels == 3 else photograph[:, :, 1]
    decoded = luxvox.decompress_image(luxvox.compress_image(pixels, psnr=psnr_db, effort=4))
    assert psnr(decoded, pixels) == pytest.approx(psnr_db, abs=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 30}, r"30 bytes is out of reach for this picture, which takes \d+ to \d+$"),
        ({"bpp": 20}, r"20 bits a pixel is out of reach .* takes 0\.\d{3} to \d+\.\d{3}$"),
        ({"psnr": 60}, r"60 dB is out of reach .* reaches \d+\.\d\d to \d+\.\d\d$"),
    ],
)
def test_out_of_reach(photograph, options, message):
    with pytest.raises(UsageError, match=message):
        luxvox.compress_image(photograph[:48, :48], effort=1, **options)


@pytest.mark.parametrize(
    "options", [{"bpp": 1e308}, {"psnr": 1e308}, {"size": 5e-324}, {"bpp": 5e-324}]
)
def test_absurd_targets_are_out_of_reach(photograph, options):
    with pytest.raises(UsageError, match="is out of reach for this picture"):
        luxvox.compress_image(photograph[:8, :8], effort=1, **options)


@pytest.mark.parametrize("size", [10**6, 1e308])
def test_a_size_above_the_maximum_gives_the_finest_file(photograph, size):
    pixels = photograph[:48, :48]
    with pytest.warns(TargetWarning, match=r"bytes are more than this picture takes: \d+$"):
        data = luxvox.compress_image(pixels, size=size, effort=1)
    assert luxvox.inspect(data).quality == 100.0
    coarser = luxvox.compress_image(pixels, 100, effort=1)
    assert psnr(luxvox.decompress_image(data), pixels) >= psnr(
        luxvox.decompress_image(coarser), pixels
    )


@pytest.mark.parametrize("effort", [1, 5])
def test_a_psnr_that_no_quality_reaches_is_refused(photograph, effort):
    """The tiny weights draw all pictures much alike, and no quality comes near 25 dB."""
    with (
        use_weights(TINY),
        pytest.raises(UsageError, match=r"25 dB is out of reach .* which reaches 1\d\.\d\d to"),
    ):
        luxvox.compress_image(photograph[:24, :40], psnr=25.0, effort=effort)


def test_metadata_that_put_a_rate_out_of_reach_are_named(photograph):
    raster = Raster(photograph[:16, :16], None, np.random.default_rng(0).bytes(800))
    message = r"0\.9 bits .* takes \d+\.\d+ to \d+\.\d+, 8\d\d bytes of it metadata \(strip leaves"
    with pytest.raises(UsageError, match=message):
        luxvox.compress_image(raster, bpp=0.9, effort=1)
    with pytest.warns(LossWarning, match="its profile is left out"):
        # With so few pixels a smaller file may be as good, which gives a warning of its own.
        warnings.simplefilter("ignore", TargetWarning)
        data = luxvox.compress_image(raster, bpp=2.0, effort=1, strip=True)
    assert len(data) < 70


def test_sizes_of_small_files_come_in_whole_words(photograph):
    """A few bytes are more than 2 % of them, so the nearest step is accepted."""
    crop = photograph[:24, :24]
    for n_bytes in (90, 120):
        targets = ({"size": n_bytes}, {"bpp": n_bytes * 8 / crop[:, :, 0].size})
        for options in targets:
            assert (
                n_bytes - 4 <= len(luxvox.compress_image(crop, effort=1, **options)) <= n_bytes + 2
            )


def test_a_missed_target_is_reported(photograph, monkeypatch):
    """After a single try the nearest file is not near enough."""
    monkeypatch.setattr(rates, "find", lambda measure, window, axis, *_: _once(measure))
    with pytest.warns(TargetWarning, match=r"^90 bytes is asked for, the nearest found is \d+$"):
        data = luxvox.compress_image(photograph[:24, :24], size=90, effort=1)
    assert len(data) != 90


def _once(measure):
    measure(4000)
    return 4000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 50, "bpp": 1.0}, "quality and bpp cannot be combined"),
        ({"size": 1000, "psnr": 30}, "size and psnr cannot be combined"),
        ({"size": 0}, "size 0 is out of range, legal: above 0"),
        ({"bpp": float("nan")}, "bpp has to be a number, not float nan"),
        ({"psnr": float("inf")}, "psnr inf is out of range"),
        *[({"effort": effort}, r"effort .* legal: 1\.\.9") for effort in (0, 10)],
        *[({"effort": effort}, "effort has to be a whole number") for effort in (5.0, True, "5")],
    ],
)
def test_illegal_requests_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        luxvox.compress_image(np.zeros((2, 2), np.uint8), **options)


def make_saturated():
    colours = np.random.default_rng(0).integers(0, 2, (8, 8, 3)) * 255
    return np.kron(colours, np.ones((8, 8, 1))).astype(np.uint8)


def test_more_effort_is_neither_larger_nor_worse(photograph):
    files = {effort: luxvox.compress_image(photograph[:64], effort=effort) for effort in (1, 5, 9)}
    assert files[1] == files[5] == files[9]


def test_saturated_colours():
    decoded = luxvox.decompress_image(luxvox.compress_image(make_saturated(), 40))
    assert psnr(decoded, make_saturated()) > 20
