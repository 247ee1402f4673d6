"""The walk over the codes of a picture: one order, used to encode, decode, choose and measure.

`walk` goes through the levels and passes of a picture, evaluates the integer context network at the
positions of each pass and hands the prediction to a visitor, which decides or finds out the codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.picture.lattice import LatticeLevel, LatticePass
from luxvox.entropy.picture.layers import (
    ALL_TAPS,
    CODE_MAX,
    COMPANDED,
    N_LINES,
    Tensors,
    check_sums,
    first_layer,
    known_taps,
    neighbours,
    next_state,
    predict,
    step_inputs,
)
from luxvox.entropy.picture.prediction import LatticeCodes, Prediction
from luxvox.entropy.picture.tables import check_counts, coding_of

POSITIONS_AT_ONCE = (
    1 << 11
)  # positions that the network is evaluated at together: they fit in the cache


class Visitor(Protocol):
    """Decides or finds out the codes of each prediction of a walk."""

    def wants(self, section: int) -> bool:
        """Return whether the walk should go into a section."""

    def visit(self, prediction: Prediction) -> NDArray[np.int32]:
        """Return the codes [N, channels] of a prediction."""


class LatticeContext:
    """The integer context model of pictures.

    Args:
        levels: plan of the levels, coarse to fine.
        tensors: integer weights by level, float32 tensors that hold whole numbers.
        counts: tables of counts [N_TABLES, 64].

    Raises:
        ModelError: if a sum could reach 2²⁴ or a table is invalid.
    """

    def __init__(
        self,
        levels: tuple[LatticeLevel, ...],
        tensors: Mapping[str, Tensors],
        counts: NDArray[np.int64],
    ) -> None:
        self.levels = levels
        self.tensors = dict(tensors)
        self.counts = counts
        check_counts(counts)
        for level in levels:
            check_sums(level, self.tensors[level.name])


class Walk:
    """A walk over the codes of one picture, or of a band of one, level by level.

    Args:
        context: the integer context model.
        grids: (height, width) of each level.
        log_step_int: log-step, −127 (finest) … 127 (coarsest).
        visitor: decides or finds out the codes.
        joined: whether all codes belong to section 1, as those of small pictures do.

    Attributes:
        codes: by level [channels, H, W], of the levels that were visited; zero in sections that the
            visitor does not want.
    """

    def __init__(
        self,
        context: LatticeContext,
        grids: Mapping[str, tuple[int, int]],
        log_step_int: int,
        visitor: Visitor,
        joined: bool = False,
    ) -> None:
        self.codes: dict[str, LatticeCodes] = {}
        self._context, self._visitor, self._grids = context, visitor, grids
        self._step = step_inputs(log_step_int)
        # What the level before the next one knows of coarser ones, int8 [H, W, n_state].
        self._state: Tensor | None = None
        levels = context.levels
        self._sections = {
            level.name: (1,) * len(level.sections) if joined else level.sections for level in levels
        }
        while levels and not any(map(visitor.wants, self._sections[levels[-1].name])):
            levels = levels[:-1]
        self._levels = levels
        self._n_done = 0

    def next_level(self) -> LatticeCodes:
        """Visit the codes of the next finer level, and return them."""
        level = self._context.levels[self._n_done]
        codes = np.zeros((level.n_channels, *self._grids[level.name]), np.int16)
        self.codes[level.name] = codes
        if level in self._levels:
            # Autocast, which a caller may have set for float networks, would round here.
            with torch.autocast("cpu", enabled=False), torch.inference_mode():
                self._learn_state()
                tensors = self._context.tensors[level.name]
                walker = _LevelWalk(level, tensors, self._state, self._step, codes)
                for number, section in enumerate(self._sections[level.name]):
                    if self._visitor.wants(section):
                        prediction = walker.look(number, section, self._context.counts)
                        walker.learn(prediction, self._visitor.visit(prediction))
        self._n_done += 1
        return codes

    def _learn_state(self) -> None:
        """Find out what the next level knows of the coarser ones.

        That takes four times as much memory as what the level before knows, so it waits until the
        level begins: of a large picture, not all bands do at once.
        """
        if not self._n_done:
            return
        level = self._context.levels[self._n_done - 1]
        tensors = self._context.tensors[level.name]
        own = self.codes[level.name]
        self._state = next_state(level, tensors, own, self._state, self._step)


def walk(
    context: LatticeContext,
    grids: Mapping[str, tuple[int, int]],
    log_step_int: int,
    visitor: Visitor,
    joined: bool = False,
) -> dict[str, LatticeCodes]:
    """Walk over all codes of one picture; as `Walk`, whose codes are returned."""
    whole = Walk(context, grids, log_step_int, visitor, joined)
    for _ in context.levels:
        whole.next_level()
    return whole.codes


class _LevelWalk:
    """One level of a walk: what is known of it so far."""

    def __init__(
        self,
        level: LatticeLevel,
        tensors: Tensors,
        state: Tensor | None,
        step: Tensor,
        codes: LatticeCodes,
    ) -> None:
        self._level = level
        self._tensors = tensors
        self._step = step
        self._codes = codes
        height, width = codes.shape[1:]
        self._width = width
        # [H, W, n_state] -> [H · W, n_state]
        self._state = None if state is None else state.flatten(0, 1)
        # Known codes with a border of zeros, [(H + 2) · (W + 2), C].
        size = (height + 2) * (width + 2), len(codes)
        self._known = torch.zeros(size, dtype=torch.int32, device="cpu")
        self._companded = torch.zeros(size, dtype=torch.int8, device="cpu")

    def look(self, number: int, section: int, counts: NDArray[np.int64]) -> Prediction:
        """Predict a pass."""
        pass_ = self._level.passes[number]
        positions = np.flatnonzero(pass_.mask(*self._codes.shape[1:]))
        first = first_layer(pass_, self._tensors, number, self._step)
        means = np.zeros((len(positions), pass_.end - pass_.first), np.int32)
        scales = np.zeros_like(means)
        for start in range(0, len(positions), POSITIONS_AT_ONCE):
            batch = slice(start, start + POSITIONS_AT_ONCE)
            inputs = self._inputs(pass_, torch.from_numpy(positions[batch]))
            mean, scale = predict(pass_, self._tensors, number, inputs, first)
            means[batch], scales[batch] = mean.numpy(), scale.numpy()
        coding = coding_of(means, scales)
        return Prediction(
            self._level.name, section, pass_.first, pass_.end, positions, coding, means, counts
        )

    def _inputs(
        self, pass_: LatticePass, positions: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        state = None if self._state is None else self._state.index_select(0, positions)
        around = []
        if pass_.first:
            before = neighbours(self._companded[:, : pass_.first], positions, self._width, ALL_TAPS)
            around.append(before.flatten(1))
        leaning: Tensor | None = None
        if pass_.known:
            own = self._companded[:, pass_.first : pass_.end]
            around.append(neighbours(own, positions, self._width, known_taps(pass_)).flatten(1))
            n = min(pass_.end - pass_.first, N_LINES)
            lines = self._known[:, pass_.first : pass_.first + n]
            leaning = neighbours(lines, positions, self._width, ALL_TAPS)
        return state, torch.cat(around, 1) if around else None, leaning

    def learn(self, prediction: Prediction, codes: NDArray[np.int32]) -> None:
        """Add the codes [N, channels] of a prediction to what is known."""
        channels = slice(prediction.first, prediction.end)
        flat = self._codes.reshape(len(self._codes), -1)
        flat[channels, prediction.positions] = codes.T
        positions = torch.from_numpy(prediction.positions)
        padded = (positions // self._width + 1) * (self._width + 2) + positions % self._width + 1
        leaning = slice(prediction.first, min(prediction.first + N_LINES, prediction.end))
        self._known[padded, leaning] = torch.from_numpy(codes[:, :N_LINES])
        self._companded[padded, channels] = torch.from_numpy(COMPANDED[codes + CODE_MAX])
