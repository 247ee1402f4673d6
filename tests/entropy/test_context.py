"""The integer context model: the same whole numbers on every machine, in every layout."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy.context import Context
from luxvox.entropy.layers import (
    ACCUMULATOR_LIMIT,
    LevelShape,
    check_accumulators,
    code_logits,
    compand,
    distance_cost,
    flag_logits,
    haar_inverse,
    hidden_features,
    level_inputs,
    line_features,
    neighbour_means,
    rescale,
    slopes,
    trunk,
)
from luxvox.errors import ModelError

# Layer by layer in whole numbers of 64 bits.


def layer_in_int64(inputs, weight, bias, shift):
    """One convolution [B, C, H, W], with zeros around for 3×3 weights."""
    reach = weight.shape[2] // 2
    padded = np.pad(inputs, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    height, width = inputs.shape[2:]
    total = np.zeros((len(inputs), len(weight), height, width), np.int64)
    for row in range(weight.shape[2]):
        for column in range(weight.shape[3]):
            part = padded[:, :, row : row + height, column : column + width]
            total += np.einsum("oc,bchw->bohw", weight[:, :, row, column], part)
    assert np.abs(total).max() < ACCUMULATOR_LIMIT
    return np.clip((total + bias + (1 << shift - 1)) >> shift, 0, 127)


def trunk_in_int64(inputs, tables, index):
    bias = tables["conv1.bias"][index][:, :, None, None]
    x = layer_in_int64(inputs, tables["conv1.weight"], bias, 8)
    for name, shift in (("conv2", 7), ("conv3", 8), ("conv4", 7)):
        bias = tables[f"{name}.bias"][:, None, None]
        x = layer_in_int64(x, tables[f"{name}.weight"], bias, shift)
    return x


def logits_in_int64(features, tables, stage, group, previous):
    """Flag logit [N] and word logits [N, K − 1] of one group."""
    hidden = features @ tables["head.weight"][stage, group].T + tables["head.bias"][stage, group]
    hidden = (hidden + 64) >> 7
    if previous is not None:
        hidden = hidden + tables["embedding"][stage - 1, group, previous]
    hidden = np.clip(hidden, -127, 127)
    flags = hidden @ tables["flag.weight"][stage, group] + tables["flag.bias"][stage, group]
    words = hidden @ tables["table.weight"][stage, group].T + tables["table.bias"][stage, group]
    return (flags + 16) >> 5, (words + 16) >> 5


@pytest.fixture
def trunk_case(small):
    """A level's tables scaled up to 60 % of the accumulators' limit, and inputs at their ends."""
    level = small.context.levels["detail"]
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(-127, 128, (3, level.shape.n_inputs, 9, 12), generator=generator)
    inputs[0, :, :4] = 127
    return level.tensors, inputs.float(), torch.tensor([0, 2, 1])


def as_type(tensors, kind):
    return {name: tensor.to(kind) for name, tensor in tensors.items()}


def test_trunk_is_whole_number_arithmetic(trunk_case):
    tensors, inputs, index = trunk_case
    tables = {name: tensor.numpy().astype(np.int64) for name, tensor in tensors.items()}
    expected = trunk_in_int64(inputs.numpy().astype(np.int64), tables, index.numpy())
    assert 0 < (expected > 0).mean() < 1
    singles = trunk(inputs, tensors, index)
    doubles = trunk(inputs.double(), as_type(tensors, torch.float64), index)
    np.testing.assert_array_equal(singles.numpy(), expected)
    np.testing.assert_array_equal(doubles.numpy(), expected)


def test_trunk_is_exact_near_the_limit_of_accumulators():
    generator = torch.Generator().manual_seed(2)
    width = 128
    size = {
        "conv1": (width, 112, 3, 3),
        "conv2": (width, width, 1, 1),
        "conv3": (width, width, 3, 3),
    }
    size["conv4"] = size["conv2"]
    tensors = {"conv1.bias": torch.zeros(1, width)}
    for layer, shape in size.items():
        weight = torch.randint(60, 110, shape, generator=generator).float()
        weight[::2] -= 170 * (torch.rand(weight[::2].shape, generator=generator) < 0.45)
        tensors[f"{layer}.weight"] = weight
        tensors.setdefault(f"{layer}.bias", torch.full((width,), -1000.0))
    inputs = torch.full((1, 112, 5, 4), 127.0)
    inputs[:, :, 2, 2:] = -127.0
    tables = {name: tensor.numpy().astype(np.int64) for name, tensor in tensors.items()}
    expected = trunk_in_int64(inputs.numpy().astype(np.int64), tables, np.array([0]))
    index = torch.tensor([0])
    np.testing.assert_array_equal(trunk(inputs, tensors, index).numpy(), expected)


@pytest.mark.parametrize("stage", [0, 2])
def test_logits_are_whole_number_arithmetic(small, stage):
    tensors = small.context.levels["base"].tensors
    tables = {name: tensor.numpy().astype(np.int64) for name, tensor in tensors.items()}
    generator = torch.Generator().manual_seed(3)
    features = torch.randint(0, 128, (50, 16), generator=generator).float()
    groups = slice(2, 7)
    previous = torch.randint(0, 12, (50, 5), generator=generator) if stage else None
    for kind in (torch.float32, torch.float64):
        typed = as_type(tensors, kind)
        hidden = hidden_features(features.to(kind), typed, stage, groups, previous)
        flags = flag_logits(hidden, typed, stage, groups)
        for group in range(5):
            index = stage, groups.start + group
            words = code_logits(
                hidden[:, group], typed["table.weight"][index], typed["table.bias"][index]
            )
            before = None if previous is None else previous[:, group].numpy()
            expected = logits_in_int64(features.numpy().astype(np.int64), tables, *index, before)
            np.testing.assert_array_equal(flags[:, group].numpy(), expected[0])
            np.testing.assert_array_equal(words.numpy(), expected[1])


def means_in_int64(own, known):
    """Means of the known neighbours of each place [H, W], place by place."""
    weights = {(1, 0): 2, (-1, 0): 2, (0, 1): 2, (0, -1): 2}
    weights |= {(row, column): 1 for row in (-1, 1) for column in (-1, 1)}
    means = np.zeros(own.shape, np.int64)
    for row, column in np.ndindex(own.shape):
        total = count = 0
        for (down, right), weight in weights.items():
            place = row + down, column + right
            if min(place) >= 0 and place[0] < own.shape[0] and place[1] < own.shape[1]:
                total += weight * int(own[place]) * int(known[place])
                count += weight * int(known[place])
        means[row, column] = (2 * total + max(count, 1)) // (2 * max(count, 1))
    return means


def test_neighbour_means_are_whole_number_arithmetic():
    generator = np.random.default_rng(7)
    known = generator.integers(0, 2, (9, 8))
    own = generator.integers(-32768, 32768, (3, 9, 8)) * known
    own[2] = 32767 * known
    means = neighbour_means(
        torch.from_numpy(own)[None].float(), torch.from_numpy(known)[None, None].float()
    )
    expected = np.stack([means_in_int64(one, known) for one in own])
    np.testing.assert_array_equal(means[0].numpy(), expected)


def test_slopes_are_whole_powers():
    hidden = torch.full((200, 1, 1), 32.0)
    hidden[:, 0, 0] = torch.arange(-50, 150)
    tensors = {"slope.weight": torch.full((1, 1), 32.0), "slope.bias": torch.zeros(1)}
    found = slopes(hidden, tensors, slice(0, 1))[:, 0].tolist()
    base = (256, 279, 304, 332, 362, 395, 431, 470)
    clamped = [min(max(s, 0), 96) for s in range(-50, 150)]
    assert found == [(base[s % 8] << s // 8) >> 8 for s in clamped]


@given(st.integers(1, 4096), st.integers(0, 99_999))
def test_distance_costs_are_whole_number_arithmetic(slope, distance):
    cost = distance_cost(torch.tensor(float(slope)), torch.tensor(float(distance)))
    product = slope * min(distance, 4095)
    assert product < ACCUMULATOR_LIMIT
    assert int(cost) == (product + 512) >> 10


def test_memory_layout_does_not_matter(trunk_case):
    tensors, inputs, index = trunk_case
    last = inputs.contiguous(memory_format=torch.channels_last)
    plain = trunk(inputs.contiguous(), tensors, index)
    assert torch.equal(trunk(last, tensors, index), plain)


def test_batch_size_does_not_matter(trunk_case):
    tensors, inputs, index = trunk_case
    singly = [trunk(inputs[n : n + 1], tensors, index[n : n + 1]) for n in range(len(inputs))]
    assert torch.equal(trunk(inputs, tensors, index), torch.cat(singly))


@given(st.data(), st.integers(1, 3), st.integers(1, 9))
def test_some_places_of_lines_are_those_of_the_whole(small, data, n_lines, length):
    level = small.context.levels["top"]
    tensors = {
        name: tensor[:, :, 1:2] if name in ("conv1.weight", "conv3.weight") else tensor
        for name, tensor in level.tensors.items()
    }
    n_channels = level.shape.n_channels - 1
    generator = torch.Generator().manual_seed(n_lines * 10 + length)
    grid = (n_lines, n_channels, 1, length)
    own = torch.randint(-3000, 3000, grid, generator=generator).float()
    depth = torch.randint(0, 127, (n_lines, 1, 1, length), generator=generator).float()
    mask = torch.arange(length).remainder(2).float().expand(1, 1, 1, -1)
    position = torch.arange(n_lines).float() * 50 - 60
    chosen = data.draw(st.sets(st.integers(0, n_lines * length - 1)))
    rows = torch.tensor(sorted(chosen), dtype=torch.int64)
    inputs = level_inputs(own, None, mask.expand(n_lines, -1, -1, -1), position, depth)
    whole = trunk(inputs, tensors, torch.full((n_lines,), 1))
    expected = whole[:, :, 0].transpose(1, 2).flatten(0, 1)[rows]
    assert torch.equal(line_features(own, mask, position, depth, tensors, 1, rows), expected)


@pytest.mark.parametrize("layer", ["conv1", "conv2", "conv3", "conv4", "head", "flag", "table"])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_accumulators_over_the_limit_are_refused(small, layer, part):
    levels = dict(small.context.levels)
    tensors = dict(levels["base"].tensors)
    changed = tensors[f"{layer}.{part}"].clone()
    changed.view(-1)[-1] = -(2.0**24) if part == "bias" else 2.0**24 / 127
    tensors[f"{layer}.{part}"] = changed
    levels["base"] = dataclasses.replace(levels["base"], tensors=tensors)
    with pytest.raises(ModelError, match=rf"base: sums of {layer} may reach .*limit 2\^24"):
        Context(small.context.plan, levels)


def test_accumulators_just_below_the_limit_are_taken(small):
    tensors = dict(small.context.levels["base"].tensors)
    tensors["flag.weight"] = torch.zeros_like(tensors["flag.weight"])
    tensors["flag.bias"] = torch.full_like(tensors["flag.bias"], ACCUMULATOR_LIMIT - 1.0)
    check_accumulators("base", tensors)


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


def test_haar_inverse_is_exact_halves_rounded_down():
    x = torch.randint(-999, 1000, (2, 8, 3, 5), generator=torch.Generator().manual_seed(4)).float()
    pixels = haar_inverse(x)
    assert pixels.shape == (2, 2, 6, 10)
    mean, across, down, both = (x[:, n::4].long() for n in range(4))
    assert torch.equal(pixels[:, :, ::2, ::2].long(), (mean + across + down + both) >> 1)
    assert torch.equal(pixels[:, :, ::2, 1::2].long(), (mean - across + down - both) >> 1)
    assert torch.equal(pixels[:, :, 1::2, ::2].long(), (mean + across - down - both) >> 1)
    assert torch.equal(pixels[:, :, 1::2, 1::2].long(), (mean - across - down + both) >> 1)


@pytest.mark.parametrize("position", [-127, 0, 127])
def test_inputs_are_whole_and_in_range(position):
    generator = torch.Generator().manual_seed(5)
    own = torch.randint(-99_999, 99_999, (1, 6, 3, 4), generator=generator).float()
    parent = torch.randint(-99_999, 99_999, (1, 5, 3, 4), generator=generator).float()
    mask = torch.ones(1, 1, 3, 4)
    inputs = level_inputs(own, parent, mask, torch.tensor([float(position)]))
    assert inputs.shape[1] == LevelShape(6, 5, 8, 4).n_inputs
    assert torch.equal(inputs, inputs.round())
    assert inputs.abs().max() <= 127
