"""The rate-aware choice of codes, by the costs that the context model gives them.

Rate–distortion optimised quantisation (Sullivan and Wiegand, 1998): each latent takes the code with
the least squared error plus λ times bits, out of a few candidates: its two nearest whole numbers
and the rounded mean. Codes are chosen in coding order.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.symbols import code_bits


class RateAwareChoice:
    """Chooses the codes of one level.

    Args:
        lambda_: squared steps that a bit is worth.
        latents: of the level, [1, C, H, W] in their local steps.
    """

    def __init__(self, lambda_: float, latents: Tensor) -> None:
        self._lambda = lambda_
        self._latents: NDArray[np.float32] = latents[0].flatten(1).numpy()

    def choose(self, prediction: Prediction) -> NDArray[np.int32]:
        """Return the codes [N, channels] of a prediction."""
        channels = slice(prediction.first, prediction.end)
        # [C, H · W] -> [channels, N] -> [N, channels]
        latents = self._latents[channels][:, prediction.positions].T
        codes = prediction.guess()

        # Where the nearest whole number is the rounded mean, nothing can be better.
        nearest = np.clip(np.rint(latents), -CODE_MAX, CODE_MAX).astype(np.int32)
        open_places = (nearest != codes) & ~prediction.coding.silent
        positions, columns = np.nonzero(open_places)
        if not len(positions):
            return codes

        # From here on codes are a list [n]: those that are still open.
        part = _part(prediction, positions, columns)
        y = latents[positions, columns]
        mean, near = codes[positions, columns], nearest[positions, columns]
        towards = near + np.sign(mean - near)

        # Candidates: the rounded mean, the nearest number, and its neighbour towards the mean.
        best, min_cost = mean, self._costs(part, mean, y)
        for candidate in (towards, near):
            cost = self._costs(part, candidate, y)
            best = np.where(cost < min_cost, candidate, best)
            min_cost = np.minimum(cost, min_cost)

        codes[positions, columns] = best
        return codes

    def _costs(
        self,
        part: Prediction,
        codes: NDArray[np.int32],
        latents: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        error = np.square(latents - codes)
        costs: NDArray[np.float32] = error + self._lambda * code_bits(part, codes)
        return costs


def _part(
    prediction: Prediction, positions: NDArray[np.int64], columns: NDArray[np.int64]
) -> Prediction:
    """Return the prediction of some codes only, as a list."""
    coding = prediction.coding
    chosen = replace(
        coding,
        base=coding.base[positions, columns],
        table=coding.table[positions, columns],
        shift=coding.shift[positions, columns],
        silent=coding.silent[positions, columns],
    )
    return replace(prediction, coding=chosen)
