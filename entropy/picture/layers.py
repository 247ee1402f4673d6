"""The integer network that predicts the codes of pictures: exact, on any machine.

All values are whole numbers and every sum stays below 2²⁴ in magnitude, so float32 holds it
exactly, as in `luxvox.entropy.voice.layers`; int8 units and linear predictors sum in int32. A layer
computes clamp(floor((Σ w·a + b) / 2^shift + 1/2), 0, 127).

    Q-formats    codes               whole steps, −32767 … 32767
                 companded codes     −104 … 104
                 weights             int8
                 activations, state  0 … 127
                 means               1/8 step
                 scales              index, a quarter of an octave each
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy import int8
from luxvox.entropy.fixed_point import ACCUMULATOR_LIMIT, ACTIVATION_MAX, compand, rescale
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
        state: what it knows of the coarser ones, int8 [H, W, n_state], or None.
        step: the inputs of `step_inputs`.

    Returns:
        int8 [2 H, 2 W, n_next], 0 … 127.
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
        inner[:, :, n_codes:-N_STEP_INPUTS] = state
    inner[:, :, -N_STEP_INPUTS:] = step.to(torch.int8)

    # 3×3 to n_up features, then n_next features for each of four positions.
    spread = tensors["spread.weight"].flatten(2).transpose(1, 2).flatten(1)
    grow, grow_bias = (
        torch.cat([tensors[f"grow.{part}"][n::4] for n in range(4)]) for part in ("weight", "bias")
    )
    flat = plane.flatten(0, 1)
    parts = []
    for positions in torch.arange(height * width, device="cpu").split(_SPREAD_AT_ONCE):  # type: ignore[no-untyped-call]
        x = neighbours(flat, positions, width, ALL_TAPS).flatten(1)
        x = _layer(x, spread, tensors["spread.bias"], "spread")
        parts.append(_layer(x, grow, grow_bias, "grow").to(torch.int8))

    # [H · W, 4 · n_next] -> [H, 2, W, 2, n_next] -> [2 H, 2 W, n_next]
    grown = torch.cat(parts).reshape(height, width, 2, 2, -1).transpose(1, 2)
    return grown.reshape(2 * height, 2 * width, -1)


@dataclass(frozen=True)
class FirstLayer:
    """The first layer of a pass at a log-step.

    Attributes:
        weight: for state and known codes [hidden, terms], without any if nothing is known.
        bias: with the log-step in it [hidden].
    """

    weight: Tensor
    bias: Tensor


def first_layer(pass_: LatticePass, tensors: Tensors, number: int, step: Tensor) -> FirstLayer:
    """Return the first layer of a pass; `step` are the inputs of `step_inputs`."""
    of_state = tensors[f"pass{number}.state.weight"]
    weights = [of_state[:, :-N_STEP_INPUTS]]
    if pass_.n_known:
        weights.append(own_matrix(pass_, tensors[f"pass{number}.own.weight"]))
    of_step = (of_state[:, -N_STEP_INPUTS:] * step).sum(1)
    return FirstLayer(torch.cat(weights, 1), tensors[f"pass{number}.own.bias"] + of_step)


def predict(
    pass_: LatticePass,
    tensors: Tensors,
    number: int,
    inputs: tuple[Tensor | None, Tensor | None, Tensor | None],
    first: FirstLayer,
) -> tuple[Tensor, Tensor]:
    """Return means in eighths of a step and scale indices at some positions, [N, channels].

    Their type is int32 if int8 units multiplied, else float32.

    Args:
        pass_: the pass.
        tensors: of its level.
        number: of the pass.
        inputs: state at the positions [N, n_state] and companded codes around them
            [N, 9 · first + taps · (end − first)], both int8 or float32; codes of the channels that
            lean on their neighbours, int32 [N, 9, n]. None where nothing leans.
        first: layer of the pass.
    """
    state, around, leaning = inputs
    name = f"pass{number}"

    # [N, terms] -> [N, hidden]
    terms = [part for part in (state, around) if part is not None]
    if terms:
        x = _layer(torch.cat(terms, 1), first.weight, first.bias, "own")
    else:
        x = rescale(first.bias[None], SHIFTS["own"]).clamp_(0, ACTIVATION_MAX)
    x = _layer(x, tensors[f"{name}.mid.weight"], tensors[f"{name}.mid.bias"], "mid")

    # [N, hidden] -> [N, 2 · n] -> means [N, n], scales [N, n]
    weight, offset = tensors[f"{name}.out.weight"], tensors[f"{name}.out.bias"]
    mean, scale = int8.rescaled_linear(x, weight, offset, SHIFTS["out"]).chunk(2, 1)

    # Companded inputs cannot tell large means apart: the first channels also use codes as they are.
    if leaning is not None:
        taps = tensors[f"{name}.line.weight"].T.to(torch.int32)
        lean = (leaning * taps).sum(1, dtype=torch.int32).add_(1 << (SHIFTS["line"] - 1))
        mean[:, : lean.shape[1]] += lean.bitwise_right_shift_(SHIFTS["line"])

    # A rounded mean is itself a legal code, so silent codes are legal and no escape is too long.
    reach = MEAN_UNITS * CODE_MAX
    return mean.clamp(-reach, reach), scale.clamp(0, N_SCALES - 1)


def own_matrix(pass_: LatticePass, weight: Tensor) -> Tensor:
    """Lay out the weights of known codes as `around` is laid out, [hidden, terms]."""
    # [hidden, known, 3, 3] -> [hidden, 9 · first]
    before = weight[:, : pass_.first].flatten(2).transpose(1, 2).flatten(1)

    if not pass_.known:
        return before

    # Of its own channels a pass sees only the known taps: [hidden, taps · (end − first)].
    own = weight[:, pass_.first :].flatten(2)[:, :, list(known_taps(pass_))]
    return torch.cat([before, own.transpose(1, 2).flatten(1)], 1)


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


def _layer(x: Tensor, weight: Tensor, bias: Tensor, name: str) -> Tensor:
    """Return the activations [N, M] of a layer, 0 … 127."""
    return int8.rescaled_linear(x, weight, bias, SHIFTS[name]).clamp_(0, ACTIVATION_MAX)
