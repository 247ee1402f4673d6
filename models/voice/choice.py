"""The rate-aware choice of a voice's codes, by the context model's own costs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.pmf import LOGITS_PER_BIT
from luxvox.entropy.voice.context import Prediction
from luxvox.entropy.voice.plan import Codes
from luxvox.models.voice.rvq import ResidualVQ

RATE_SHARE = 0.006  # cost of a bit, as a share of the frame's residual (docs/decisions/025)


class VoiceChoice:
    """Chooses codes by distortion plus rate, in the order in which they are coded.

    Each code is argmin ‖r − c‖² + share · ‖r‖² · bits(c), where r is the residual of earlier stages
    and bits are the cost under the context model at the very moment of coding. The worth of a bit
    follows ‖r‖², since a stage removes about the same share of it from loud and quiet frames.
    Where no codeword reduces the residual, as in digital silence, null ends the position.

    Args:
        vq: residual VQ of one group.
        latents: [n_channels, 1, F] in steps.
        depths: how many stages each frame gets [F].
        share: worth of a bit as a share of ‖r‖².
    """

    def __init__(
        self,
        vq: ResidualVQ,
        latents: Tensor,
        depths: NDArray[np.int64],
        share: float = RATE_SHARE,
    ) -> None:
        self._vq = vq
        self._residuals = latents[:, 0].T.clone()
        self._depths = depths
        self._share = share

    def choose(self, prediction: Prediction) -> Codes:
        """Return the codes [N] for a prediction of a walk."""
        codes = prediction.nulls()
        live = np.flatnonzero(self._depths[prediction.positions] > prediction.stage)

        if len(live):
            positions = torch.from_numpy(prediction.positions[live])
            # Codewords except null [K − 1, C], and the residual of earlier stages [n, C].
            codewords = self._vq.codebooks[prediction.stage, 0, 1:]
            vectors = self._residuals[positions]

            logits = torch.from_numpy(prediction.code_logits(live)).float()
            worth = (self._share / LOGITS_PER_BIT) * vectors.square().sum(1, keepdim=True)
            # A term that all codewords of a position share changes nothing, so logits can replace
            # bits.
            gain = torch.addmm(-codewords.square().sum(1)[None], vectors, codewords.T, alpha=2.0)

            # [n, K − 1] -> [n]
            chosen = torch.addcmul(gain, worth, logits).argmax(1)
            ended = gain.amax(1) <= 0.0

            self._residuals[positions] = vectors - codewords[chosen]
            codes[live] = torch.where(ended, 0, chosen + 1).numpy()
        return codes
