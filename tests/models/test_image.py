"""The picture networks: an exact linear codec before training, cheap enough at full size."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from luxvox.models.image import (
    LEVELS,
    PIXELS_PER_UNIT,
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
def test_untrained_codec_is_a_projection(skeleton, step):
    pixels, steps = some_pixels(64, 96), torch.full((2,), step)
    latents = skeleton.latents(pixels, steps)
    decoded = skeleton.synthesise(latents, steps)
    again = skeleton.synthesise(skeleton.latents(decoded, steps), steps)
    assert torch.allclose(again, decoded, atol=1e-3)
    # Orthonormal: what is not in the latents is all that is lost.
    kept = sum(float(y.square().sum()) for y in latents.values()) * (step / PIXELS_PER_UNIT) ** 2
    lost = float((decoded - pixels).square().sum())
    assert kept + lost == pytest.approx(float(pixels.square().sum()), rel=1e-4)


def test_untrained_codec_keeps_smooth_pictures(skeleton):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    pixels, step = (15 * torch.sin(x / 19 + y / 31)).expand(1, 3, -1, -1), torch.tensor([20.0])
    decoded = skeleton.synthesise(skeleton.latents(pixels, step), step)
    assert float((decoded - pixels).square().mean().sqrt()) * PIXELS_PER_UNIT < 1.0


def test_untrained_analysis_is_linear(skeleton):
    pixels, steps = some_pixels(32, 64), torch.full((2,), 8.0)
    latents = skeleton.latents(pixels, steps)
    halves = skeleton.latents(pixels / 2, steps)
    for level in LEVELS:
        assert torch.allclose(halves[level], latents[level] / 2, atol=1e-4)


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


def counted_per_pixel(run):
    """Multiply–accumulates of all convolutions and matrices, counted where they are done."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2 / 64**2


def test_cost_at_full_size():
    model = PictureModel(ImageConfig()).eval().requires_grad_(False)
    pixels, step = torch.zeros(1, 3, 64, 64), torch.tensor([20.0])
    latents = model.latents(pixels, step)
    analysis = counted_per_pixel(lambda: model.latents(pixels, step))
    synthesis = counted_per_pixel(lambda: model.synthesise(latents, step))
    # The fixed Haar steps between the strides add less than one a pixel.
    assert multiply_accumulates_per_pixel(model.analysis) == pytest.approx(analysis, abs=1)
    assert multiply_accumulates_per_pixel(model.synthesis) == pytest.approx(synthesis, abs=1)
    assert analysis + synthesis <= LIMIT_BOTH
    assert synthesis <= LIMIT_SYNTHESIS


@pytest.mark.parametrize("network", [Analysis, Synthesis])
def test_blocks_change_nothing_before_training(network):
    for name, values in network(ImageConfig()).named_parameters():
        if "project" in name:
            assert not values.any()
