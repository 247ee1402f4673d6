"""No file is written that a lower quality would have beaten."""

from __future__ import annotations

import numpy as np
import pytest

import luxvox
from luxvox.codec import container
from luxvox.codec.picture.plateau import is_saturated

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (0, 255, 255), (255, 255, 0))


def stripes(width=8, height=48):
    """Flat, saturated colours next to each other, uint8 [48, 48, 3]."""
    return np.repeat(np.repeat(np.array([COLOURS], np.uint8), width, 1), height, 0)


def bytes_and_error(pixels, quality, tune):
    data = luxvox.compress_image(pixels, quality, tune=tune)
    decoded = luxvox.decompress_image(data).astype(np.float64)
    return len(data), float(np.square(decoded - pixels).mean())


@pytest.mark.parametrize("tune", ["eye", "psnr"])
@pytest.mark.parametrize("pixels", [stripes(), stripes()[:, 8:16]], ids=["stripes", "green"])
def test_more_bytes_are_never_worse(pixels, tune):
    tried = [bytes_and_error(pixels, q, tune) for q in (10, 25, 50, 70, 80, 90, 100)]
    for (size, error), (larger, other) in zip(tried, tried[1:], strict=False):
        assert not (size < larger and error < 0.99 * other)


def test_the_header_names_the_quality_that_was_kept():
    data = luxvox.compress_image(stripes(), 100)
    header = container.read_header(data)[0]
    assert isinstance(header, container.PictureHeader)
    assert header.quality_centi < 10_000


def test_ordinary_pictures_are_coded_once():
    y, x = np.mgrid[:48, :48]
    ramp = np.stack([5 * x, 5 * y, 2 * (x + y)], 2).astype(np.uint8)
    text = np.where((x // 6 + y // 6) % 2, 0, 255).astype(np.uint8)[:, :, None]
    assert not is_saturated(ramp) and not is_saturated(text)
    assert is_saturated(stripes()[:, 8:16])
    patch = ramp.copy()
    patch[:8, :8] = (255, 0, 0)
    assert not is_saturated(patch)
