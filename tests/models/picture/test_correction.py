"""Corrected latents: by the gradient of the distortion, within their bound, and to less of it."""

import numpy as np
import pytest
import torch

from luxvox.entropy.lattice import picture_levels
from luxvox.entropy.lattice_layers import table_shapes
from luxvox.entropy.lattice_tables import start_tables
from luxvox.entropy.lattice_walk import CodesMeter, LatticeContext, Walk
from luxvox.models.picture import correction
from luxvox.models.picture.choice import RateAwareChoice
from luxvox.models.picture.correction import Target, corrected_latents, latent_weights
from luxvox.models.picture.distortion import eye_error, squared_error
from luxvox.models.picture.networks import LEVELS, Setting
from luxvox.models.picture.tiling import analyse, grid_shapes, padded_units
from luxvox.models.picture.weights import state_sizes
from luxvox.tests.models.picture.conftest import COMPLETE

SIZE = (100, 120)
PADDED = (128, 128)
SETTING = Setting(24.0)
LAMBDA = 0.2
shares = pytest.mark.parametrize("share", [0.0, 0.4])


@pytest.fixture(scope="module")
def pixels(picture_of):
    return picture_of(*SIZE, 3)


@pytest.fixture(scope="module")
def rounded(lively, pixels):
    latents = analyse(lively, pixels, SETTING, lambda done: None)
    return {level: torch.round(y).clone() for level, y in latents.items()}


def distortion(model, target, quantised):
    """Half the distortion in squared steps, of the pixels of the picture alone."""
    drawn = model.synthesise(quantised, model.told(target.setting)).clamp(-16.0, 127.0 / 8)
    wanted = padded_units(target.pixels, slice(0, PADDED[0]), PADDED, torch.device("cpu"))
    inside = torch.zeros(1, 1, *PADDED)
    inside[:, :, : SIZE[0], : SIZE[1]] = 1.0
    drawn = wanted + (drawn - wanted) * inside
    cost = (1 - target.eye_share) * squared_error(drawn, wanted)
    cost = cost + target.eye_share * eye_error(drawn, wanted)
    return float(cost) * 0.5 * (8.0 / target.setting.step) ** 2


def gradients(model, target, quantised):
    """With weights of one and no bound, a correction is the gradient."""
    ones = {level: torch.ones_like(y) for level, y in quantised.items()}
    corrected = corrected_latents(model, target, quantised, ones, 1e9)
    return {level: quantised[level] - y for level, y in corrected.items()}


@shares
@pytest.mark.parametrize("level", LEVELS)
def test_the_gradient_agrees_with_finite_differences(lively, pixels, rounded, share, level):
    target = Target(pixels, SETTING, share)
    gradient = gradients(lively, target, rounded)[level]
    noise = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(1))
    direction = noise + gradient / gradient.square().mean().sqrt()
    along = float((gradient * direction).sum())
    ends = [
        distortion(lively, target, {**rounded, level: rounded[level] + sign * 0.02 * direction})
        for sign in (1, -1)
    ]
    assert along == pytest.approx((ends[0] - ends[1]) / 0.04, rel=0.01)


@pytest.fixture(scope="module")
def context():
    """A context model that knows nothing but how wide the codes of each level spread."""
    widths = {"apex": 24, "top": 20, "base": 16, "detail": 11}
    levels = picture_levels(COMPLETE.channels)
    following = state_sizes(levels)
    tables = {}
    for level in levels:
        shapes = table_shapes(level, following[level.name])
        tables[level.name] = {name: torch.zeros(size) for name, size in shapes.items()}
        for name, bias in tables[level.name].items():
            if name.endswith("out.bias"):
                bias[len(bias) // 2 :] = 512.0 * widths[level.name]
    return LatticeContext(levels, tables, start_tables())


def chosen(context, latents, weights):
    """Codes and their bits."""
    choice = RateAwareChoice(LAMBDA)
    meter = CodesMeter(choice.choose)
    walk = Walk(context, grid_shapes(*SIZE), 0, meter)
    floats = {}
    for level in LEVELS:
        choice.begin(level, latents[level], weights[level])
        floats[level] = torch.from_numpy(walk.next_level()).float()[None]
    return floats, sum(meter.bits.values())


@shares
def test_codes_chosen_after_a_correction_cost_less(lively, context, pixels, share):
    """The distortion of the picture plus λ times bits falls, which is what a choice is for."""
    target = Target(pixels, SETTING, share)
    latents = analyse(lively, pixels, SETTING, lambda done: None)
    weights = latent_weights(lively, target, {k: torch.round(y) for k, y in latents.items()})
    costs = []
    for _ in range(3):
        codes, bits = chosen(context, latents, weights)
        costs.append(2 * distortion(lively, target, codes) + LAMBDA * bits)
        latents = corrected_latents(lively, target, codes, weights, 0.5)
    assert costs == sorted(costs, reverse=True)
    assert costs[1] < 0.995 * costs[0]


@shares
def test_a_correction_lowers_the_distortion(lively, pixels, rounded, share):
    target = Target(pixels, SETTING, share)
    weights = latent_weights(lively, target, rounded)
    corrected = corrected_latents(lively, target, rounded, weights, 0.5)
    before = distortion(lively, target, rounded)
    assert distortion(lively, target, corrected) < 0.6 * before


@pytest.mark.parametrize("bound", [0.0, 0.05, 0.7])
def test_the_bound_is_kept(lively, pixels, rounded, bound):
    target = Target(pixels, SETTING, 0.4)
    weights = {level: torch.full_like(y, 1e-3) for level, y in rounded.items()}
    corrected = corrected_latents(lively, target, rounded, weights, bound)
    changes = [(corrected[level] - y).abs().max().item() for level, y in rounded.items()]
    assert max(changes) == pytest.approx(bound, abs=1e-4)


def test_weights_are_the_second_derivative(linear, pixels):
    """Of orthonormal parts they are one; the lapped ones of the linear start are near it."""
    latents = analyse(linear, pixels, SETTING, lambda done: None)
    inner = {level: torch.round(y) for level, y in latents.items()}
    weights = latent_weights(linear, Target(pixels, SETTING, 0.0), inner)
    for level, one in weights.items():
        assert one.expand(inner[level].shape).shape == inner[level].shape
        assert (one >= 0.1).all() and (one <= 30.0).all()
        assert 0.3 < float(one.mean()) < 3.0


def test_what_is_padded_counts_nothing(lively, pixels, rounded):
    """A position whose pixels all lie beyond the picture has no gradient."""
    found = gradients(lively, Target(pixels[:60, :50], SETTING, 0.4), small(rounded, 1))
    assert found["detail"].any()
    found = gradients(lively, Target(pixels[:20, :20], SETTING, 0.4), small(rounded, 1))
    assert found["detail"][:, :, :2, :2].any()
    assert not found["detail"][:, :, 7:].any() and not found["detail"][..., 7:].any()


def small(quantised, n):
    """The codes of the first cells of the coarsest grid."""
    return {
        level: y[:, :, : n << number, : n << number].contiguous()
        for number, (level, y) in enumerate((level, quantised[level]) for level in LEVELS)
    }


def test_strips_give_the_gradient_of_the_whole(lively, pixels, rounded, monkeypatch):
    target = Target(pixels, SETTING, 0.0)
    whole = gradients(lively, target, rounded)
    monkeypatch.setattr(correction, "STRIP_PIXELS", 1)
    for level, gradient in gradients(lively, target, rounded).items():
        assert torch.allclose(gradient, whole[level], atol=1e-3, rtol=1e-3)


def test_networks_keep_no_gradients(lively, pixels, rounded):
    corrected_latents(lively, Target(pixels, SETTING, 0.4), rounded, rounded, 0.5)
    assert all(p.grad is None and not p.requires_grad for p in lively.parameters())


def test_errors_of_the_eye_hide_in_contrast():
    """The same error costs less on a lively original than on a flat one."""
    flat = torch.zeros(1, 3, 32, 32)
    noise = 8 * torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    error = torch.full_like(flat, 0.5)
    on_flat, on_noise = (float(eye_error(one + error, one)) for one in (flat, noise))
    assert on_noise < 0.5 * on_flat
    assert float(eye_error(flat, flat)) == 0.0
    assert float(squared_error(flat + error, flat)) == pytest.approx(3 * 32 * 32 * 0.25)
    colours = torch.tensor([1.0, 0.0, -0.299 / 0.114])[None, :, None, None].expand_as(flat)
    np.testing.assert_allclose(float(eye_error(flat + colours, flat)), 0.0, atol=1e-6)
