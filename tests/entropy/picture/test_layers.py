"""The integer network of pictures, checked against its definition."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy.picture.lattice import EVEN, ODD, LatticePass
from luxvox.entropy.picture.layers import (
    CODE_MAX,
    COMPANDED,
    N_LINES,
    N_SCALES,
    check_sums,
    first_layer,
    neighbours,
    next_state,
    own_matrix,
    predict,
    step_inputs,
    table_shapes,
)
from luxvox.entropy.picture.tables import coding_of
from luxvox.entropy.picture.walk import LatticeContext, walk
from luxvox.entropy.visitors import CodesChooser
from luxvox.errors import ModelError
from luxvox.tests.entropy.conftest import GRIDS, LEVELS, draw_codes

# The network on whole grids, in 64-bit integers.


def round_shift(a, shift):
    return (a + (1 << shift - 1)) >> shift


def activate(a, shift):
    return np.clip(round_shift(a, shift), 0, 127)


def around(x):
    """Gather the 9 neighbours of each position, zeros outside: [C, H, W] to [C, 9, H, W]."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = [padded[:, n // 3 :, n % 3 :][:, :height, :width] for n in range(9)]
    return np.stack(windows, 1)


def compand_in_int64(codes):
    """Compute the logarithm of 2v + 8 with three fraction bits, v in sixteenths, at most 32767."""
    u = 2 * np.minimum(16 * np.abs(codes), 32767) + 8
    exponent = np.floor(np.log2(u)).astype(np.int64)
    return np.sign(codes) * (8 * (exponent - 3) + ((u >> (exponent - 3)) & 7))


class Reference:
    """One level of pictures, evaluated on its whole grid."""

    def __init__(self, level, tensors, state, position):
        self.level, self.state = level, state
        self.tables = {name: t.numpy().astype(np.int64) for name, t in tensors.items()}
        self.step = np.array([position, position * position >> 7])

    def predict(self, number, codes):
        """Means and scales [channels, H, W] of a pass, from the codes that the pass knows."""
        pass_, tables, name = self.level.passes[number], self.tables, f"pass{number}"
        known = np.zeros_like(codes)
        known[: pass_.first] = codes[: pass_.first]
        for row, column in pass_.known:
            part = slice(pass_.first, pass_.end), slice(row, None, 2), slice(column, None, 2)
            known[part] = codes[part]
        weight = tables[f"{name}.state.weight"]
        n_state = self.level.n_state
        total = (tables[f"{name}.own.bias"] + weight[:, n_state:] @ self.step)[:, None, None]
        if n_state:
            total = total + np.einsum("oc,chw->ohw", weight[:, :n_state], self.state)
        if pass_.n_known:
            own = tables[f"{name}.own.weight"].reshape(len(weight), pass_.n_known, 9)
            neighbouring = around(compand_in_int64(known[: pass_.n_known]))
            total = total + np.einsum("oct,cthw->ohw", own, neighbouring)
        x = activate(np.broadcast_to(total, (len(weight), *codes.shape[1:])), 8)
        x = activate(self._matrix(f"{name}.mid", x), 7)
        mean, scale = np.split(round_shift(self._matrix(f"{name}.out", x), 9), 2)
        if pass_.known:
            line = tables[f"{name}.line.weight"]
            neighbouring = around(known[pass_.first : pass_.first + len(line)])
            mean[: len(line)] += round_shift(np.einsum("ct,cthw->chw", line, neighbouring), 4)
        reach = 8 * CODE_MAX
        return np.clip(mean, -reach, reach), np.clip(scale, 0, N_SCALES - 1)

    def next_state(self, codes):
        """The state of the next level [n_next, 2 H, 2 W]."""
        planes = np.broadcast_to(self.step[:, None, None], (2, *codes.shape[1:]))
        parts = [compand_in_int64(codes), planes]
        if self.state is not None:
            parts.insert(1, self.state)
        weight = self.tables["spread.weight"].reshape(self.level.n_up, -1, 9)
        total = np.einsum("oct,cthw->ohw", weight, around(np.concatenate(parts)))
        x = activate(total + self.tables["spread.bias"][:, None, None], 8)
        x = activate(self._matrix("grow", x), 7)
        height, width = codes.shape[1:]
        blocks = x.reshape(-1, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
        return blocks.reshape(-1, 2 * height, 2 * width)

    def _matrix(self, name, x):
        total = np.einsum("oc,chw->ohw", self.tables[f"{name}.weight"], x)
        return total + self.tables[f"{name}.bias"][:, None, None]


@pytest.mark.parametrize("position", [-127, -30, 0, 127])
def test_a_walk_agrees_with_the_reference(small_picture, position):
    codes = walk(small_picture, GRIDS, position, CodesChooser(draw_codes(1)))
    state, references = None, {}
    for level in LEVELS:
        level_codes = codes[level.name].astype(np.int64)
        reference = Reference(level, small_picture.tensors[level.name], state, position)
        references[level.name] = iter(
            [reference.predict(number, level_codes) for number in range(len(level.passes))]
        )
        state = reference.next_state(level_codes) if level.n_up else None
    scales = set()

    def check(prediction):
        mean, scale = (
            np.ascontiguousarray(a.reshape(len(a), -1)[:, prediction.positions].T.astype(np.int32))
            for a in next(references[prediction.level])
        )
        np.testing.assert_array_equal(prediction.mean, mean)
        for field, expected in zip(
            dataclasses.astuple(prediction.coding),
            dataclasses.astuple(coding_of(mean, scale)),
            strict=True,
        ):
            np.testing.assert_array_equal(field, expected)
        scales.update(scale.flatten().tolist())
        return prediction.pick(codes[prediction.level])

    walk(small_picture, GRIDS, position, CodesChooser(check))
    assert scales >= {0, 1, 20, 40, N_SCALES - 1}  # otherwise this test would show little


def test_sums_near_the_limit_are_exact():
    """Largest state, companded codes and weights, and line weights on the farthest codes."""
    pass_ = LatticePass(2, 4, ODD, EVEN)
    generator = torch.Generator().manual_seed(3)
    signs = 1 - 2 * torch.randint(0, 2, (40, 4, 9), generator=generator)
    tensors = {
        "pass0.state.weight": torch.full((40, 900), 127.0),
        "pass0.own.weight": (127.0 * signs).reshape(40, 4, 3, 3),
        "pass0.own.bias": torch.full((40,), -(2.0**23)),
        "pass0.mid.weight": torch.full((40, 40), 3.0),
        "pass0.mid.bias": torch.zeros(40),
        "pass0.out.weight": torch.full((4, 40), 100.0),
        "pass0.out.bias": torch.tensor([5.0, -7.0, 0.0, 9000.0]),
        "pass0.line.weight": torch.tensor([[127.0] * 9, [-127.0] * 9]),
    }
    state = torch.full((33, 898), 127.0)
    near = torch.full((33, 9 * 2 + 4 * 2), 104.0)
    line_codes = torch.full((33, 9, 2), CODE_MAX, dtype=torch.int32)
    line_codes[::2, :, 1] *= -1
    first = first_layer(pass_, tensors, 0, step_inputs(-127))
    mean, scale = predict(pass_, tensors, 0, (state, near, line_codes), first)

    near_sum = signs[:, :2].sum((1, 2)) + signs[:, 2:, 1::2].sum((1, 2))
    total = 127 * (898 * 127 + 104 * near_sum) + 127 * (-127 + 126) - (1 << 23)
    x = ((total + 128) >> 8).clamp(0, 127)
    x = ((3 * x.sum() + 64) >> 7).clamp(0, 127).expand(40)
    out = (100 * x.sum() + tensors["pass0.out.bias"].long() + 256) >> 9
    line = torch.tensor([127, -127]) * 9 * CODE_MAX
    for row in range(33):
        line_sum = (line * torch.tensor([1, 1 if row % 2 else -1]) + 8) >> 4
        expected = (out[:2] + line_sum).clamp(-8 * CODE_MAX, 8 * CODE_MAX)
        assert mean[row].long().tolist() == expected.tolist()
        assert scale[row].long().tolist() == out[2:].clamp(0, N_SCALES - 1).tolist()


def test_the_first_pass_knows_only_the_step():
    level = LEVELS[0]
    tensors = {name: torch.ones(size) for name, size in table_shapes(level, 6).items()}
    tensors["pass0.own.bias"] = torch.arange(8) * 256.0
    tensors["pass0.mid.weight"] = torch.eye(8) * 128.0
    tensors["pass0.out.bias"] = torch.tensor([0.0, -512.0, 512.0 * 60, -512.0 * 9])
    first = first_layer(level.passes[0], tensors, 0, step_inputs(16))
    assert first.bias.tolist() == [18.0 + 256 * n for n in range(8)]  # 16 and 16² / 128
    mean, scale = predict(level.passes[0], tensors, 0, (None, None, None), first)
    assert mean.tolist() == [[0.0, -1.0]]  # the sum of activations, 28, is less than half of 512
    assert scale.tolist() == [[N_SCALES - 1.0, 0.0]]


@pytest.mark.parametrize("position", range(-127, 128, 2))
def test_step_inputs(position):
    assert step_inputs(position).tolist() == [position, position**2 // 128]


def test_companded_codes():
    codes = np.array([0, 1, -1, 2, 100, -2047, 2048, 32767, -32767])
    assert COMPANDED[codes + CODE_MAX].tolist() == [0, 18, -18, 25, 68, -103, 104, 104, -104]
    all_codes = np.arange(-CODE_MAX, CODE_MAX + 1)
    np.testing.assert_array_equal(COMPANDED, compand_in_int64(all_codes))


@given(st.integers(1, 6), st.integers(1, 6), st.lists(st.integers(0, 8), unique=True, min_size=1))
def test_neighbours(height, width, taps):
    plane = np.random.default_rng(1).integers(-9, 9, (3, height, width))
    padded = torch.from_numpy(np.pad(plane, ((0, 0), (1, 1), (1, 1))).reshape(3, -1).T.copy())
    rows = torch.arange(0, height * width, 2)
    values = neighbours(padded, rows, width, tuple(taps)).numpy()
    expected = around(plane)[:, taps].reshape(3, len(taps), -1)[:, :, rows.numpy()]
    np.testing.assert_array_equal(values, expected.transpose(2, 1, 0))


def test_own_weights_are_laid_out_like_their_inputs():
    weight = torch.arange(2 * 3 * 9).reshape(2, 3, 3, 3).float()
    unknown_slice = own_matrix(LatticePass(3, 5, EVEN, ()), weight)
    assert unknown_slice.shape == (2, 27)
    assert unknown_slice[1].tolist() == weight[1].flatten(1).T.flatten().tolist()
    known_slice = own_matrix(LatticePass(2, 3, ODD, EVEN), weight)
    assert known_slice[0].tolist() == [
        *weight[0, :2].flatten(1).T.flatten().tolist(),
        *weight[0, 2].flatten()[1::2].tolist(),
    ]


def test_states_grow_to_the_next_grid():
    level = LEVELS[0]
    tensors = {name: torch.zeros(size) for name, size in table_shapes(level, 6).items()}
    tensors["grow.bias"] = torch.arange(24) * 128.0
    state = next_state(level, tensors, np.zeros((5, 1, 2), np.int16), None, step_inputs(3))
    assert state.shape == (2, 4, 6)
    assert state[:, :, 1].tolist() == [[4, 5, 4, 5], [6, 7, 6, 7]]


def test_shapes_of_line_weights():
    sizes = table_shapes(LEVELS[-1], 0)
    assert sizes["pass1.line.weight"] == (4, 9)
    assert sizes["pass3.line.weight"] == (N_LINES, 9)
    assert not {"pass0.line.weight", "pass0.own.weight", "spread.weight"} & set(sizes)


LAYERS = [f"pass{n}.{part}" for n in (0, 3) for part in ("own", "mid", "out")]


@pytest.mark.parametrize("layer", [*LAYERS, "spread", "grow"])
@pytest.mark.parametrize("part", ["weight", "bias"])
def test_sums_over_the_limit_are_refused(small_picture, layer, part):
    tensors = {name: dict(tables) for name, tables in small_picture.tensors.items()}
    name = f"{layer}.{part}" if f"{layer}.{part}" in tensors["top"] else "pass0.state.weight"
    changed = tensors["top"][name].clone()
    changed.view(-1)[-1] = -(2.0**24) if part == "bias" else 2.0**24 / 127
    tensors["top"][name] = changed
    with pytest.raises(ModelError, match=rf"top: sums of {layer} may reach .*limit 2\^24"):
        LatticeContext(LEVELS, tensors, small_picture.counts)


def test_sums_just_below_the_limit_are_accepted(small_picture):
    tensors = dict(small_picture.tensors["top"])
    tensors["pass1.mid.weight"] = torch.zeros_like(tensors["pass1.mid.weight"])
    tensors["pass1.mid.bias"] = torch.full_like(tensors["pass1.mid.bias"], 2.0**24 - 1)
    check_sums(LEVELS[1], tensors)


def test_sums_of_state_and_own_weights_are_added(small_picture):
    """Each alone stays below the limit."""
    tensors = dict(small_picture.tensors["top"])
    tensors["pass1.own.bias"] = torch.zeros_like(tensors["pass1.own.bias"])
    for part in ("state", "own"):
        weight = torch.zeros_like(tensors[f"pass1.{part}.weight"])
        weight.view(len(weight), -1)[:, 0] = 0.6 * 2.0**24 / 127
        tensors[f"pass1.{part}.weight"] = weight
    with pytest.raises(ModelError, match="sums of pass1.own may reach"):
        check_sums(LEVELS[1], tensors)
