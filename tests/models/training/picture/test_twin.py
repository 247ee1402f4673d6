"""The twin computes the same as the codec's integer network."""

import numpy as np
import pytest
import torch

from luxvox.entropy.picture.lattice import picture_levels
from luxvox.entropy.picture.tables import start_tables
from luxvox.entropy.picture.visitors import CodesMeter, fixed_source
from luxvox.entropy.picture.walk import LatticeContext, walk
from luxvox.models.training.picture.integers import logistic_bits, round_half_up
from luxvox.models.training.picture.twin import ContextTwin

CHANNELS = (18, 17, 25, 17)
GRIDS = {"apex": (2, 3), "top": (4, 6), "base": (8, 12), "detail": (16, 24)}
POSITION = 40


@pytest.fixture(scope="module")
def twin():
    torch.manual_seed(3)
    context = ContextTwin(picture_levels(CHANNELS)).requires_grad_(False)
    for name, value in context.named_parameters():
        if "_out" in name and not name.endswith("bias"):
            value.normal_(0.0, 0.05)
    return context


@pytest.fixture(scope="module")
def codes():
    generator = np.random.default_rng(1)
    return {
        level: np.rint(generator.laplace(0, 1.5, (n, *GRIDS[level]))).astype(np.int16)
        for level, n in zip(GRIDS, CHANNELS, strict=True)
    }


def runtime(twin):
    return LatticeContext(twin.plan, twin.integers(), start_tables())


def test_predictions_are_the_same_integers(twin, codes):
    tensors = {level: torch.from_numpy(c[None]).float() for level, c in codes.items()}
    expected = twin.predictions(tensors, torch.tensor([POSITION / 127]))

    def check(prediction):
        mean = expected[prediction.level][0][0, prediction.first : prediction.end].flatten(1)
        runtime_mean = torch.from_numpy(prediction.mean.T).float()
        assert torch.equal(mean[:, torch.from_numpy(prediction.positions)], runtime_mean)
        return prediction.pick(codes[prediction.level])

    walk(runtime(twin), GRIDS, POSITION, CodesMeter(check))


def test_bits_are_close_to_the_cost_under_the_tables(twin, codes):
    tensors = {level: torch.from_numpy(c[None]).float() for level, c in codes.items()}
    estimated = twin.level_bits(tensors, tensors, torch.tensor([POSITION / 127]))
    meter = CodesMeter(fixed_source(codes))
    walk(runtime(twin), GRIDS, POSITION, meter)
    for level, bits in meter.bits.items():
        assert float(estimated[level]) == pytest.approx(bits, rel=0.03)


def test_one_pass_of_two_is_an_unbiased_estimate(twin, codes):
    tensors = {level: torch.from_numpy(c[None]).float() for level, c in codes.items()}
    position = torch.tensor([0.1])
    whole = twin.level_bits(tensors, tensors, position)
    halves = [
        twin.level_bits(tensors, tensors, position, {"base": turn, "detail": turn})
        for turn in (0, 1)
    ]
    for level in ("base", "detail"):
        mean = (halves[0][level] + halves[1][level]) / 2
        assert float(mean) == pytest.approx(float(whole[level]), rel=1e-5)


def test_probabilities_of_all_values_sum_to_one():
    mean, scale = torch.tensor([3.0]), torch.tensor([14.0])
    values = torch.arange(-400, 401).float()
    shares = torch.exp2(-logistic_bits(values, mean, scale))
    assert float(shares.sum()) == pytest.approx(1.0, abs=1e-3)


def test_gradients_pass_the_rounding():
    value = torch.tensor([0.5, -1.2], requires_grad=True)
    whole = round_half_up(value)
    assert whole.tolist() == [1.0, -1.0]
    whole.sum().backward()
    assert value.grad is not None and value.grad.tolist() == [1.0, 1.0]


def test_a_grid_of_one_position_skips_empty_passes(twin):
    codes = {"apex": torch.ones(1, CHANNELS[0], 1, 1)}
    apex = ContextTwin(twin.plan).requires_grad_(False)
    apex.plan = twin.plan[:1]
    assert float(apex.level_bits(codes, codes, torch.zeros(1))["apex"]) > 0.0
    means, _ = apex.predictions(codes, torch.zeros(1))["apex"]
    assert means.shape == codes["apex"].shape
