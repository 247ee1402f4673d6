"""The rate-aware choice of codes with the context model's own costs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.context import Prediction
from luxvox.entropy.pmf import LOGITS_PER_BIT
from luxvox.entropy.walk import Codes
from luxvox.models.rvq import ResidualVQ

CONTEXT_RATE_WEIGHT = 0.18  # squared steps a bit is worth; measured in docs/decisions.md
_CHUNK = 1 << 14  # positions whose costs are held at once


class RateAwareChoice:
    """Chooses codes by distortion plus rate, in the order in which they are coded.

    Each code is argmin ‖r − c‖² + rate_weight · bits(c), with the bits that the context model
    gives it in the very place where it will be coded.

    Args:
        quantisers: residual VQ of each level.
        latents: [1, C, H, W] in steps, by level.
        rate_weight: squared steps that a bit is worth.
    """

    def __init__(
        self,
        quantisers: Mapping[str, ResidualVQ],
        latents: Mapping[str, Tensor],
        rate_weight: float = CONTEXT_RATE_WEIGHT,
    ) -> None:
        self._quantisers = quantisers
        self._residuals = {name: quantisers[name].group(y) for name, y in latents.items()}
        self._rate_weight = rate_weight

    def choose(self, prediction: Prediction) -> Codes:
        """Return the codes [positions, groups] for a prediction of a walk."""
        codes = prediction.nulls()
        logits = prediction.flag_logits().astype(np.float32) / LOGITS_PER_BIT
        null_bits = np.logaddexp2(0.0, -logits)
        other_bits = np.logaddexp2(0.0, logits)
        rows = torch.from_numpy(prediction.rows)
        residuals = self._residuals[prediction.level][prediction.groups][:, rows]
        power = residuals.square().sum(-1).numpy().T
        null_cost = power + self._rate_weight * null_bits
        # Any other word costs at least its flag: where null is cheaper than that, it is chosen.
        open_places = prediction.alive & (null_cost > self._rate_weight * other_bits)
        for group in range(codes.shape[1]):
            for some in _chunks(np.flatnonzero(open_places[:, group])):
                bound = null_cost[some, group] - self._rate_weight * other_bits[some, group]
                codes[some, group] = self._choose_words(prediction, group, some, bound)
        self._subtract(prediction, codes)
        return codes

    def _choose_words(
        self,
        prediction: Prediction,
        group: int,
        rows: NDArray[np.int64],
        bound: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Return the best word, or 0 where none costs less than `bound` beyond its flag."""
        vq = self._quantisers[prediction.level]
        index = prediction.groups.start + group
        words = vq.codebooks[prediction.stage, index, 1:]
        places = torch.from_numpy(prediction.rows[rows])
        vectors = self._residuals[prediction.level][index, places]
        logits = torch.from_numpy(prediction.code_logits(group, rows)).float()
        logits *= math.log(2.0) / LOGITS_PER_BIT
        bits = (torch.logsumexp(logits, 1, keepdim=True) - logits) / math.log(2.0)
        bias = words.square().sum(-1)[None] + self._rate_weight * bits
        cost = torch.addmm(bias, vectors, words.T, alpha=-2.0)
        best = cost.min(1)
        total = best.values + vectors.square().sum(-1)
        choice = torch.where(total < torch.from_numpy(bound), best.indices + 1, 0)
        array: NDArray[np.int64] = choice.numpy()
        return array

    def _subtract(self, prediction: Prediction, codes: Codes) -> None:
        """Leave to the next stage what this one did not code."""
        vq = self._quantisers[prediction.level]
        books = vq.codebooks[prediction.stage, prediction.groups]
        index = torch.from_numpy(codes.astype(np.int64)).T[:, :, None]
        chosen = books.gather(1, index.expand(-1, -1, vq.width))
        rows = torch.from_numpy(prediction.rows)
        self._residuals[prediction.level][prediction.groups, rows] -= chosen


def _chunks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
