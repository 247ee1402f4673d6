"""The integer context model: predicts every code from what is known, exactly, on any machine.

All values are whole numbers held in float32; every accumulator stays below 2²⁴ in magnitude, so
float32 sums are exact in any order, with any number of threads, in any memory layout.

    Q-formats    codewords           int16, 1/16 step
                 inputs              int8, companded (`compand`)
                 weights             int8, real value · 2^shift of the layer
                 activations         0 … 127 (trunk), −127 … 127 (hidden)
                 logits              1/16 bit

A layer computes clamp(floor((Σ w·a + b) / 2^shift + 1/2)).  The same functions run the float twin
in training (`luxvox.models.context`), which feeds them rounded weights and lets gradients pass
the roundings straight through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.entropy.pmf import counts_from_logits
from luxvox.entropy.walk import Codes, LevelPlan
from luxvox.errors import ModelError

ACTIVATION_MAX = 127
ACCUMULATOR_LIMIT = 1 << 24
CODEWORD_SCALE = 16
SHIFTS = {
    **{"conv1": 8, "conv2": 7, "conv3": 8, "conv4": 7},
    **{"head": 7, "flag": 5, "table": 5, "slope": 5},
}
SLOPE_MAX = 96  # in 1/8 octave
SLOPE_SHIFT = 10
DISTANCE_MAX = 4095  # 256 steps
N_GRADIENTS = 4  # parent channels whose horizontal and vertical differences are inputs
STRIP_POSITIONS = 1 << 15  # the trunk is evaluated in strips of about so many positions
ROWS_AT_ONCE = 1 << 12
_HALO = 2  # rows a position's features depend on, above and below


def _compand_table() -> NDArray[np.int16]:
    """The integer logarithm of 2v + 8 with three fraction bits, for v = 0 … 32767."""
    u = 2 * np.arange(32768, dtype=np.int64) + 8
    exponent = np.zeros_like(u)
    for shift in range(3, 18):
        exponent[u >> shift > 0] = shift
    return (8 * (exponent - 3) + ((u >> (exponent - 3)) & 7)).astype(np.int16)


_COMPAND = torch.from_numpy(_compand_table().astype(np.float32))


def compand(values: Tensor) -> Tensor:
    """Map latents in 1/16 step (whole numbers) to −104 … 104, about logarithmically."""
    magnitude = values.abs().clamp(max=32767).long()
    return _COMPAND.to(values.device)[magnitude] * values.sign()


def rescale(accumulator: Tensor, shift: int) -> Tensor:
    """Return floor(accumulator / 2^shift + 1/2); gradients pass straight through."""
    scaled = accumulator * 2.0**-shift
    rounded = torch.floor(scaled + 0.5)
    return scaled + (rounded - scaled).detach() if scaled.requires_grad else rounded


def haar_inverse(x: Tensor) -> Tensor:
    """Integer inverse Haar: [B, 4C, H, W] (coefficient × band) to [B, C, 2H, 2W].

    Each output is floor((±a ± b ± c ± d) / 2).
    """
    batch, channels, height, width = x.shape
    mean, horizontal, vertical, diagonal = x.reshape(batch, channels // 4, 4, height, width).unbind(
        2
    )
    pixels = torch.stack(
        [
            mean + horizontal + vertical + diagonal,
            mean - horizontal + vertical - diagonal,
            mean + horizontal - vertical - diagonal,
            mean - horizontal - vertical + diagonal,
        ],
        dim=2,
    )
    halves = torch.floor(pixels * 0.5).reshape(batch, channels, height, width)
    return F.pixel_shuffle(halves, 2)


@dataclass(frozen=True)
class LevelShape:
    """Sizes of a level's context network.

    Attributes:
        n_channels: latent channels of the level.
        n_parent: channels that the level above gives at this stride; 0 for the first level.
        width: channels of the trunk.
        hidden: features of each group that the logits are made of.
    """

    n_channels: int
    n_parent: int
    width: int
    hidden: int

    @property
    def n_inputs(self) -> int:
        """Own latents, parent, its gradients, where to predict, log-step and its square."""
        gradients = 2 * min(N_GRADIENTS, self.n_parent)
        return self.n_channels + self.n_parent + gradients + 3


Tensors = Mapping[str, Tensor]


def level_inputs(own: Tensor, parent: Tensor | None, mask: Tensor, position: Tensor) -> Tensor:
    """Stack the inputs of the trunk.

    Args:
        own: sums of known codewords [B, C, H, W] in 1/16 step.
        parent: the same of the level above at this stride [B, P, H, W], or None.
        mask: 1 where codes are about to be predicted [B, 1, H, W].
        position: log-step [B], whole numbers −127 … 127.
    """
    parts = [compand(own)]
    if parent is not None:
        first = parent[:, :N_GRADIENTS]
        across = F.pad(first, (1, 1, 0, 0), mode="replicate")
        down = F.pad(first, (0, 0, 1, 1), mode="replicate")
        parts += [
            compand(parent),
            compand(across[..., 2:] - across[..., :-2]),
            compand(down[:, :, 2:] - down[:, :, :-2]),
        ]
    plane = torch.ones_like(mask) * position[:, None, None, None]
    parts += [mask * ACTIVATION_MAX, plane, torch.floor(plane * plane / 128.0)]
    return torch.cat(parts, 1)


def trunk(inputs: Tensor, tensors: Tensors, index: Tensor) -> Tensor:
    """Evaluate the shared part of a level's network: [B, n_inputs, H, W] → [B, width, H, W].

    Args:
        inputs: whole numbers −127 … 127.
        tensors: `conv1.weight` … `conv4.bias`; `conv1.bias` is [n_passes, width].
        index: the pass of each sample [B].
    """
    x = F.conv2d(inputs, tensors["conv1.weight"], padding=1)
    x = _activate(x + tensors["conv1.bias"][index][:, :, None, None], "conv1")
    x = _activate(F.conv2d(x, tensors["conv2.weight"], tensors["conv2.bias"]), "conv2")
    x = F.conv2d(x, tensors["conv3.weight"], tensors["conv3.bias"], padding=1)
    x = _activate(x, "conv3")
    return _activate(F.conv2d(x, tensors["conv4.weight"], tensors["conv4.bias"]), "conv4")


def _activate(accumulator: Tensor, layer: str) -> Tensor:
    return rescale(accumulator, SHIFTS[layer]).clamp(0, ACTIVATION_MAX)


def hidden_features(
    features: Tensor, tensors: Tensors, stage: int, groups: slice, previous: Tensor | None
) -> Tensor:
    """Turn trunk features [N, width] into hidden vectors [N, groups, hidden].

    Args:
        features: whole numbers 0 … 127.
        tensors: `head.weight` [stages, G, hidden, width], `head.bias` [stages, G, hidden],
            `embedding` [stages − 1, G, K, hidden].
        stage: which stage is predicted.
        groups: which groups are.
        previous: codes of the stage before [N, groups] (int64), None in the first stage.
    """
    weight = tensors["head.weight"][stage, groups]
    n_groups, hidden, width = weight.shape
    bias = tensors["head.bias"][stage, groups].reshape(-1)
    x = rescale(F.linear(features, weight.reshape(-1, width), bias), SHIFTS["head"])
    x = x.reshape(-1, n_groups, hidden)
    if previous is not None:
        table = tensors["embedding"][stage - 1, groups]
        x = x + table[torch.arange(n_groups, device=x.device)[None], previous]
    return x.clamp(-ACTIVATION_MAX, ACTIVATION_MAX)


def flag_logits(hidden: Tensor, tensors: Tensors, stage: int, groups: slice) -> Tensor:
    """Return the logit of null against not null [N, groups] in 1/16 bit."""
    accumulator = (hidden * tensors["flag.weight"][stage, groups]).sum(-1)
    return rescale(accumulator + tensors["flag.bias"][stage, groups], SHIFTS["flag"])


def code_logits(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits [n, K − 1] in 1/16 bit of the words that are not null.

    Args:
        hidden: [n, hidden] of one group.
        weight, bias: that group's part of `table.weight` [K − 1, hidden], `table.bias` [K − 1].
    """
    return rescale(F.linear(hidden, weight, bias), SHIFTS["table"])


def has_slopes(tensors: Tensors, stage: int, first_group: int, index: int) -> bool:
    """Return whether a prediction leans on the mean of known neighbours.

    It does in a level with `slope.weight`, in the first stage, for its first groups (each of one
    channel), in all passes but the first, which has no known neighbours.
    """
    return "slope.weight" in tensors and stage == 0 and first_group == 0 and index > 0


def neighbour_means(own: Tensor, known: Tensor) -> Tensor:
    """Return means of the known neighbours of each place: [B, C, H, W] in 1/16 step.

    Args:
        own: sums of known codewords [B, C, H, W] in 1/16 step; zero where unknown.
        known: 1 where they are known [B or 1, 1, H, W].

    Neighbours count 2 beside and above, 1 across a corner; the quotient is rounded half up.
    """
    kernel = torch.tensor([[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]], device=own.device)
    channels = own.shape[1]
    total = F.conv2d(own, kernel.expand(channels, 1, 3, 3), padding=1, groups=channels)
    weight = F.conv2d(known, kernel.expand(1, 1, 3, 3), padding=1).clamp(min=1.0)
    return torch.floor(total.double() / weight.double() + 0.5).to(own.dtype)


def slopes(hidden: Tensor, tensors: Tensors, groups: slice) -> Tensor:
    """Return slopes [N, groups]: what a distance of one step costs, in 1/64 of 1/16 bit.

    Whole numbers (SLOPE_BASE[s mod 8] << (s div 8)) >> 8, about 2^(s/8); gradients pass the
    rounding straight through.
    """
    accumulator = (hidden * tensors["slope.weight"][groups]).sum(-1) + tensors["slope.bias"][groups]
    s = rescale(accumulator, SHIFTS["slope"]).clamp(0, SLOPE_MAX)
    smooth = torch.exp2(s / 8.0)
    exact = _SLOPES.to(s.device)[s.detach().long()]
    return smooth + (exact - smooth).detach() if s.requires_grad else exact


# round(2^(8 + r/8)) for r = 0 … 7
SLOPE_BASE = (256, 279, 304, 332, 362, 395, 431, 470)
_SLOPES = torch.tensor([float((SLOPE_BASE[s % 8] << (s // 8)) >> 8) for s in range(SLOPE_MAX + 1)])


def distance_cost(slope: Tensor, distance: Tensor) -> Tensor:
    """Return what distances (whole numbers ≥ 0, in 1/16 step) take off a logit, in 1/16 bit."""
    return rescale(slope * distance.clamp(max=DISTANCE_MAX), SLOPE_SHIFT)


def codeword_sum(codes: Tensor, codewords: Tensor, slots: Tensor, n_channels: int) -> Tensor:
    """Sum the codewords of given codes of some stages.

    Args:
        codes: int64 [B, stages, groups, H, W].
        codewords: [stages, groups, K, 8], whole numbers in 1/16 step.
        slots: channel of each component [groups, 8]; padding is `n_channels`.
        n_channels: channels of the level.

    Returns:
        [B, n_channels, H, W] in 1/16 step.
    """
    batch, stages, groups, height, width = codes.shape
    index = codes.permute(1, 2, 0, 3, 4).reshape(stages, groups, -1, 1)
    vectors = codewords.gather(2, index.expand(-1, -1, -1, slots.shape[1])).sum(0)
    flat = vectors.new_zeros(n_channels + 1, vectors.shape[1])
    flat[slots.reshape(-1)] = vectors.transpose(1, 2).reshape(-1, vectors.shape[1])
    return flat[:n_channels].reshape(-1, batch, height, width).transpose(0, 1)


class Prediction:
    """What the context model says of one stage of one pass.

    Attributes:
        level, stage, section: where the codes belong.
        groups: range of groups predicted.
        rows: flat positions predicted [N], ascending.
        alive: bool [N, groups]; where False the code is null without being coded.
    """

    def __init__(
        self,
        tensors: Tensors,
        place: tuple[str, int, int],
        groups: slice,
        rows: NDArray[np.int64],
        features: Tensor,
        previous: Tensor | None,
        means: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.level, self.stage, self.section = place
        self.groups = groups
        self.rows = rows
        n_groups = groups.stop - groups.start
        self.alive: NDArray[np.bool_] = (
            np.ones((len(rows), n_groups), np.bool_)
            if previous is None
            else (previous != 0).numpy()
        )
        self._tensors = tensors
        self._features = features
        self._previous = previous
        self._means = means
        self._flag_logits: NDArray[np.int32] | None = None

    def pick(self, codes: Codes) -> Codes:
        """Take the codes [N, groups] this prediction is about from those of the level."""
        flat = codes[self.stage, self.groups].reshape(self.alive.shape[1], -1)
        return np.ascontiguousarray(flat[:, self.rows].T)

    def flag_logits(self) -> NDArray[np.int32]:
        """Return logits of null [N, groups] in 1/16 bit."""
        if self._flag_logits is None:
            parts = []
            for start in range(0, len(self.rows), ROWS_AT_ONCE):
                some = slice(start, start + ROWS_AT_ONCE)
                hidden = self._hidden(some, self.groups)
                logits = flag_logits(hidden, self._tensors, self.stage, self.groups)
                if self._means is not None:
                    slope = slopes(hidden, self._tensors, self.groups)
                    logits = logits - distance_cost(slope, self._means[0][some].abs())
                parts.append(logits)
            self._flag_logits = _int32(torch.cat(parts))
        return self._flag_logits

    def code_logits(self, group: int, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return logits [n, K − 1] in 1/16 bit for some of the positions; group as in `pick`."""
        index = self.groups.start + group
        hidden = self._hidden(torch.from_numpy(rows), slice(index, index + 1))[:, 0]
        weight, bias = (
            self._tensors[f"table.{part}"][self.stage, index] for part in ("weight", "bias")
        )
        logits = code_logits(hidden, weight, bias)
        if self._means is not None:
            means, words = self._means
            slope = slopes(hidden[:, None], self._tensors, slice(index, index + 1))
            distance = (words[index] - means[torch.from_numpy(rows), group, None]).abs()
            logits = logits - distance_cost(slope, distance)
        return _int32(logits)

    def _hidden(self, rows: slice | Tensor, groups: slice) -> Tensor:
        """Hidden vectors [n, groups, hidden] of some positions; never of all, to save memory."""
        previous = self._previous
        if previous is not None:
            first = groups.start - self.groups.start
            previous = previous[rows, first : first + groups.stop - groups.start]
        return hidden_features(self._features[rows], self._tensors, self.stage, groups, previous)

    def flag_counts(self) -> NDArray[np.int64]:
        """Return counts [places alive, 2] of null and not null."""
        logits = self.flag_logits()[self.alive]
        return counts_from_logits(np.stack([logits, np.zeros_like(logits)], 1))

    def code_counts(self, group: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return counts [n, K − 1] of the words that are not null."""
        return counts_from_logits(self.code_logits(group, rows))


def _int32(values: Tensor) -> NDArray[np.int32]:
    array: NDArray[np.int32] = values.to(torch.int32).numpy()
    return array


@dataclass(frozen=True)
class ContextLevel:
    """Integer tables of one level, as float32 tensors that hold whole numbers."""

    shape: LevelShape
    tensors: dict[str, Tensor]
    codewords: Tensor
    slots: Tensor
    parent_order: Tensor | None


class Context:
    """The integer context model of a codec.

    Args:
        plan: the walk.
        levels: tables by level.

    Raises:
        ModelError: if an accumulator could reach 2²⁴.
    """

    def __init__(self, plan: tuple[LevelPlan, ...], levels: Mapping[str, ContextLevel]) -> None:
        self.plan = plan
        self.levels = dict(levels)
        for name, level in self.levels.items():
            check_accumulators(name, level.tensors)

    def start(self, shapes: Mapping[str, tuple[int, int]], position: int) -> _Walk:
        """Begin a walk; see `luxvox.entropy.walk.walk`."""
        return _Walk(self, shapes, position)


def check_accumulators(name: str, tensors: Tensors) -> None:
    """Check that no input can bring a sum of any layer to 2²⁴.

    Raises:
        ModelError: naming the layer.
    """
    for layer in SHIFTS:
        if layer == "slope" and "slope.weight" not in tensors:
            continue
        weight = tensors[f"{layer}.weight"].double().abs()
        bias = tensors[f"{layer}.bias"].double().abs()
        if layer.startswith("conv"):
            worst = weight.sum(dim=(1, 2, 3)) * ACTIVATION_MAX + bias
        else:
            worst = weight.sum(-1) * ACTIVATION_MAX + bias
        if float(worst.max()) >= ACCUMULATOR_LIMIT:
            raise ModelError(f"{name}: sums of {layer} may reach {worst.max():.0f}, limit 2^24")


class _Walk:
    """What is known in the course of one walk."""

    def __init__(
        self, context: Context, shapes: Mapping[str, tuple[int, int]], position: int
    ) -> None:
        self._context = context
        self._shapes = shapes
        self._position = torch.tensor([float(position)])
        self._merged: Tensor | None = None
        self._own: dict[str, Tensor] = {}
        self._parent: Tensor | None = None

    def look(self, plan: LevelPlan, index: int, codes: Codes) -> _View:
        """Evaluate the trunk for a pass, lazily."""
        self._open(plan.name)
        level = self._context.levels[plan.name]
        return _View(
            level, plan, index, codes, (self._own[plan.name], self._parent, self._position)
        )

    def _open(self, name: str) -> None:
        if name not in self._own:
            level = self._context.levels[name]
            self._own[name] = torch.zeros(1, level.shape.n_channels, *self._shapes[name])
            self._parent = parent_latents(self._merged, level)

    def close(self, name: str) -> None:
        """Hand the sums of a finished level on to the next, zeros if all of it was null."""
        self._open(name)
        own = self._own.pop(name)
        self._merged = own if self._parent is None else torch.cat([self._parent, own], 1)


def parent_latents(merged: Tensor | None, level: ContextLevel) -> Tensor | None:
    """Bring the sums of the levels above to this level's grid by the integer inverse Haar."""
    if merged is None or level.parent_order is None:
        return None
    return haar_inverse(merged[:, level.parent_order])


class _View:
    """One pass of a walk: predicts its stages in turn and learns their codes."""

    def __init__(
        self,
        level: ContextLevel,
        plan: LevelPlan,
        index: int,
        codes: Codes,
        known: tuple[Tensor, Tensor | None, Tensor],
    ) -> None:
        self._level = level
        self._plan = plan
        self._index = index
        self._pass = plan.passes[index]
        self._codes = codes
        self._known = known
        self._groups = slice(self._pass.first_group, self._pass.end_group)
        self._rows: NDArray[np.int64] | None = None
        self._features: Tensor | None = None

    def predict(self, stage: int) -> Prediction | None:
        """Predict a stage; None if nothing of it is left to code."""
        height, width = self._codes.shape[2:]
        rows = np.flatnonzero(self._pass.mask(height, width))
        previous: NDArray[np.int64] | None = None
        if stage > 0:
            flat = self._codes[stage - 1, self._groups].reshape(-1, height * width)
            previous = flat[:, rows].T.astype(np.int64)
            some = (previous != 0).any(axis=1)
            rows, previous = rows[some], previous[some]
        if not len(rows):
            return None
        place = (self._plan.name, stage, self._plan.sections[stage])
        words = None if previous is None else torch.from_numpy(previous)
        features = self._trunk(rows)
        means = self._means(rows) if has_slopes(*self._slope_case(stage)) else None
        return Prediction(self._level.tensors, place, self._groups, rows, features, words, means)

    def _slope_case(self, stage: int) -> tuple[Tensors, int, int, int]:
        return self._level.tensors, stage, self._pass.first_group, self._index

    def _means(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Means of known neighbours [N, groups], and the first channel of all words [G, K − 1]."""
        own = self._known[0][:, self._groups]
        known = torch.zeros(own.shape[2:])
        for one in self._plan.passes[: self._index]:
            known[torch.from_numpy(one.mask(*own.shape[2:]))] = 1.0
        means = neighbour_means(own, known[None, None])[0].flatten(1)
        return means[:, torch.from_numpy(rows)].T, self._level.codewords[0, :, 1:, 0]

    def _trunk(self, rows: NDArray[np.int64]) -> Tensor:
        """Features [len(rows), width], evaluated once a pass, in strips to bound memory."""
        if self._features is None or self._rows is None:
            self._features = self._evaluate(rows)
            self._rows = rows
            return self._features
        return self._features[torch.from_numpy(np.searchsorted(self._rows, rows))]

    def _evaluate(self, rows: NDArray[np.int64]) -> Tensor:
        own, parent, position = self._known
        height, width = own.shape[2:]
        mask = torch.from_numpy(self._pass.mask(height, width))[None, None].float()
        index = torch.tensor([self._index])
        inputs = level_inputs(own, parent, mask, position)
        strip = max(STRIP_POSITIONS // width, 4 * _HALO)
        parts = []
        for first in range(0, height, strip):
            last = min(first + strip, height)
            chosen = rows[(rows >= first * width) & (rows < last * width)]
            if not len(chosen):
                continue
            low, high = max(first - _HALO, 0), min(last + _HALO, height)
            part = inputs[:, :, low:high].contiguous(memory_format=torch.channels_last)
            features = trunk(part, self._level.tensors, index)
            flat = features[0].permute(1, 2, 0).reshape(-1, features.shape[1])
            parts.append(flat[torch.from_numpy(chosen - low * width)])
        return torch.cat(parts)

    def learn(self, rows_codes: Codes, prediction: Prediction) -> None:
        """Take the codes [N, groups] of a prediction into what is known."""
        stage = prediction.stage
        flat = self._codes[stage].reshape(self._codes.shape[1], -1)
        flat[self._groups][:, prediction.rows] = rows_codes.T
        used = torch.from_numpy(np.flatnonzero(rows_codes.any(axis=1)))
        if not len(used):
            return
        codes = torch.from_numpy(rows_codes[used.numpy()].astype(np.int64))
        vectors = codeword_sum(
            codes.T[None, None, :, None, :].contiguous(),
            self._level.codewords[stage : stage + 1, self._groups],
            self._level.slots[self._groups],
            self._level.shape.n_channels,
        )[0, :, 0]
        own = self._known[0].view(self._known[0].shape[1], -1)
        own[:, torch.from_numpy(prediction.rows)[used]] += vectors
