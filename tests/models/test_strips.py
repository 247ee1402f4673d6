"""Large pictures in strips: the same result as whole, at any size."""

import functools

import numpy as np
import pytest
import torch

from luxvox.models import strips
from luxvox.models.image import LEVELS, PIXELS_PER_UNIT, STRIDES, Block, PictureModel
from luxvox.models.strips import analyse, grid_shapes, padded_size, synthesise

STEP = 24.0


@pytest.fixture(scope="module")
def lively(skeleton):
    """The tiny model with blocks that change every pixel around them."""
    model = PictureModel(skeleton.config)
    model.load_state_dict(skeleton.state_dict())
    generator = torch.Generator().manual_seed(1)
    for block in model.modules():
        if isinstance(block, Block):
            with torch.no_grad():
                weight = block.project.weight
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.eval().requires_grad_(False)


def pixels_of(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)


def cut_small(monkeypatch):
    monkeypatch.setattr(strips, "strips", functools.partial(strips.strips, strip_pixels=1))


def there(model, pixels):
    return analyse(model, pixels, STEP, lambda done: None)


def back(model, latents, size):
    parts = list(synthesise(model, latents, STEP, size, lambda done: None))
    return np.concatenate(parts), len(parts)


@pytest.mark.parametrize("size", [(256, 64), (255, 33), (193, 1)])
def test_strips_equal_the_whole(lively, monkeypatch, size):
    pixels = pixels_of(*size)
    whole_latents = there(lively, pixels)
    whole, n_whole = back(lively, whole_latents, size)
    cut_small(monkeypatch)
    latents = there(lively, pixels)
    for level in LEVELS:
        assert torch.allclose(latents[level], whole_latents[level], atol=1e-3)
    decoded, n_strips = back(lively, whole_latents, size)
    assert (n_whole, n_strips) == (1, -(-size[0] // 32))
    assert decoded.shape == (*size, 3)
    assert np.abs(decoded - whole).max() < 0.1


def test_the_blocks_of_this_test_reach_far(lively):
    """Or strips would equal the whole without any overlap."""
    pixels = pixels_of(256, 64)
    latents = there(lively, pixels)
    changed = there(lively, np.where(np.arange(256)[:, None, None] < 128, pixels, 0))
    rows = 128 // STRIDES["base"]
    difference = (latents["base"] - changed["base"]).abs().amax(dim=(0, 1, 3))
    assert difference[rows - 1] > 0.01
    zeroed = {level: y.clone() for level, y in latents.items()}
    zeroed["base"][:, :, rows:] = 0
    zeroed["top"][:, :, rows // 2 :] = 0
    zeroed["detail"][:, :, rows * 2 :] = 0
    one, _ = back(lively, latents, (256, 64))
    other, _ = back(lively, zeroed, (256, 64))
    assert np.abs(one - other)[100:127].max() > 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (32, 32), (33, 31), (64, 100)])
def test_sizes_are_padded_to_whole_cells(lively, height, width):
    rows, columns = padded_size(height, width)
    assert (rows % 32, columns % 32) == (0, 0)
    assert 0 <= rows - height < 32 and 0 <= columns - width < 32
    shapes = grid_shapes(height, width)
    latents = there(lively, pixels_of(height, width))
    for level in LEVELS:
        assert latents[level].shape[2:] == shapes[level]
        assert shapes[level] == (rows // STRIDES[level], columns // STRIDES[level])


def test_padding_repeats_the_edge(skeleton):
    pixels = np.full((5, 7, 3), 200, np.uint8)
    whole = there(skeleton, np.full((32, 32, 3), 200, np.uint8))
    for level, y in there(skeleton, pixels).items():
        assert torch.allclose(y, whole[level], atol=1e-5)


def test_read_only_pixels_are_taken(skeleton):
    pixels = pixels_of(32, 32)
    pixels.flags.writeable = False
    there(skeleton, pixels)


@pytest.mark.parametrize("height", [32, 320, 352])
def test_progress_ends_at_one(skeleton, monkeypatch, height):
    cut_small(monkeypatch)
    told: list[float] = []
    latents = analyse(skeleton, pixels_of(height, 32), STEP, told.append)
    list(synthesise(skeleton, latents, STEP, (height, 32), told.append))
    half = len(told) // 2
    assert told[:half] == told[half:] == sorted(told[:half])
    assert told[-1] == 1.0


def test_levels_are_centred(skeleton):
    latents = there(skeleton, np.full((32, 32, 3), 128, np.uint8))
    assert all(y.abs().max() < 1e-6 for y in latents.values())
    decoded, _ = back(skeleton, latents, (32, 32))
    np.testing.assert_allclose(decoded, 128.0, atol=1e-5 * PIXELS_PER_UNIT)


def test_latents_out_of_all_bounds_give_levels(skeleton, monkeypatch):
    nothing = torch.full((1, 3, 32, 32), torch.nan)
    nothing[..., 0] = torch.inf
    monkeypatch.setattr(skeleton, "synthesise", lambda parts, step: nothing)
    quantised = {level: torch.zeros(1, 1, 32 // s, 32 // s) for level, s in STRIDES.items()}
    rows = np.concatenate(list(synthesise(skeleton, quantised, 20.0, (32, 32), lambda _: None)))
    assert not np.isnan(rows).any()
    assert (rows[:, 1:] == 128.0).all()
