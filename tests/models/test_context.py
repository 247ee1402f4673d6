"""The float twin: it learns exactly what the integer runtime runs."""

import numpy as np
import pytest
import torch

from luxvox.entropy.walk import CodesMeter, known, walk
from luxvox.models.catalogue import load_picture_codec
from luxvox.models.context import picture_twins, word_features
from luxvox.models.image import LEVELS
from luxvox.models.strips import grid_shapes
from luxvox.models.training.context_phase import position_to_integer

POSITIONS = torch.tensor([-0.8, 0.3])


@pytest.fixture
def model(tiny_weights):
    return load_picture_codec(tiny_weights).model


@pytest.fixture
def twins(model, tiny_sizes):
    """Twins a little away from where they start, so that every table matters."""
    torch.manual_seed(1)
    twins = picture_twins(model)
    with torch.no_grad():
        for name, values in twins.named_parameters():
            values.add_(torch.randn(values.shape), alpha=20.0 if "embedding" in name else 0.05)
    return twins


@pytest.fixture
def codes(model, picture_of):
    """Codes of two pictures, each at its own step."""
    config = model.config
    ratio = config.coarsest_step / config.finest_step
    step = config.finest_step * ratio ** ((POSITIONS + 1) / 2)
    pixels = [torch.from_numpy(picture_of(96, 160, seed)) for seed in range(2)]
    units = (torch.stack(pixels).permute(0, 3, 1, 2).float() - 128) / 8
    return model.choose(model.latents(units, step), step)


def test_twin_and_runtime_agree(twins, codes):
    positions = position_to_integer(POSITIONS)
    expected: dict[tuple[str, int], float] = {}
    runtime = twins.runtime()
    for item in range(2):
        arrays = {level: codes[level][item].numpy() for level in LEVELS}
        meter = CodesMeter(known(arrays))
        walk(runtime, grid_shapes(96, 160), int(positions[item]), meter)
        for key, bits in meter.bits.items():
            expected[key] = expected.get(key, 0.0) + bits
    whole = {level: array.long() for level, array in codes.items()}
    found: dict[tuple[str, int], float] = {}
    with torch.no_grad():
        for plan in twins.plan:
            for index in range(len(plan.passes)):
                for stage, bits in twins.bits(plan.name, whole, positions, index).items():
                    key = plan.name, stage
                    found[key] = found.get(key, 0.0) + float(bits)
    for key, bits in expected.items():
        # Counts of at least 1 in 65536 make what is very unlikely cheaper in the runtime.
        assert found[key] == pytest.approx(bits, rel=0.01, abs=2)
    assert sum(found.values()) == pytest.approx(sum(expected.values()), rel=0.01)
    assert {key for key, bits in found.items() if bits} == set(expected)


def test_gradients_reach_every_table(twins, codes):
    whole = {level: array.long() for level, array in codes.items()}
    positions = position_to_integer(POSITIONS)
    for plan in twins.plan:
        for index in range(len(plan.passes)):
            costs = twins.bits(plan.name, whole, positions, index)
            torch.stack(list(costs.values())).sum().backward()
    for name, values in twins.named_parameters():
        assert values.grad is not None and values.grad.isfinite().all(), name
        assert values.grad.any(), name


def test_runtime_tables_are_whole_and_narrow(twins):
    for level in LEVELS:
        for name, table in twins.runtime_level(level).tensors.items():
            assert torch.equal(table, table.round())
            if not name.endswith("bias"):
                assert table.abs().max() <= 127
        words = twins.runtime_level(level).codewords
        assert torch.equal(words, words.round())
        assert words.abs().max() < 32768
        assert not words[:, :, 0].any()


def test_untrained_twin_knows_the_static_tables(model, codes, tiny_sizes):
    """Its features say little yet, so its cost is near that of the static tables."""
    twins = picture_twins(model)
    arrays = {level: codes[level][0].numpy() for level in LEVELS}
    meter = CodesMeter(known(arrays))
    walk(twins.runtime(), grid_shapes(96, 160), -102, meter)
    n_codes = sum(int(np.count_nonzero(array)) for array in arrays.values())
    assert sum(meter.bits.values()) < 12 * n_codes


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_word_features_are_centred_and_of_unit_power(size):
    words = torch.randn(64, size, generator=torch.Generator().manual_seed(size))
    features = word_features(words)
    assert features.mean(0).abs().max() < 1e-5
    assert torch.allclose(features.std(0), torch.ones(features.shape[1]), atol=1e-4)
