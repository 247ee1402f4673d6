"""Pixels drawn by FORMAT.md alone, from the codes of golden files, equal those of luxvox."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import luxvox
from luxvox.models.cards import find_card, use_weights
from luxvox.models.picture import folded_block
from luxvox.tests.golden.files import quietly, waves
from luxvox.tests.golden.record import HERE
from luxvox.tests.golden.tiny_weights import TINY
from luxvox.tests.second_decoder import read_codes, read_picture
from luxvox.tests.second_decoder.pixels import draw


def draw_by_weights(data, path):
    """Return the pixels [H, W, 3] of a file by the weights next to a card, rounded."""
    tensors = load_file(path.with_suffix(".safetensors"))
    config = json.loads(path.read_text(encoding="utf-8"))["config"]
    picture = read_picture(data)
    planes = draw(read_codes(data, tensors), tensors, config, picture.quality, picture.tune)
    pixels = np.floor(np.clip(planes, 0, 255) + 0.5).astype(np.uint8).transpose(1, 2, 0)
    return pixels[: picture.height, : picture.width]


def assert_near(drawn, expected):
    """Check that pixels are equal except for the last bit."""
    assert drawn.shape == expected.shape
    difference = np.abs(drawn.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.03
    assert np.ptp(drawn) > 20


@pytest.fixture
def in_float32(monkeypatch):
    """Draw as on a processor without bfloat16: random codes vary more than those of pictures."""
    monkeypatch.setattr(folded_block, "has_bfloat16", lambda: False)


@pytest.mark.usefixtures("in_float32")
@pytest.mark.parametrize(
    "name", ["tiny-codes", "tiny-codes-coarsest", "tiny-codes-psnr", "tiny-cut-in-6"]
)
def test_pixels_of_tiny_weights(name):
    data = (HERE / f"{name}.lvx").read_bytes()
    with use_weights(TINY), quietly():
        pixels = luxvox.decompress_image(data)
    assert_near(draw_by_weights(data, TINY / "picture-0.json"), pixels)


@pytest.mark.parametrize(("quality", "tune"), [(60, "eye"), (92, "eye"), (60, "psnr")])
def test_pixels_of_shipped_weights(quality, tune):
    data = luxvox.compress_image(waves(40, 70), quality, tune=tune)
    assert any(array.any() for array in luxvox.codes(data).values())
    card = find_card("picture", tune=tune)
    assert_near(draw_by_weights(data, card.path), luxvox.decompress_image(data))


@pytest.mark.usefixtures("in_float32")
def test_grey_is_the_rounded_mean_of_rounded_colours():
    data = (HERE / "tiny-grey.lvx").read_bytes()
    total = draw_by_weights(data, TINY / "picture-0.json").astype(int).sum(2)
    with use_weights(TINY):
        grey = luxvox.decompress_image(data)
    assert_near((2 * total + 3) // 6, grey)
