"""The picture networks: an exact linear codec before training, cheap enough at full size."""

import math

import pytest
import torch
from torch import nn

from luxvox.models.image import (
    LEVELS,
    STRIDES,
    Analysis,
    ImageConfig,
    PictureModel,
    Synthesis,
    multiply_accumulates_per_pixel,
    quality_to_step,
    step_to_position,
)

LIMIT_BOTH, LIMIT_SYNTHESIS = 20_000, 10_000


def some_pixels(*size):
    return 16 * torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("step", [10.0, 37.5, 160.0])
def test_untrained_networks_are_inverse(skeleton, step):
    pixels, steps = some_pixels(64, 96), torch.full((2,), step)
    latents = skeleton.latents(pixels, steps)
    assert torch.allclose(skeleton.synthesise(latents, steps), pixels, atol=1e-3)


def test_untrained_analysis_is_linear_and_keeps_energy(skeleton):
    pixels, steps = some_pixels(32, 64), torch.full((2,), 8.0)
    latents = skeleton.latents(pixels, steps)
    halves = skeleton.latents(pixels / 2, steps)
    for level in LEVELS:
        assert torch.allclose(halves[level], latents[level] / 2, atol=1e-4)
    parts = sum(y.square().sum() for y in latents.values())
    detail = latents["detail"].shape[1] + 32
    assert parts <= pixels.square().sum() * 1.0001
    assert parts >= pixels.square().sum() * detail / 192 * 0.9


def test_grids(skeleton):
    latents = skeleton.latents(some_pixels(64, 96), torch.full((2,), 20.0))
    for level, y in latents.items():
        channels = skeleton.config.channels(level)
        assert y.shape == (2, channels, 64 // STRIDES[level], 96 // STRIDES[level])


def test_latents_fall_with_the_step(skeleton):
    pixels = some_pixels(32, 32)
    fine = skeleton.latents(pixels, torch.full((2,), 10.0))
    coarse = skeleton.latents(pixels, torch.full((2,), 20.0))
    for level in LEVELS:
        assert torch.allclose(fine[level], 2 * coarse[level], atol=1e-4)


def test_steps_and_positions():
    config = ImageConfig()
    assert quality_to_step(1.0, config) == pytest.approx(config.coarsest_step)
    assert quality_to_step(100.0, config) == pytest.approx(config.finest_step)
    steps = [quality_to_step(quality / 10, config) for quality in range(10, 1001)]
    assert steps == sorted(steps, reverse=True)
    ends = torch.tensor([config.finest_step, config.coarsest_step])
    assert step_to_position(ends, config).tolist() == pytest.approx([-1.0, 1.0], abs=1e-6)


def counted(network, run):
    """Multiply–accumulates of one evaluation, counted where they are done."""
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        total += output.numel() * math.prod(layer.weight.shape[1:])

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    run()
    for handle in handles:
        handle.remove()
    return total


def test_cost_at_full_size():
    model = PictureModel(ImageConfig()).eval().requires_grad_(False)
    pixels, step = torch.zeros(1, 3, 64, 64), torch.tensor([20.0])
    latents = model.latents(pixels, step)
    analysis = counted(model.analysis, lambda: model.latents(pixels, step)) / 64**2
    synthesis = counted(model.synthesis, lambda: model.synthesise(latents, step)) / 64**2
    # The fixed Haar steps between the strides add less than one a pixel.
    assert multiply_accumulates_per_pixel(model.analysis) == pytest.approx(analysis)
    assert multiply_accumulates_per_pixel(model.synthesis) == pytest.approx(synthesis)
    assert analysis + synthesis + 1 <= LIMIT_BOTH
    assert synthesis + 1 <= LIMIT_SYNTHESIS


@pytest.mark.parametrize("network", [Analysis, Synthesis])
def test_blocks_change_nothing_before_training(network):
    for name, values in network(ImageConfig()).named_parameters():
        if "project" in name:
            assert not values.any()
