"""Asking for more bytes or decibels never gives a worse picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import luxvox
from luxvox.codec.picture.plateau import has_plateau

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "eileen_collins.png"
NOBODY_SEES_DB = 46.0  # errors of 1.3 levels
RED, CYAN = np.array([[255, 0, 0], [0, 255, 255]], np.uint8)
Y, X = np.mgrid[:32, :40]
pytestmark = pytest.mark.filterwarnings("ignore::luxvox.TargetWarning")


def photograph():
    with Image.open(EXAMPLE) as image:
        return np.asarray(image.convert("RGB"))[100:132, 200:240].copy()


def text():
    image = Image.new("RGB", (40, 32), "white")
    drawing = ImageDraw.Draw(image)
    drawing.text((2, 2), "Sphinx", fill="black")
    drawing.text((2, 16), "quartz", fill=(200, 30, 60))
    return np.asarray(image)


PICTURES = {
    "photograph": photograph(),
    "text": text(),
    "one colour": np.full((32, 40, 3), (240, 130, 20), np.uint8),
    "ramp": np.stack([6 * X, 6 * X, 6 * X], 2).astype(np.uint8),
    "saturated": np.where((X < 20)[:, :, None], RED, CYAN),
    "noise": np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8),
    "three pixels": np.random.default_rng(1).integers(0, 256, (1, 3, 3), np.uint8),
}


def psnr(data, pixels):
    error = np.square(luxvox.decompress_image(data).astype(np.float64) - pixels).mean()
    return 10 * np.log10(255**2 / max(error, 1e-6))


@pytest.fixture(scope="module", params=PICTURES)
def pixels(request):
    return PICTURES[request.param]


@pytest.fixture(scope="module")
def ends(pixels):
    """Return the sizes of the coarsest and the finest file."""
    return [len(luxvox.compress_image(pixels, quality)) for quality in (5, 100)]


def test_more_bytes(pixels, ends):
    sizes = np.unique(np.geomspace(max(ends[0], 40), 1.3 * ends[1], 4).round())
    files = [luxvox.compress_image(pixels, size=size) for size in sizes]
    assert all(len(data) <= size for data, size in zip(files, sizes, strict=True))
    psnrs = [psnr(data, pixels) for data in files]
    assert all(later >= earlier - 0.05 for earlier, later in zip(psnrs, psnrs[1:], strict=False))


def test_more_decibels(pixels, ends):
    low, high = (psnr(luxvox.compress_image(pixels, q), pixels) for q in (20, 90))
    low, high = sorted((low, high))
    targets = np.linspace(low, high, 3)
    files = [luxvox.compress_image(pixels, psnr=psnr_db) for psnr_db in targets]
    psnrs = [min(psnr(data, pixels), NOBODY_SEES_DB) for data in files]
    assert all(later >= earlier - 0.2 for earlier, later in zip(psnrs, psnrs[1:], strict=False))


def test_more_quality(pixels):
    files = [luxvox.compress_image(pixels, quality) for quality in (20, 40, 60, 80, 100)]
    psnrs = [psnr(data, pixels) for data in files]
    for n, data in enumerate(files):
        smaller = [psnrs[m] for m in range(n) if len(files[m]) <= len(data)]
        assert psnrs[n] >= max(smaller, default=0.0) - 0.05


def test_ordinary_pictures_are_coded_once():
    flat = {name for name, pixels in PICTURES.items() if has_plateau(np.atleast_3d(pixels))}
    assert flat == {"one colour", "ramp", "saturated", "three pixels"}
