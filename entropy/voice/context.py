"""The integer context model of voices: it predicts every code from the codes known so far.

`luxvox.entropy.voice.layers` holds the arithmetic. This module holds the predictions for frames
(`Prediction`), and the state of a walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.pmf import counts_from_logits
from luxvox.entropy.voice.layers import (
    LevelShape,
    Lines,
    Tensors,
    check_accumulators,
    code_logits,
    codeword_sum,
    depth_input,
    flag_logits,
    hidden_features,
    line_features,
)
from luxvox.entropy.voice.plan import Codes, LevelPlan, code_type

MAX_KEPT = 1 << 20  # at most this many logits are kept, 4 MB


class Prediction:
    """The prediction of the context model for one stage at some frames.

    Attributes:
        level, stage, section: where the codes belong.
        positions: predicted frames [N], ascending; their code of the stage before is not null.
    """

    def __init__(
        self,
        tensors: Tensors,
        cell: tuple[str, int, int],
        positions: NDArray[np.int64],
        hidden: Tensor,
    ) -> None:
        self.level, self.stage, self.section = cell
        self.positions = positions
        self._tensors = tensors
        self._hidden = hidden
        self._kept: tuple[NDArray[np.int64], NDArray[np.int32]] | None = None

    def nulls(self) -> Codes:
        """Return null codes [N], of the type of this level's codes."""
        return np.zeros(len(self.positions), code_type(self._tensors["table.bias"].shape[2] + 1))

    def pick(self, codes: Codes) -> Codes:
        """Return the predicted codes [N] out of all codes of the level [stages, 1, 1, F]."""
        own: Codes = codes[self.stage, 0, 0, self.positions]
        return own

    def code_logits(self, positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return logits [n, K − 1] in 1/16 bit of codewords, for some of the frames by their index.

        Indices ascend.
        """
        # A source that chooses codes by their logits needs them again for coding.
        if self._kept is not None:
            known, kept = self._kept
            index = np.searchsorted(known, positions).clip(max=len(known) - 1)
            if np.array_equal(known[index], positions):
                again: NDArray[np.int32] = kept[index]
                return again

        # [n, hidden] -> [n, K − 1]
        hidden = self._hidden[torch.from_numpy(positions)]
        logits = _int32(code_logits(hidden, self._tensors, self.stage))

        if 0 < logits.size <= MAX_KEPT:
            self._kept = positions, logits
        return logits

    def flag_counts(self) -> NDArray[np.int64]:
        """Return counts [N, 2] of null and not null."""
        # [N] -> [N, 2]: null has the logit, not null has 0.
        logits = _int32(flag_logits(self._hidden, self._tensors, self.stage))
        return counts_from_logits(np.stack([logits, np.zeros_like(logits)], 1))

    def code_counts(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return counts [n, K − 1] of all codewords except null, for some of the frames."""
        return counts_from_logits(self.code_logits(positions))


def _int32(values: Tensor) -> NDArray[np.int32]:
    array: NDArray[np.int32] = values.to(torch.int32).numpy()
    return array


@dataclass(frozen=True)
class ContextLevel:
    """Integer tables of a level, as float32 tensors that hold whole numbers.

    Attributes:
        shape: sizes of the network.
        tensors: its tables by name.
        codewords: [stages, 1, K, channels] in 1/16 step.
    """

    shape: LevelShape
    tensors: dict[str, Tensor]
    codewords: Tensor


class Context:
    """The integer context model of a codec.

    Args:
        plan: the walk, over one level.
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
    def walking(self, codes: Codes, log_step_int: int) -> Iterator[_Walk]:
        """Begin a walk that fills codes [stages, F]; see `luxvox.entropy.voice.walk.walk`.

        Autocast, which a caller may have set for float networks, would round here.
        """
        plan = self.plan[0]
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            yield _Walk(self.levels[plan.name], plan, codes, log_step_int)


class _Walk:
    """The state of one walk."""

    def __init__(
        self, level: ContextLevel, plan: LevelPlan, codes: Codes, log_step_int: int
    ) -> None:
        self._level = level
        self._plan = plan
        self._codes = codes
        self._log_step_int = torch.tensor([log_step_int], dtype=torch.float32, device="cpu")
        self._own = torch.zeros(
            (codes.shape[1], level.shape.n_channels), dtype=level.codewords.dtype, device="cpu"
        )

    def predict(self, index: int) -> Prediction | None:
        """Predict the codes of a pass; None if all its frames have ended."""
        pass_, tensors = self._plan.passes[index], self._level.tensors
        mask = pass_.mask(self._codes.shape[1])
        positions = np.flatnonzero(mask)

        # A frame whose last code was null has ended, and is not coded again.
        previous: Tensor | None = None
        if pass_.stage > 0:
            codewords = self._codes[pass_.stage - 1, positions]
            positions, codewords = positions[codewords != 0], codewords[codewords != 0]
            previous = torch.from_numpy(codewords.astype(np.int64))

        if not len(positions):
            return None

        # Known codes of all frames -> features of the predicted ones [N, width] -> [N, hidden].
        depth = depth_input(torch.from_numpy(self._codes != 0))
        lines = Lines(self._own, depth, torch.from_numpy(mask).float(), self._log_step_int)
        features = line_features(lines, tensors, index, torch.from_numpy(positions))
        hidden = hidden_features(features, tensors, pass_.stage, previous)

        cell = self._plan.name, pass_.stage, self._plan.sections[pass_.stage]
        return Prediction(tensors, cell, positions, hidden)

    def learn(self, prediction: Prediction, codes: Codes) -> None:
        """Add the codes [N] of a prediction to the known codes."""
        stage = prediction.stage
        self._codes[stage, prediction.positions] = codes

        # The codewords of the new codes are added to the sums of their frames.
        used = codes != 0
        codewords = torch.from_numpy(codes[used].astype(np.int64))[:, None]
        positions = torch.from_numpy(prediction.positions[used])
        self._own[positions] += codeword_sum(codewords, self._level.codewords[stage : stage + 1, 0])
