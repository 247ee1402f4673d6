"""No file is written that a lower quality would have beaten."""

from __future__ import annotations

import dataclasses
import types
from typing import Any, cast

import numpy as np
import pytest

import luxvox
from luxvox.codec.picture.plateau import best_up_to, is_saturated
from luxvox.codec.quality import FINEST, Quality

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
    points = [bytes_and_error(pixels, q, tune) for q in (10, 25, 50, 70, 80, 90, 100)]
    for (size, error), (larger, larger_error) in zip(points, points[1:], strict=False):
        assert not (size < larger and error < 0.99 * larger_error)


@dataclasses.dataclass(frozen=True)
class Coded:
    """Stand in for a coded picture of a quality in hundredths and a size."""

    header: types.SimpleNamespace
    data: bytes


def make_coded(quality, n_bytes):
    header = types.SimpleNamespace(width=48, height=48, quality=quality)
    return Coded(header, bytes(n_bytes))


@pytest.mark.parametrize(
    ("errors", "sizes", "kept"),
    [
        ({9500: 5.0, 9000: 3.0}, {9500: 80, 9000: 70}, 9000),
        ({9500: 11.0, 9000: 12.0}, {9500: 80, 9000: 70}, 10_000),
        ({9500: 5.0, 9000: 9.0}, {9500: 120, 9000: 70}, 9000),
    ],
    ids=["better and smaller", "worse", "better and larger"],
)
def test_the_best_file_that_is_no_larger_is_kept(errors, sizes, kept):
    best = best_up_to(
        cast(Any, make_coded(FINEST, 100)),
        lambda quality: cast(Any, make_coded(quality, sizes.get(quality.hundredths, 60))),
        lambda coded: errors.get(coded.header.quality.hundredths, 10.0),
    )
    assert best.header.quality == Quality(kept)


def test_ordinary_pictures_are_coded_once():
    y, x = np.mgrid[:48, :48]
    ramp = np.stack([5 * x, 5 * y, 2 * (x + y)], 2).astype(np.uint8)
    text = np.where((x // 6 + y // 6) % 2, 0, 255).astype(np.uint8)[:, :, None]
    assert not is_saturated(ramp) and not is_saturated(text)
    assert is_saturated(stripes()[:, 8:16])
    patch = ramp.copy()
    patch[:8, :8] = (255, 0, 0)
    assert not is_saturated(patch)
