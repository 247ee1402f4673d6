"""The integer network that predicts the codes of pictures: exact, on any machine.

All values are whole numbers held in float32 and every sum stays below 2²⁴ in magnitude, as in
`luxvox.entropy.voice.layers`; only the linear predictors are summed in float64. A layer computes
clamp(floor((Σ w·a + b) / 2^shift + 1/2), 0, 127).

    Q-formats    codes               whole steps, −32767 … 32767
                 companded codes     −104 … 104
                 weights             int8
                 activations, state  0 … 127
                 means               1/8 step
                 scales              index, a quarter of an octave each
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.entropy import int8
from luxvox.entropy.fixed_point import ACCUMULATOR_LIMIT, ACTIVATION_MAX, compand
from luxvox.entropy.picture.lattice import LatticeLevel, LatticePass
from luxvox.errors import ModelError

SHIFTS = {"state": 8, "own": 8, "mid": 7, "out": 9, "spread": 8, "grow": 7, "line": 4}
N_SCALES = 56
MEAN_UNITS = 8  # units of a mean per step
CODE_MAX = 32767
N_STEP_INPUTS = 2
N_LINES = 32  # channels of a pass that use their own neighbours, at most
ALL_TAPS = tuple(range(9))
_SPREAD_AT_ONCE = 1 << 12  # positions, to bound memory
_COMPAND_INPUT = 16  # what a step is in the input to `compand`
COMPANDED: NDArray[np.int8] = (
    compand(torch.arange(-CODE_MAX, CODE_MAX + 1, device="cpu").float() * _COMPAND_INPUT)
    .to(torch.int8)
    .numpy()
)
"""Companded codes, −104 … 104, of all legal codes from −`CODE_MAX` on."""

Tensors = Mapping[str, Tensor]


def table_shapes(level: LatticeLevel, n_next: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a level's tables by name (FORMAT.md, Tensors of pictures).

    Args:
        level: sizes of the level.
        n_next: features of the state of the next level; 0 for the last.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (pass_, hidden) in enumerate(zip(level.passes, level.pass_hidden, strict=True)):
        n = pass_.end - pass_.first
        name = f"pass{number}"
        shapes[f"{name}.state.weight"] = (hidden, level.n_state + N_STEP_INPUTS)
        if pass_.n_known:
            shapes[f"{name}.own.weight"] = (hidden, pass_.n_known, 3, 3)
        shapes |= {
            f"{name}.own.bias": (hidden,),
            f"{name}.mid.weight": (hidden, hidden),
            f"{name}.mid.bias": (hidden,),
            f"{name}.out.weight": (2 * n, hidden),
            f"{name}.out.bias": (2 * n,),
        }
        if pass_.known:
            shapes[f"{name}.line.weight"] = (min(n, N_LINES), 9)
    if level.n_up:
        n_inputs = level.n_channels + level.n_state + N_STEP_INPUTS
        shapes |= {
            "spread.weight": (level.n_up, n_inputs, 3, 3),
            "spread.bias": (level.n_up,),
            "grow.weight": (4 * n_next, level.n_up),
            "grow.bias": (4 * n_next,),
        }
    return shapes


def check_sums(level: LatticeLevel, tensors: Tensors) -> None:
    """Check that no input can bring a sum of any layer to 2²⁴.

    Raises:
        ModelError: the message names the layer.
    """
    layers = [f"pass{n}.{part}" for n in range(len(level.passes)) for part in ("mid", "out")]
    layers += [f"pass{n}.own" for n in range(len(level.passes))]
    layers += ["spread", "grow"] if level.n_up else []
    for layer in layers:
        worst = tensors[f"{layer}.bias"].double().abs()
        weights = [f"{layer}.weight"]
        if layer.endswith(".own"):
            weights.append(layer.replace(".own", ".state") + ".weight")
        for name in weights:
            if name in tensors:
                worst = worst + tensors[name].double().abs().flatten(1).sum(1) * ACTIVATION_MAX
        if float(worst.max()) >= ACCUMULATOR_LIMIT:
            raise ModelError(
                f"{level.name}: sums of {layer} may reach {worst.max():.0f}, limit 2^24"
            )


def step_inputs(log_step_int: int) -> Tensor:
    """Return the inputs [2] for the log-step −127 … 127: itself and its square."""
    return torch.tensor(
        [log_step_int, (log_step_int * log_step_int) >> 7], dtype=torch.float32, device="cpu"
    )


def known_taps(pass_: LatticePass) -> tuple[int, ...]:
    """Return at which of the 9 neighbours the channels of the pass are already known."""
    # All phases of a pass see the same phases around them, so the first one stands for all.
    row, column = pass_.phases[0]
    taps = []
    for tap in range(9):
        phase = ((row + tap // 3 - 1) % 2, (column + tap % 3 - 1) % 2)
        if phase in pass_.known:
            taps.append(tap)
    return tuple(taps)


def next_state(
    level: LatticeLevel,
    tensors: Tensors,
    codes: NDArray[np.int16],
    state: Tensor | None,
    step: Tensor,
) -> Tensor:
    """Return what the next finer level knows of this and all coarser ones.

    Args:
        level: sizes of the level.
        tensors: of the level.
        codes: all codes of the level [C, H, W].
        state: what it knows of the coarser ones, int8 [n_state, H, W], or None.
        step: the inputs of `step_inputs`.

    Returns:
        int8 [n_next, 2 H, 2 W], 0 … 127.
    """
    # Codes, state and step at each position, with a border of zeros.
    n_codes, height, width = codes.shape
    plane = torch.zeros(
        (height + 2, width + 2, n_codes + level.n_state + N_STEP_INPUTS),
        dtype=torch.int8,
        device="cpu",
    )
    inner = plane[1:-1, 1:-1]
    companded = torch.from_numpy(COMPANDED[codes.astype(np.int32) + CODE_MAX])
    inner[:, :, :n_codes] = companded.permute(1, 2, 0)
    if state is not None:
        inner[:, :, n_codes:-N_STEP_INPUTS] = state.permute(1, 2, 0)
    inner[:, :, -N_STEP_INPUTS:] = step.to(torch.int8)

    # 3×3 to n_up features, then four features of n_next for each position.
    spread = tensors["spread.weight"].flatten(2).transpose(1, 2).flatten(1)
    flat = plane.flatten(0, 1)
    parts = []
    for positions in torch.arange(height * width, device="cpu").split(_SPREAD_AT_ONCE):  # type: ignore[no-untyped-call]
        x = neighbours(flat, positions, width, ALL_TAPS).flatten(1)
        x = _activate(int8.linear(x, spread, tensors["spread.bias"]), "spread")
        x = _activate(int8.linear(x, tensors["grow.weight"], tensors["grow.bias"]), "grow")
        parts.append(x.to(torch.int8))

    # [H · W, 4 · n_next] -> [4 · n_next, H, W] -> [n_next, 2 H, 2 W]
    grown = torch.cat(parts).reshape(height, width, -1).permute(2, 0, 1)
    return F.pixel_shuffle(grown, 2)


def predict(
    pass_: LatticePass,
    tensors: Tensors,
    number: int,
    inputs: tuple[Tensor | None, Tensor | None, Tensor | None],
    bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return means in eighths of a step and scale indices at some positions, [N, channels].

    Args:
        pass_: the pass.
        tensors: of its level.
        number: of the pass.
        inputs: state at the positions [N, n_state] and companded codes around them
            [N, 9 · first + taps · (end − first)], both int8 or float32; codes of the channels that
            lean on their neighbours [N, n, 9]. None where nothing leans.
        bias: of the first layer, with the log-step in it.
    """
    state, around, leaning = inputs
    name = f"pass{number}"

    # [N, terms] -> [N, hidden]
    weights = {}
    if state is not None:
        weights["state"] = tensors[f"{name}.state.weight"][:, : state.shape[1]]
    if around is not None:
        weights["own"] = own_matrix(pass_, tensors[f"{name}.own.weight"])
    x = _first_layer([part for part in (state, around) if part is not None], weights, bias)

    x = int8.linear(x, tensors[f"{name}.mid.weight"], tensors[f"{name}.mid.bias"])
    x = _activate(x, "mid")

    # [N, hidden] -> [N, 2 · n] -> means [N, n], scales [N, n]
    x = int8.linear(x, tensors[f"{name}.out.weight"], tensors[f"{name}.out.bias"])
    mean, scale = _rescale(x, SHIFTS["out"]).chunk(2, 1)

    # Companded inputs cannot tell large means apart: the first channels also use codes as they are.
    if leaning is not None:
        taps = tensors[f"{name}.line.weight"]
        lean = (leaning.double() * taps.double()).sum(2)
        lean = _rescale(lean, SHIFTS["line"]).to(mean.dtype)
        mean = mean + F.pad(lean, (0, mean.shape[1] - lean.shape[1]))

    # A rounded mean is itself a legal code, so silent codes are legal and no escape is too long.
    reach = MEAN_UNITS * CODE_MAX
    return mean.clamp(-reach, reach), scale.clamp(0, N_SCALES - 1)


def _first_layer(positions: list[Tensor], weights: Mapping[str, Tensor], bias: Tensor) -> Tensor:
    """Return the hidden features [N, hidden] of a pass; state and own codes may not exist."""
    if not positions:
        return _activate(bias[None].clone(), "own")
    return _activate(
        int8.linear(torch.cat(positions, 1), torch.cat([*weights.values()], 1), bias), "own"
    )


def own_matrix(pass_: LatticePass, weight: Tensor) -> Tensor:
    """Lay out the weights of known codes as `around` is laid out, [hidden, terms]."""
    # [hidden, known, 3, 3] -> [hidden, 9 · first]
    before = weight[:, : pass_.first].flatten(2).transpose(1, 2).flatten(1)

    if not pass_.known:
        return before

    # Of its own channels a pass sees only the known taps: [hidden, taps · (end − first)].
    own = weight[:, pass_.first :].flatten(2)[:, :, list(known_taps(pass_))]
    return torch.cat([before, own.transpose(1, 2).flatten(1)], 1)


def first_bias(tensors: Tensors, number: int, n_state: int, step: Tensor) -> Tensor:
    """Return the bias of a pass's first layer with the log-step added, [hidden]."""
    weight = tensors[f"pass{number}.state.weight"][:, n_state:]
    return tensors[f"pass{number}.own.bias"] + (weight * step).sum(1)


def neighbours(plane: Tensor, positions: Tensor, width: int, taps: tuple[int, ...]) -> Tensor:
    """Return values around some positions of a grid, [N, taps, channels].

    Args:
        plane: [(H + 2) · (W + 2), channels], with a border of zeros.
        positions: flat positions [N] of the grid without border.
        width: of the grid, W.
        taps: 0 … 8, row by row; 4 is the position itself.
    """
    # Positions in the plane with its border; the tap at the top left has the same number.
    padded = (positions // width) * (width + 2) + positions % width
    shifts = torch.tensor(
        [tap // 3 * (width + 2) + tap % 3 for tap in taps], device=positions.device
    )

    # [N] -> [N, taps] -> [N, taps, channels]
    index = padded[:, None] + shifts
    return plane.index_select(0, index.flatten()).reshape(len(positions), len(taps), plane.shape[1])


def _rescale(accumulator: Tensor, shift: int) -> Tensor:
    """Divide by 2^shift and round; the accumulator is not used afterwards."""
    return accumulator.mul_(2.0**-shift).add_(0.5).floor_()


def _activate(accumulator: Tensor, layer: str) -> Tensor:
    return _rescale(accumulator, SHIFTS[layer]).clamp_(0, ACTIVATION_MAX)
