"""The integer layers and the context model of voices: the same integers on every machine."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy.fixed_point import ACCUMULATOR_LIMIT, compand, rescale
from luxvox.entropy.voice.context import Context
from luxvox.entropy.voice.layers import (
    Lines,
    check_accumulators,
    code_logits,
    codeword_sum,
    depth_input,
    flag_logits,
    hidden_features,
    line_features,
)
from luxvox.errors import ModelError

LENGTH = 23
POSITIONS = (-127.0, -3.0, 90.0)

# Layer by layer in 64-bit integers, over whole lines.


def layer_in_int64(inputs, weight, bias, shift):
    """Compute one layer on lines [lines, C, F], with zeros outside."""
    taps, length = weight.shape[3], inputs.shape[2]
    padded = np.pad(inputs, ((0, 0), (0, 0), (taps // 2, taps // 2)))
    total = np.zeros((len(inputs), len(weight), length), np.int64)
    for tap in range(taps):
        part = padded[:, :, tap : tap + length]
        total += np.einsum("oc,lcf->lof", weight[:, :, 0, tap], part)
    assert np.abs(total).max() < ACCUMULATOR_LIMIT
    return np.clip((total + bias[:, None] + (1 << shift - 1)) >> shift, 0, 127)


def trunk_in_int64(inputs, tables, index):
    """Compute features [lines, width, F] of inputs [lines, C, F]."""
    x = layer_in_int64(inputs, tables["conv1.weight"], tables["conv1.bias"][index], 8)
    for name, shift in (("conv2", 7), ("conv3", 8), ("conv4", 7)):
        x = layer_in_int64(x, tables[f"{name}.weight"], tables[f"{name}.bias"], shift)
    return x


def inputs_in_int64(lines):
    """Compute inputs [lines, C, F] by their definition (FORMAT.md)."""
    n = len(lines.log_step_int)
    own = compand(lines.own).long().numpy().reshape(n, LENGTH, -1).transpose(0, 2, 1)
    depth = lines.depth.long().numpy().reshape(n, 1, LENGTH)
    mask = np.broadcast_to(127 * lines.mask.long().numpy(), (n, 1, LENGTH))
    position = np.broadcast_to(lines.log_step_int.long().numpy()[:, None, None], (n, 1, LENGTH))
    return np.concatenate([own, depth, mask, position, position * position >> 7], 1)


def logits_in_int64(features, tables, stage, previous):
    """Compute flag logits [N] and codeword logits [N, K − 1]."""
    hidden = features @ tables["head.weight"][stage, 0].T + tables["head.bias"][stage, 0]
    hidden = (hidden + 64) >> 7
    if previous is not None:
        hidden = hidden + tables["embedding"][stage - 1, 0, previous]
    hidden = np.clip(hidden, -127, 127)
    flags = hidden @ tables["flag.weight"][stage, 0] + tables["flag.bias"][stage, 0]
    codewords = hidden @ tables["table.weight"][stage, 0].T + tables["table.bias"][stage, 0]
    return (flags + 16) >> 5, (codewords + 16) >> 5


def random_lines(n_channels, reach=3000):
    generator = torch.Generator().manual_seed(1)
    n = len(POSITIONS) * LENGTH
    return Lines(
        torch.randint(-reach, reach, (n, n_channels), generator=generator).float(),
        torch.randint(0, 128, (n,), generator=generator).float(),
        torch.arange(LENGTH).remainder(2).float(),
        torch.tensor(POSITIONS),
    )


def as_type(tensors, kind):
    return {name: tensor.to(kind) for name, tensor in tensors.items()}


def as_int64(tensors):
    return {name: tensor.numpy().astype(np.int64) for name, tensor in tensors.items()}


@pytest.fixture
def tensors(small_voice):
    return small_voice.context.levels["frames"].tensors


@given(chosen=st.sets(st.integers(0, len(POSITIONS) * LENGTH - 1)), index=st.integers(0, 9))
def test_features_agree_with_int64(small_voice, chosen, index):
    """At any frames, and lines are independent."""
    level = small_voice.context.levels["frames"]
    lines = random_lines(level.shape.n_channels)
    inputs = inputs_in_int64(lines)
    assert inputs.shape[1] == level.shape.n_inputs and np.abs(inputs).max() <= 127
    rows = torch.tensor(sorted(chosen), dtype=torch.int64)
    expected = trunk_in_int64(inputs, as_int64(level.tensors), index)
    expected = expected.transpose(0, 2, 1).reshape(-1, level.shape.width)[rows.numpy()]
    for kind in (torch.float32, torch.float64):
        typed = dataclasses.replace(lines, own=lines.own.to(kind))
        features = line_features(typed, as_type(level.tensors, kind), index, rows)
        np.testing.assert_array_equal(features.numpy(), expected)


def test_features_of_these_tests_vary(small_voice):
    level = small_voice.context.levels["frames"]
    lines = random_lines(level.shape.n_channels)
    features = line_features(lines, level.tensors, 0, torch.arange(len(lines.own)))
    assert 0.1 < float((features > 0).float().mean()) < 0.9


def test_features_are_exact_near_the_limit_of_accumulators():
    generator = torch.Generator().manual_seed(2)
    width, n_channels = 256, 252
    sizes = {n: (width, width, 1, 3 if n in (1, 3) else 1) for n in range(1, 5)}
    tensors = {"conv1.bias": torch.zeros(1, width)}
    for number, shape in sizes.items():
        weight = torch.randint(60, 110, shape, generator=generator).float()
        weight[::2] -= 170 * (torch.rand(weight[::2].shape, generator=generator) < 0.45)
        tensors[f"conv{number}.weight"] = weight
        tensors.setdefault(f"conv{number}.bias", torch.full((width,), -1000.0))
    lines = random_lines(n_channels, reach=40_000)
    lines.own[: 2 * LENGTH].fill_(99_999.0)
    expected = trunk_in_int64(inputs_in_int64(lines), as_int64(tensors), 0)
    features = line_features(lines, tensors, 0, torch.arange(len(lines.own)))
    expected = expected.transpose(0, 2, 1).reshape(-1, width)
    np.testing.assert_array_equal(features.numpy(), expected)


@pytest.mark.parametrize("stage", [0, 2])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_logits_agree_with_int64(tensors, stage, kind):
    generator = torch.Generator().manual_seed(3)
    features = torch.randint(0, 128, (50, 16), generator=generator).to(kind)
    previous = torch.randint(0, 12, (50,), generator=generator) if stage else None
    typed = as_type(tensors, kind)
    hidden = hidden_features(features, typed, stage, previous)
    previous_array = None if previous is None else previous.numpy()
    flags, codewords = logits_in_int64(
        features.numpy().astype(np.int64), as_int64(tensors), stage, previous_array
    )
    np.testing.assert_array_equal(flag_logits(hidden, typed, stage).numpy(), flags)
    np.testing.assert_array_equal(code_logits(hidden, typed, stage).numpy(), codewords)


def test_codewords_are_summed_over_stages(small_voice):
    codewords = small_voice.context.levels["frames"].codewords[:, 0]
    codes = torch.randint(0, 12, (9, 4), generator=torch.Generator().manual_seed(4))
    expected = sum(codewords[stage, codes[:, stage]] for stage in range(4))
    assert torch.equal(codeword_sum(codes, codewords), expected)
    assert codeword_sum(codes[:0], codewords).shape == (0, 6)


def test_depth_counts_stages():
    is_coded = torch.arange(30) < torch.arange(5)[:, None] * 6  # [stages, F]
    assert depth_input(is_coded).tolist() == [
        6.0 * (4 - n // 6) if n < 24 else 0 for n in range(30)
    ]
    assert depth_input(torch.ones(60, 2, dtype=torch.bool)).tolist() == [127.0, 127.0]


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4", "head", "flag", "table"])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_accumulators_over_the_limit_are_refused(small_voice, layer, part):
    level = small_voice.context.levels["frames"]
    changed = level.tensors[f"{layer}.{part}"].clone()
    changed.view(-1)[-1] = -(2.0**24) if part == "bias" else 2.0**24 / 127
    tensors = {**level.tensors, f"{layer}.{part}": changed}
    with pytest.raises(ModelError, match=rf"frames: sums of {layer} may reach .*limit 2\^24"):
        Context(small_voice.context.plan, {"frames": dataclasses.replace(level, tensors=tensors)})


def test_accumulators_just_below_the_limit_are_accepted(tensors):
    tensors = dict(tensors)
    tensors["flag.weight"] = torch.zeros_like(tensors["flag.weight"])
    tensors["flag.bias"] = torch.full_like(tensors["flag.bias"], ACCUMULATOR_LIMIT - 1.0)
    check_accumulators("frames", tensors)


@given(st.lists(st.integers(-(1 << 20), 1 << 20), min_size=1, max_size=20), st.integers(1, 8))
def test_rescale_rounds_halves_up(values, shift):
    expected = [(value + (1 << shift - 1)) >> shift for value in values]
    assert rescale(torch.tensor(values).float(), shift).tolist() == expected


def test_gradients_pass_the_rounding():
    values = torch.tensor([3.0, 100.0], requires_grad=True)
    rescale(values, 4).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1 / 16, 1 / 16]


def test_compand_is_odd_monotone_and_bounded():
    values = torch.arange(-40_000, 40_001).float()
    mapped = compand(values)
    assert torch.equal(mapped, -compand(-values))
    assert (mapped.diff() >= 0).all()
    assert mapped.abs().max() == 104
    known_values = torch.tensor([0.0, 1.0, 2.0, 4.0, 12.0, 16.0, 100.0, 32767.0])
    assert compand(known_values).tolist() == [0.0, 2.0, 4.0, 8.0, 16.0, 18.0, 37.0, 104.0]
