"""Latents of pictures of any size, chunk by chunk: the same as of the whole picture."""

import copy

import numpy as np
import pytest
import torch

from luxvox.models.picture import folded_block, windows
from luxvox.models.picture.analysing import analyse, mirrored_units
from luxvox.models.picture.conditions import LEVELS, STRIDES, Setting
from luxvox.models.picture.placement import Placement
from luxvox.models.picture.tiling import grid_shapes, padded_size

SETTING = Setting(24.0)


def pixels_of(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def cut_small(monkeypatch):
    """Make chunks of single rows of cells."""
    return lambda: monkeypatch.setattr(windows, "_CHUNK_PIXELS", 1)


def there(model, pixels):
    return analyse(model, pixels, SETTING, lambda done: None)


def back(model, latents, size):
    """The picture of latents that were not rounded, in 8-bit levels."""
    units = model.synthesise(latents, model.conditions_at(SETTING))[0, :, : size[0], : size[1]]
    return (units * 8 + 128).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", [(256, 64), (255, 70), (193, 1)])
def test_chunks_equal_the_whole(lively, cut_small, monkeypatch, size):
    monkeypatch.setattr(folded_block, "has_bfloat16", lambda: False)
    pixels = pixels_of(*size)
    whole = there(lively, pixels)
    shares: list[float] = []
    cut_small()
    latents = analyse(lively, pixels, SETTING, shares.append)
    for level in LEVELS[:-1]:
        assert torch.allclose(latents[level], whole[level], atol=1e-4)
    assert torch.allclose(latents["detail"], whole["detail"], atol=2e-3, rtol=1e-3)  # float16
    assert shares == [n / 4 for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("tune", [0.0, 1.0])
def test_latents_are_those_of_the_network(lively, tune):
    pixels = pixels_of(192, 128)
    setting = Setting(24.0, tune)
    latents = analyse(lively, pixels, setting, lambda done: None)
    units = (torch.from_numpy(pixels).permute(2, 0, 1)[None].float() - 128) / 8
    for level, expected in lively.latents(units, lively.conditions_at(setting)).items():
        assert (latents[level] - expected).abs().mean() < 0.01
        assert expected.std() > 0.1


def factors_of(model, codes):
    placement = Placement(model, SETTING)
    factors = {}
    for level in LEVELS:
        factors[level] = placement.factors()
        placement.know(codes[level])
    return factors


@pytest.mark.parametrize("size", [(64, 64), (256, 64), (320, 128)])
def test_factors_by_chunks_equal_the_whole(lively, monkeypatch, size):
    lively = copy.deepcopy(lively)
    generator = torch.Generator().manual_seed(1)
    for step_map in lively.synthesis.step_maps:
        for layer in (step_map.probe, step_map.maps):
            layer.weight.copy_(0.05 * torch.randn(layer.weight.shape, generator=generator))
    codes = {
        level: torch.randint(-3, 4, (1, n, *grid_shapes(*size)[level]), generator=generator).float()
        for level, n in zip(LEVELS, lively.config.channels, strict=True)
    }
    whole = factors_of(lively, codes)
    monkeypatch.setattr(windows, "_CHUNK_PIXELS", 1)
    cut = factors_of(lively, codes)
    for level in LEVELS[1:]:
        assert whole[level].std() > 0.01
        assert torch.allclose(cut[level], whole[level], rtol=1e-5)


def test_the_blocks_of_this_test_reach_far(lively):
    """Otherwise chunks would equal the whole without any overlap."""
    pixels = pixels_of(256, 64)
    latents = there(lively, pixels)
    changed = there(lively, np.where(np.arange(256)[:, None, None] < 128, pixels, 0))
    difference = (latents["detail"] - changed["detail"]).abs().amax(dim=(0, 1, 3))
    assert difference[128 // 8 - 2] > 1e-3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (65, 63), (128, 100)])
def test_sizes_are_padded_to_whole_cells(lively, height, width):
    rows, columns = padded_size(height, width)
    assert (rows % 64, columns % 64) == (0, 0)
    assert 0 <= rows - height < 64 and 0 <= columns - width < 64
    shapes = grid_shapes(height, width)
    latents = there(lively, pixels_of(height, width))
    for level in LEVELS:
        assert latents[level].shape[2:] == shapes[level]
        assert shapes[level] == (rows // STRIDES[level], columns // STRIDES[level])


def test_padding_repeats_the_edge_and_borders_are_mirrored():
    pixels = pixels_of(5, 7)
    padded = np.pad(pixels, ((0, 59), (0, 57), (0, 0)), "edge")
    expected = np.pad(padded, ((4, 4), (4, 4), (0, 0)), "symmetric").transpose(2, 0, 1)
    whole = mirrored_units(pixels, range(-4, 68), (64, 64), torch.device("cpu"))
    np.testing.assert_array_equal((whole[0] * 8 + 128).numpy(), expected)
    below = mirrored_units(pixels, range(16, 32), (64, 64), torch.device("cpu"))
    assert torch.equal(below, whole[:, :, 20:36])


def test_read_only_pixels_are_taken(linear):
    pixels = pixels_of(64, 64)
    expected = there(linear, pixels)
    pixels.flags.writeable = False
    for level, latents in there(linear, pixels).items():
        assert torch.equal(latents, expected[level])


@pytest.mark.parametrize("height", [64, 320])
def test_progress_ends_at_one(linear, cut_small, height):
    cut_small()
    shares: list[float] = []
    analyse(linear, pixels_of(height, 32), SETTING, shares.append)
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert len(shares) == height // 64


def test_levels_are_centred(linear):
    latents = there(linear, np.full((64, 64, 3), 128, np.uint8))
    assert all(y.abs().max() < 1e-5 for y in latents.values())
    decoded = back(linear, latents, (64, 64))
    np.testing.assert_allclose(decoded, 128.0, atol=1e-3)


def test_pictures_come_back(linear):
    pixels = pixels_of(70, 130)
    decoded = back(linear, there(linear, pixels), (70, 130))
    assert np.abs(decoded - pixels).max() < 0.1  # latents of `detail` are float16
