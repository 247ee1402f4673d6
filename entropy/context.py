"""The integer context model: predicts every code from what is known, exactly, on any machine.

`luxvox.entropy.layers` has its arithmetic; this is what it says of a place (`Prediction`), and
what is known in the course of a walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.layers import (
    LevelShape,
    Tensors,
    check_accumulators,
    code_logits,
    codeword_sum,
    depth_plane,
    distance_cost,
    flag_logits,
    haar_inverse,
    has_slopes,
    hidden_features,
    level_inputs,
    line_features,
    neighbour_means,
    slopes,
    trunk,
)
from luxvox.entropy.pmf import counts_from_logits
from luxvox.entropy.walk import Codes, LevelPlan, code_type

STRIP_POSITIONS = 1 << 15  # the trunk is evaluated in strips of about so many positions
ROWS_AT_ONCE = 1 << 12
MOST_KEPT = 1 << 20  # logits of codes, 4 MB
_HALO = 2  # rows a position's features depend on, above and below


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
        self._kept: tuple[int, NDArray[np.int64], NDArray[np.int32]] | None = None

    def nulls(self) -> Codes:
        """Return null codes [N, groups], of the type that holds this level's codes."""
        return np.zeros(self.alive.shape, code_type(self._tensors["table.bias"].shape[2] + 1))

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
        """Return logits [n, K − 1] in 1/16 bit for some of the positions; group as in `pick`.

        Positions ascend. Few logits are kept: whoever chooses a code by them asks again to code it.
        """
        if self._kept is not None and self._kept[0] == group:
            _, known, kept = self._kept
            place = np.searchsorted(known, rows).clip(max=len(known) - 1)
            if np.array_equal(known[place], rows):
                some: NDArray[np.int32] = kept[place]
                return some
        logits = self._code_logits(group, rows)
        if 0 < logits.size <= MOST_KEPT:
            self._kept = group, rows, logits
        return logits

    def _code_logits(self, group: int, rows: NDArray[np.int64]) -> NDArray[np.int32]:
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

    @contextmanager
    def walking(self, shapes: Mapping[str, tuple[int, int]], position: int) -> Iterator[_Walk]:
        """Begin a walk; see `luxvox.entropy.walk.walk`.

        Autocast, which a caller may have set for float networks, would round in here.
        """
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            yield _Walk(self, shapes, position)


class _Walk:
    """What is known in the course of one walk."""

    def __init__(
        self, context: Context, shapes: Mapping[str, tuple[int, int]], position: int
    ) -> None:
        self._context = context
        self._shapes = shapes
        self._position = torch.tensor([position], dtype=torch.float32, device="cpu")
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
            self._own[name] = torch.zeros(
                (1, level.shape.n_channels, *self._shapes[name]),
                dtype=level.codewords.dtype,
                device="cpu",
            )
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
        known = torch.zeros(own.shape[2:], dtype=own.dtype, device="cpu")
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
        index = torch.tensor([self._index], device="cpu")
        depth = self._depth() if self._level.shape.depth else None
        if self._level.shape.of_lines:
            tensors, at = self._level.tensors, torch.from_numpy(rows)
            return line_features(own, mask, position, depth, tensors, self._index, at)
        inputs = level_inputs(own, parent, mask, position, depth)
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

    def _depth(self) -> Tensor:
        return depth_plane(torch.from_numpy((self._codes != 0)[None]))

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
