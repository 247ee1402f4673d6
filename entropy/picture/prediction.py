"""The prediction of the context model of pictures for the codes of one pass."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.tables import Coding

LatticeCodes = NDArray[np.int16]
"""Codes of a level in steps, [channels, H, W]."""


@dataclass(frozen=True)
class Prediction:
    """What the context model predicts about the codes of a pass.

    Attributes:
        level, section: where the codes belong.
        first, end: range of channels.
        positions: flat positions [N], ascending.
        coding: how each code is coded, arrays [N, channels].
        mean: in eighths of a step, int32 [N, channels].
        counts: tables that `coding` refers to.
    """

    level: str
    section: int
    first: int
    end: int
    positions: NDArray[np.int64]
    coding: Coding
    mean: NDArray[np.int32]
    counts: NDArray[np.int64]

    def pick(self, codes: LatticeCodes) -> NDArray[np.int32]:
        """Take the codes [N, channels] that this predicts from those of the level."""
        flat = codes[self.first : self.end].reshape(self.end - self.first, -1)
        return np.ascontiguousarray(flat[:, self.positions].T.astype(np.int32))

    def guess(self) -> NDArray[np.int32]:
        """Return the means rounded to legal codes [N, channels]."""
        codes: NDArray[np.int32] = np.clip((self.mean + 4) >> 3, -CODE_MAX, CODE_MAX)
        return codes
