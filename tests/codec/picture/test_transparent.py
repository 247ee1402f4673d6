"""Colours that full transparency hides cost next to nothing, and do not bleed into others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox.codec.picture.transparent import without_hidden_colours

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "eileen_collins.png"


@pytest.fixture(scope="module")
def photograph():
    with Image.open(EXAMPLE) as image:
        return np.asarray(image.convert("RGB"))[64:192, 160:320].copy()


@pytest.fixture(scope="module")
def alpha(photograph):
    """A visible disc with a soft edge."""
    rows, columns = np.ogrid[:128, :160]
    distance = np.hypot(rows - 64, columns - 80)
    return np.clip(255 * (50 - distance) / 4, 0, 255).astype(np.uint8)


def test_visible_pixels_stay(photograph, alpha):
    filled = without_hidden_colours(photograph, alpha)
    np.testing.assert_array_equal(filled[alpha > 0], photograph[alpha > 0])


def test_hidden_pixels_do_not_depend_on_their_old_values(photograph, alpha):
    noise = np.random.default_rng(1).integers(0, 256, photograph.shape, np.uint8)
    noisy = np.where(alpha[:, :, None] > 0, photograph, noise)
    np.testing.assert_array_equal(
        without_hidden_colours(noisy, alpha), without_hidden_colours(photograph, alpha)
    )


def test_hidden_colours_lie_between_visible_ones(photograph, alpha):
    filled, visible = without_hidden_colours(photograph, alpha), photograph[alpha > 0]
    assert (filled >= visible.min(0)).all() and (filled <= visible.max(0)).all()


@pytest.mark.parametrize("value", [0, 1, 255])
def test_fully_visible_and_fully_hidden(photograph, value):
    filled = without_hidden_colours(photograph, np.full(photograph.shape[:2], value, np.uint8))
    if value:
        assert filled is photograph
    else:
        assert np.ptp(filled) == 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)])
def test_small_and_odd(size):
    alpha = np.zeros(size, np.uint8)
    alpha[0, -1] = 255
    pixels = np.random.default_rng(2).integers(0, 256, (*size, 1), np.uint8)
    assert (without_hidden_colours(pixels, alpha) == pixels[0, -1]).all()


def test_hidden_noise_costs_nothing_and_does_not_bleed(photograph, alpha):
    """Compared with the same picture with a flat colour in its place."""
    noise = np.random.default_rng(1).integers(0, 256, photograph.shape, np.uint8)
    hidden = alpha[:, :, None] == 0
    files, errors = [], []
    for background in (noise, np.full_like(photograph, 128)):
        pixels = np.where(hidden, background, photograph)
        data = luxvox.compress_image(np.dstack([pixels, alpha]), 50)
        decoded = luxvox.decompress_image(data)
        np.testing.assert_array_equal(decoded[:, :, 3], alpha)
        difference = (decoded[:, :, :3].astype(int) - photograph)[alpha > 0]
        files.append(len(data))
        errors.append(float(np.square(difference).mean()))
    assert files[0] == files[1]
    assert errors[0] == errors[1]
    whole = luxvox.compress_image(photograph, 50)
    difference = (luxvox.decompress_image(whole).astype(int) - photograph)[alpha > 0]
    assert errors[0] < 1.1 * float(np.square(difference).mean())
