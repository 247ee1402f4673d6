"""The picture networks: a nearly exact linear codec before training, cheap enough at full size."""

import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from luxvox.entropy.picture.lattice import picture_levels
from luxvox.entropy.picture.layers import own_matrix, table_shapes
from luxvox.models.picture.conditions import (
    LEVELS,
    STRIDES,
    Conditions,
    PictureConfig,
    Setting,
    log_step,
    quality_to_step,
)
from luxvox.models.picture.networks import (
    Analysis,
    Block,
    PictureModel,
    Synthesis,
    multiply_accumulates_per_pixel,
)
from luxvox.models.picture.step_maps import MAX_LOG_FACTOR
from luxvox.models.picture.weights import state_sizes
from luxvox.models.training.picture.initialise import untrained_model
from luxvox.tests.models.picture.conftest import units

LIMIT_ANALYSIS, LIMIT_SYNTHESIS, LIMIT_CONTEXT = 40_000, 12_000, 8_000  # a pixel


def conditions_of(model, step, n=2, tune=1.0):
    """The conditions that networks get for pictures at one step."""
    return model.conditions(torch.full((n,), step), torch.full((n,), tune))


def some_pixels(*size):
    return 8 * torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("step", [3.5, 20.0, 160.0])
def test_untrained_model_gives_every_pixel_back(linear, step):
    """With all coefficients as latents, even noise; at the borders, too."""
    pixels, at = some_pixels(64, 128), conditions_of(linear, step)
    decoded = linear.synthesise(linear.latents(pixels, at), at)
    assert torch.allclose(decoded, pixels, atol=1e-3)


def test_untrained_model_of_full_size_keeps_pictures(picture_of):
    """Only the coefficients of least power are lost."""
    pictures = [units(picture_of(128, 128, seed)) for seed in range(3)]
    model = untrained_model(pictures, PictureConfig()).eval().requires_grad_(False)
    pixels, at = torch.stack(pictures), conditions_of(model, 8.0, 3)
    decoded = model.synthesise(model.latents(pixels, at), at)
    error = float((decoded - pixels).square().mean())
    assert 8 * math.sqrt(error) < 2.0


def test_untrained_analysis_is_linear(linear):
    pixels, at = some_pixels(64, 64), conditions_of(linear, 8.0)
    latents = linear.latents(pixels, at)
    halves = linear.latents(pixels / 2, at)
    for level in LEVELS:
        assert torch.allclose(halves[level], latents[level] / 2, atol=1e-4)


def test_grids(lively):
    latents = lively.latents(some_pixels(64, 128), conditions_of(lively, 20.0))
    for level, y in latents.items():
        channels = lively.config.n_channels(level)
        assert y.shape == (2, channels, 64 // STRIDES[level], 128 // STRIDES[level])


def test_latents_fall_with_the_step(linear):
    pixels = some_pixels(64, 64)
    fine = linear.latents(pixels, conditions_of(linear, 10.0))
    coarse = linear.latents(pixels, conditions_of(linear, 20.0))
    for level in LEVELS:
        assert torch.allclose(fine[level], 2 * coarse[level], atol=1e-4)


def test_another_step_rescales_latents(lively):
    """Gains that follow the step are counted in."""
    model = PictureModel(lively.config)
    model.load_state_dict(lively.state_dict())
    with torch.no_grad():
        for gains in model.gains.values():
            gains.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(2))
    y = {level: torch.ones(1, model.config.n_channels(level), 1, 1) for level in LEVELS}
    before, after = Setting(10.0), Setting(40.0)
    for level, rescaled in model.at_step(y, before, after).items():
        same = rescaled * model.scale(level, model.conditions_at(after))
        assert torch.allclose(
            same, y[level] * model.scale(level, model.conditions_at(before)), rtol=1e-5
        )


@pytest.mark.parametrize("step", [3.5, 160.0])
def test_factors_on_steps_are_bounded_and_belong_to_the_eye(uneven, step):
    """Tuned for squared error all steps are one."""
    pixels = some_pixels(128, 64)
    for tune in (0.0, 1.0):
        at = conditions_of(uneven, step, tune=tune)
        latents = uneven.latents(pixels, at)
        placed, _, _ = uneven.code_latents(latents, at, torch.round)
        for level in LEVELS:
            factors = (latents[level] / placed[level]).nan_to_num(1.0)
            if tune == 0.0 or level == "apex":
                assert torch.allclose(factors, torch.ones(()), atol=1e-4)
            else:
                assert factors.std() > 0.01
                assert factors.log().abs().max() <= MAX_LOG_FACTOR + 1e-4


def test_encoder_and_decoder_agree(uneven):
    """The decoder finds the same factors, from the codes alone."""
    pixels, at = some_pixels(64, 64), conditions_of(uneven, 20.0)
    _, quantised, pixels = uneven.code_latents(uneven.latents(pixels, at), at, torch.round)
    assert all(torch.equal(y, y.round()) for y in quantised.values())
    assert torch.allclose(uneven.synthesise(quantised, at), pixels, atol=1e-4)


def test_steps_and_positions():
    config = PictureConfig()
    assert quality_to_step(1.0, config) == pytest.approx(config.coarsest_step)
    assert quality_to_step(100.0, config) == pytest.approx(config.finest_step)
    steps = [quality_to_step(quality / 10, config) for quality in range(10, 1001)]
    assert steps == sorted(steps, reverse=True)
    ends = torch.tensor([config.finest_step, config.coarsest_step])
    assert log_step(ends, config).tolist() == pytest.approx([-1.0, 1.0], abs=1e-6)


def test_blocks_are_bounded():
    """For any input: a product of two factors of at most 6, times the last matrix."""
    block = Block(4, 3)
    with torch.no_grad():
        block.project.weight.fill_(1.0)
    x = 1e6 * some_pixels(8, 8)[:, :1].expand(-1, 4, -1, -1)
    ones = torch.ones(2, 1, 1, 1)
    assert (block(x, Conditions(ones, ones, ones)) - x).abs().max() <= 3 * 36.0 + 1.0


@pytest.mark.parametrize("network", [Analysis, Synthesis])
def test_blocks_change_nothing_before_training(network):
    for name, values in network(PictureConfig()).named_parameters():
        if "project" in name:
            assert not values.any()


def count_per_pixel(run, n_pixels):
    """Multiply–accumulates of all convolutions, counted where they are done."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2 / n_pixels


def test_cost_of_the_networks_at_full_size():
    model = PictureModel(PictureConfig()).eval().requires_grad_(False)
    pixels, at = torch.zeros(1, 3, 64, 64), model.conditions_at(Setting(20.0))
    latents = model.latents(pixels, at)
    analysis = count_per_pixel(lambda: model.latents(pixels, at), 64**2)
    synthesis = count_per_pixel(lambda: model.synthesise(latents, at), 64**2)
    assert analysis == pytest.approx(multiply_accumulates_per_pixel(model.analysis), rel=1e-3)
    # The last layer runs on half a block more at each border.
    borders = model.synthesis.back.weight.numel() / 64 * ((9 / 8) ** 2 - 1)
    expected = multiply_accumulates_per_pixel(model.synthesis) + borders
    assert synthesis == pytest.approx(expected, rel=1e-3)
    assert analysis <= LIMIT_ANALYSIS
    assert synthesis - borders <= LIMIT_SYNTHESIS


def test_cost_of_the_context_model_at_full_size():
    """Counted from the shapes of tables and the share of positions that each pass predicts."""
    levels = picture_levels(PictureConfig().channels)
    following = state_sizes(levels)
    total = 0.0
    for level in levels:
        shapes = table_shapes(level, following[level.name])
        at_a_position = 0.0
        for layer in ("spread", "grow"):
            at_a_position += math.prod(shapes.get(f"{layer}.weight", (0,)))
        for number, pass_ in enumerate(level.passes):
            name, n_hidden = f"pass{number}", level.pass_hidden[number]
            of_pass = n_hidden * level.n_state
            if pass_.n_known:
                of_pass += own_matrix(pass_, torch.zeros(shapes[f"{name}.own.weight"])).numel()
            for layer in ("mid", "out", "line"):
                of_pass += math.prod(shapes.get(f"{name}.{layer}.weight", (0,)))
            at_a_position += of_pass * len(pass_.phases) / 4
        total += at_a_position / STRIDES[level.name] ** 2
    assert total <= LIMIT_CONTEXT
