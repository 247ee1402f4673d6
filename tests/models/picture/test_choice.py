"""The encoder's choice: no code costs more than the rounded latent; silent codes stay."""

import numpy as np
import pytest
import torch

from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.symbols import code_bits
from luxvox.entropy.picture.tables import coding_of, start_tables
from luxvox.models.picture.choice import RateAwareChoice

GRID = (12, 20)
N_CHANNELS = 6
CHANNELS = slice(2, 5)
LAMBDA = 0.15


@pytest.fixture(scope="module")
def prediction():
    """A prediction of three channels at every second position, with all scales."""
    generator = np.random.default_rng(1)
    rows = np.arange(0, GRID[0] * GRID[1], 2)
    mean = generator.integers(-120, 120, (len(rows), 3)).astype(np.int32)
    scale = generator.integers(0, 40, mean.shape).astype(np.int32)
    scale[:20] = 0
    coding = coding_of(mean, scale)
    return Prediction("top", 1, CHANNELS.start, CHANNELS.stop, rows, coding, mean, start_tables())


@pytest.fixture(scope="module")
def latents():
    generator = torch.Generator().manual_seed(3)
    return {"top": 12 * torch.randn(1, N_CHANNELS, *GRID, generator=generator)}


def about(plane, prediction):
    """Take the values [N, channels] that a prediction is about from a plane [1, C, H, W]."""
    whole = plane.expand(1, N_CHANNELS, *GRID)[0].flatten(1).numpy()
    return whole[CHANNELS][:, prediction.positions].T


def choice_of(latents, lambda_):
    return RateAwareChoice(lambda_, latents["top"])


@pytest.mark.parametrize("lambda_", [0.0, LAMBDA, 2.0])
def test_no_choice_costs_more_than_rounding(prediction, latents, lambda_):
    codes = choice_of(latents, lambda_).choose(prediction)
    y = about(latents["top"], prediction)

    def cost(candidate):
        return np.square(y - candidate) + lambda_ * code_bits(prediction, candidate)

    nearest, mean = np.rint(y).astype(np.int32), (prediction.mean + 4) >> 3
    coded = ~prediction.coding.silent
    chosen_cost = cost(codes)[coded]
    assert codes.dtype == np.int32
    for candidate in (nearest, mean, nearest + np.sign(mean - nearest)):
        assert (chosen_cost <= cost(candidate)[coded] + 1e-3).all()
    if lambda_ == 0.0:
        assert np.square(y - codes)[coded].max() <= 0.25 + 1e-4
    else:
        assert (codes != nearest)[coded].any()


def test_silent_codes_are_the_predicted_ones(prediction, latents):
    codes = choice_of(latents, 0.0).choose(prediction)
    silent = prediction.coding.silent
    assert 60 <= silent.sum() < silent.size
    np.testing.assert_array_equal(codes[silent], prediction.coding.base[silent])


def test_all_silent(prediction, latents):
    scale = np.zeros_like(prediction.mean)
    coding = coding_of(prediction.mean, scale)
    silent = Prediction(
        "top", 1, 2, 5, prediction.positions, coding, prediction.mean, prediction.counts
    )
    codes = choice_of(latents, LAMBDA).choose(silent)
    np.testing.assert_array_equal(codes, coding.base)


def test_dearer_bits_trade_error_for_rate(prediction, latents):
    y, coded = about(latents["top"], prediction), ~prediction.coding.silent
    bits, errors = [], []
    for lambda_ in (0.0, LAMBDA, 10 * LAMBDA):
        choice = choice_of(latents, lambda_)
        codes = choice.choose(prediction)
        bits.append(float(code_bits(prediction, codes).sum()))
        errors.append(float(np.square(y - codes)[coded].sum()))
    assert bits[0] > bits[1] > bits[2]
    assert errors == sorted(errors)


@pytest.mark.parametrize("value", [1e9, -1e9, float(CODE_MAX) + 0.6])
def test_latents_out_of_range_give_the_farthest_codes(prediction, value):
    far = {"top": torch.full((1, N_CHANNELS, *GRID), value)}
    codes = choice_of(far, 0.0).choose(prediction)
    coded = ~prediction.coding.silent
    assert (codes[coded] == np.sign(value) * CODE_MAX).all()


def test_latents_are_left_alone(prediction, latents):
    before = latents["top"].clone()
    choice_of(latents, LAMBDA).choose(prediction)
    assert torch.equal(latents["top"], before)
