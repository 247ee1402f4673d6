"""Drawing by folded networks, compared with the networks that are trained."""

import copy
from unittest import mock

import numpy as np
import pytest
import torch

from luxvox.models.picture import drawing, folded_block
from luxvox.models.picture.conditions import LEVELS, STRIDES, PictureConfig, Setting
from luxvox.models.picture.drawing import Drawing, reach_of
from luxvox.models.picture.square_means import SquareMeans
from luxvox.models.picture.weights import picture_codec
from luxvox.models.picture.windows import Window

SIZE = 320, 192
SETTING = Setting(20.0)


@pytest.fixture(scope="module")
def model():
    return picture_codec().model


@pytest.fixture(scope="module")
def codes():
    generator = np.random.default_rng(0)
    codes_by_level = {}
    for level, spread in zip(LEVELS, (30.0, 8.0, 1.0, 0.3), strict=True):
        shape = SIZE[0] // STRIDES[level], SIZE[1] // STRIDES[level]
        n = picture_codec().model.config.n_channels(level)
        codes_by_level[level] = np.rint(generator.laplace(0, spread, (n, *shape)) / 2).astype(
            np.int16
        )
    return codes_by_level


def draw(picture):
    return np.concatenate([rows for strip in picture.strips() for rows in picture.draw(strip)])


def by_network(model, codes):
    tensors = {level: torch.from_numpy(array)[None] for level, array in codes.items()}
    units = model.synthesise(tensors, model.conditions_at(SETTING))[0]
    return (units * 8 + 128).permute(1, 2, 0).numpy()


def test_the_same_as_by_the_network_within_a_level(model, codes):
    difference = np.abs(draw(Drawing(model, codes, SETTING)) - by_network(model, codes))
    assert difference.max() < 1.0
    assert difference.mean() < 0.1


def test_the_same_as_by_the_network_in_float32(model, codes):
    with mock.patch.object(folded_block, "has_bfloat16", lambda: False):
        difference = np.abs(draw(Drawing(model, codes, SETTING)) - by_network(model, codes))
    assert difference.max() < 0.02


def test_pixels_depend_on_codes_far_below(model, codes):
    """Otherwise strips would not show even without any overlap."""
    changed = {level: array.copy() for level, array in codes.items()}
    changed["detail"][:, 128 // 8 :] = 0
    pixels, changed_pixels = (
        draw(Drawing(model, variant, SETTING)) for variant in (codes, changed)
    )
    assert np.abs(pixels - changed_pixels)[112:120].max() > 0.1
    assert np.abs(pixels - changed_pixels)[: 128 - 8 * 6].max() < 1e-3


def test_strips_do_not_show(model, codes):
    whole = draw(Drawing(model, codes, SETTING))
    with mock.patch.object(drawing, "STRIP_PIXELS", 64 * SIZE[1]):
        picture = Drawing(model, codes, SETTING)
        assert len(picture.strips()) == 5
        assert np.abs(draw(picture) - whole).max() < 0.02


def test_means_of_squares_are_those_of_the_pixels(model):
    """At the borders, too, where features are mirrored; the finest grid has no codes or blocks."""
    x = torch.randn(1, model.config.widths[2], 5, 7, generator=torch.Generator().manual_seed(0))
    network = drawing.FoldedSynthesis(model, SETTING, 1)
    network.blocks[-1] = []
    with torch.no_grad():
        pixels = network.pixels(Window(network.level(3, None, x)))
        expected = torch.nn.functional.avg_pool2d(pixels, 8)
        assert torch.allclose(SquareMeans(model.synthesis).of(Window(x)), expected, atol=1e-4)
    assert float(expected.std()) > 0.1


@pytest.mark.parametrize(("factor", "without"), [(2, 1), (4, 1), (8, 1), (16, 2)])
def test_a_smaller_picture(model, codes, factor, without):
    left_out = LEVELS[len(LEVELS) - without :]
    coarse = codes | {level: np.zeros_like(codes[level]) for level in left_out}
    whole = draw(Drawing(model, coarse, SETTING))
    small = draw(Drawing(model, coarse, SETTING, factor))
    rows, columns = (n // factor for n in SIZE)
    assert small.shape == (rows, columns, 3)
    reduced = whole.reshape(rows, factor, columns, factor, 3).mean((1, 3))
    assert np.abs(small - reduced).mean() < 2.0


def test_reach():
    config = PictureConfig(synthesis_blocks=(2, 3, 3, 3))
    assert reach_of(config) == 3 * 64 + 4 * 32 + 4 * 16 + 3 * 8 + 8


def test_overflow_is_grey(model, codes):
    broken = copy.deepcopy(model)
    broken.synthesis.from_latents[0].weight.fill_(torch.inf)
    np.testing.assert_array_equal(draw(Drawing(broken, codes, SETTING)), 128.0)
