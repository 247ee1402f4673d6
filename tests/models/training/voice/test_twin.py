"""The float twin of voices computes the same as the integer runtime."""

import dataclasses

import numpy as np
import pytest
import torch

from luxvox.entropy.voice.layers import LevelShape
from luxvox.entropy.voice.visitors import CodesMeter, fixed_source
from luxvox.entropy.voice.walk import walk
from luxvox.errors import ModelError
from luxvox.models.training.voice.twin import (
    FIRST_TAPS,
    THIRD_TAPS,
    codeword_features,
    known_mask,
    speech_twins,
    with_new_taps,
)
from luxvox.models.voice.networks import LEVEL, SpeechConfig, SpeechModel
from luxvox.models.voice.tables import CODEWORDS, check_tables, speech_plan_of

CONFIG = SpeechConfig(
    n_channels=12,
    n_stages=5,
    codebook_size=32,
    first_stages=2,
    width=8,
    expansion=1,
    analysis_blocks=1,
    synthesis_blocks=1,
)
SHAPE = LevelShape(12, width=16, hidden=8, first_taps=3, third_taps=5)
POSITIONS = torch.tensor([-102.0, 38.0])
N_FRAMES = 41


@pytest.fixture(scope="module")
def model():
    """A model with random codebooks, each finer than the one before, and steep static tables."""
    generator = torch.Generator().manual_seed(1)
    model = SpeechModel(CONFIG).requires_grad_(False)
    books = torch.randn(model.vq.codebooks.shape, generator=generator)
    books *= 4.0 * 0.6 ** torch.arange(5.0)[:, None, None, None]
    books[:, :, 0] = 0.0
    model.vq.codebooks.copy_(books)
    shares = torch.rand(model.vq.bits.shape[1:], generator=generator).pow(4) + 0.01
    model.vq.bits.copy_(-torch.log2(shares / shares.sum(-1, keepdim=True)))
    return model


@pytest.fixture
def twins(model):
    """Twins moved a little from their initial values, so that every table matters."""
    torch.manual_seed(1)
    twins = speech_twins(model, SHAPE)
    with torch.no_grad():
        for name, values in twins.named_parameters():
            values.add_(torch.randn(values.shape), alpha=20.0 if "embedding" in name else 0.05)
    return twins


@pytest.fixture(scope="module")
def codes(model):
    """Codes int64 [2, stages, 1, 1, F], drawn from the static tables."""
    shares = torch.exp2(-model.vq.bits[0, :, 0])
    generator = torch.Generator().manual_seed(2)
    codewords = torch.multinomial(shares, 2 * N_FRAMES, replacement=True, generator=generator)
    codewords = codewords.reshape(5, 2, N_FRAMES).transpose(0, 1)
    return (codewords * torch.cumprod((codewords != 0).long(), 1))[:, :, None, None]


def meter(twins, codes):
    """Return the bits of the runtime by stage."""
    total: dict[int, float] = {}
    for item, position in enumerate(POSITIONS.tolist()):
        meter = CodesMeter(fixed_source({LEVEL: codes[item].numpy().astype(np.uint8)}))
        walk(twins.runtime(), {LEVEL: (1, N_FRAMES)}, int(position), meter)
        for (_, stage), bits in meter.bits.items():
            total[stage] = total.get(stage, 0.0) + bits
    return total


def test_twin_and_runtime_agree(twins, codes):
    expected = meter(twins, codes)
    estimated: dict[int, float] = {}
    with torch.no_grad():
        for index in range(len(twins.plan[0].passes)):
            for stage, bits in twins.bits(LEVEL, {LEVEL: codes}, POSITIONS, index).items():
                estimated[stage] = estimated.get(stage, 0.0) + float(bits)
    assert set(estimated) == set(expected) == set(range(5))
    for stage, bits in expected.items():
        # The runtime counts at least 1 in 65536, so very unlikely codes cost less there.
        assert estimated[stage] == pytest.approx(bits, rel=0.01, abs=2)


def test_gradients_reach_every_table(twins, codes):
    for index in range(len(twins.plan[0].passes)):
        costs = twins.bits(LEVEL, {LEVEL: codes}, POSITIONS, index)
        torch.stack(list(costs.values())).sum().backward()
    for name, values in twins.named_parameters():
        assert values.grad is not None and values.grad.isfinite().all(), name
        assert values.grad.any(), name


def test_a_pass_with_nothing_left_costs_nothing(twins, codes):
    last = len(twins.plan[0].passes) - 1
    costs = twins.bits(LEVEL, {LEVEL: torch.zeros_like(codes)}, POSITIONS, last)
    assert {stage: bits.item() for stage, bits in costs.items()} == {4: 0.0}


def test_runtime_tables_are_whole_and_narrow(twins):
    level = twins.runtime_level(LEVEL)
    for name, table in level.tensors.items():
        assert torch.equal(table, table.round())
        if not name.endswith("bias"):
            assert table.abs().max() <= 127
    assert torch.equal(level.codewords, level.codewords.round())
    assert level.codewords.abs().max() < 32768
    assert not level.codewords[:, :, 0].any()


def test_a_twin_can_start_from_exported_tables(model, twins):
    new_twins = speech_twins(model, SHAPE)
    tables = twins.runtime_level(LEVEL).tensors
    new_twins.twin(LEVEL).start_from_integers(tables)
    for name, table in new_twins.runtime_level(LEVEL).tensors.items():
        assert torch.equal(table, tables[name])


def test_new_taps_change_nothing_before_training(model, twins, codes):
    wider = with_new_taps(twins, model)
    shape = wider.runtime_level(LEVEL).shape
    assert (shape.first_taps, shape.third_taps) == (FIRST_TAPS, THIRD_TAPS) != (3, 5)
    assert meter(wider, codes) == meter(twins, codes)


def test_an_untrained_twin_costs_as_much_as_the_static_tables(model, codes):
    """Its features carry little information yet."""
    torch.manual_seed(3)
    twins = speech_twins(model, SHAPE)
    static = sum(float(model.static_bits(code[None]).sum()) for code in codes)
    assert sum(meter(twins, codes).values()) == pytest.approx(static, rel=0.1)


def test_known_codes_are_those_of_earlier_passes():
    (plan,) = speech_plan_of(CONFIG)
    known_frames = np.zeros((5, 9), np.int64)
    for index, pass_ in enumerate(plan.passes):
        np.testing.assert_array_equal(known_mask(plan, index, 9).numpy(), known_frames)
        known_frames[pass_.stage] += pass_.mask(9)


def test_codeword_features_are_centred_and_of_unit_power():
    codewords = torch.randn(64, 12, generator=torch.Generator().manual_seed(4))
    features = codeword_features(codewords)
    assert features.mean(0).abs().max() < 1e-5
    assert torch.allclose(features.std(0), torch.ones(features.shape[1]), atol=1e-4)


HOSTILE = {
    "missing": (lambda t: t.pop("flag.bias"), "table flag.bias is missing"),
    "unknown": (lambda t: t.update({"tail": torch.zeros(1)}), "table tail is unknown"),
    "wide": (
        lambda t: t.update({"embedding": t["embedding"].int()}),
        "embedding is torch.int32 .*legal: torch.int8",
    ),
    "narrow": (lambda t: t.update({"conv2.bias": t["conv2.bias"].char()}), "conv2.bias is .*int8"),
    "long": (
        lambda t: t.update({"head.bias": t["head.bias"].repeat(2, 1, 1)}),
        r"head.bias is .*\[10, 1, 8\], legal: torch.int32 \[5, 1, 8\]",
    ),
    "null": (lambda t: t[CODEWORDS][1, 0].fill_(1), "codeword 0 is not zero"),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=list(HOSTILE))
def test_tables_of_another_shape_or_type_are_refused(twins, change, message):
    level = twins.runtime_level(LEVEL)
    tables = {
        name: table.int() if name.endswith("bias") else table.char()
        for name, table in level.tensors.items()
    }
    tables[CODEWORDS] = level.codewords[:, 0].short()
    check_tables(level.shape, twins.plan[0], tables)
    change(tables)
    with pytest.raises(ModelError, match=message):
        check_tables(level.shape, twins.plan[0], tables)


@pytest.mark.parametrize("n_taps", [0, 4, 17])
def test_illegal_numbers_of_taps_are_refused(twins, n_taps):
    shape = dataclasses.replace(SHAPE, third_taps=n_taps)
    with pytest.raises(ModelError, match=f"{n_taps} taps, legal: 1, 3 … 15"):
        check_tables(shape, twins.plan[0], {})
