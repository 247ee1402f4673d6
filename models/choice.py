"""The rate-aware choice of codes: with the context model's own costs, or with static ones."""

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
from luxvox.models.rvq import RATE_WEIGHT, ResidualVQ, rate_bin

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


@torch.no_grad()
def static_codes(
    vq: ResidualVQ, latents: Tensor, position: float, rate_weight: float = RATE_WEIGHT
) -> Codes:
    """Choose codes by distortion plus the static tables' rate, where they may not be null.

    Args:
        vq: residual VQ of a level.
        latents: [1, C, H, W] in steps.
        position: log-step, −1 (finest) … 1 (coarsest).
        rate_weight: squared steps that a bit is worth.

    Returns:
        Codes [stages, groups, H, W], those of `ResidualVQ.encode`, by far faster.
    """
    rest = vq.group(latents).clone()
    n_groups, n_places, _ = rest.shape
    bits = rate_weight * vq.bits[int(rate_bin(torch.tensor(position)))]
    codes = torch.zeros(vq.n_stages, n_groups, n_places, dtype=vq.code_type)
    alive = torch.ones(n_groups, n_places, dtype=torch.bool)
    for stage in range(vq.n_stages):
        # Any other word costs at least the cheapest one's bits.
        gain = bits[stage, :, 1:].amin(1) - bits[stage, :, 0]
        alive &= rest.square().sum(-1) > gain[:, None]
        for group in range(n_groups):
            places = torch.nonzero(alive[group])[:, 0]
            for some in torch.split(places, _CHUNK):
                book = vq.codebooks[stage, group]
                bias = book.square().sum(-1) + bits[stage, group]
                chosen = torch.addmm(bias[None], rest[group, some], book.T, alpha=-2.0).argmin(1)
                codes[stage, group, some] = chosen.to(codes.dtype)
                rest[group, some] -= book[chosen]
        alive = codes[stage] != 0
    array: Codes = codes.numpy().reshape(vq.n_stages, n_groups, *latents.shape[2:])
    return array


def _chunks(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
