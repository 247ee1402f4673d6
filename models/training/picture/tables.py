"""The last phase: tables of counts fitted to the codes that the encoder chooses."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.tables import (
    ESCAPE,
    N_SYMBOLS,
    N_TABLES,
    REACH,
    counts_from_shares,
    start_tables,
)
from luxvox.entropy.picture.visitors import Source
from luxvox.entropy.picture.walk import LatticeContext, Walk
from luxvox.entropy.pmf import TOTAL
from luxvox.models.picture.analysing import analyse
from luxvox.models.picture.choice import RateAwareChoice
from luxvox.models.picture.conditions import LEVELS, Setting
from luxvox.models.picture.placement import Placement
from luxvox.models.picture.tiling import grid_shapes
from luxvox.models.training.picture.crops import TRAINED_STEPS
from luxvox.models.training.picture.data import Pictures
from luxvox.models.training.picture.parts import PictureParts
from luxvox.models.tunings import LAMBDAS, TUNINGS

log = logging.getLogger(__name__)

N_CODED = 480  # pictures, each at its own step, alternating between the tunings
SIDE = 256  # pixels of each that are coded
N_ROUNDS = 2  # in each, codes are chosen by the tables of the previous round
PRIOR = 200.0  # symbols that each initial table counts as


def fit_tables(parts: PictureParts, pictures: Pictures) -> None:
    """Fit the tables of counts to the codes that the encoder chooses for these pictures."""
    counts = start_tables()
    for number in range(N_ROUNDS):
        log.info("tables: round %d of %d", number + 1, N_ROUNDS)
        counts = _smooth(_count_symbols(parts, pictures, counts))
    parts.counts.copy_(torch.from_numpy(counts))


def _count_symbols(
    parts: PictureParts, pictures: Pictures, counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Count the symbols of each table [N_TABLES, 64] in codes chosen by the costs of `counts`."""
    model = parts.model.eval()
    context = LatticeContext(parts.context.plan, parts.context.integers(), counts)
    seen = np.zeros((N_TABLES, N_SYMBOLS))

    every = max(1, len(pictures) // N_CODED)
    chosen = pictures.pictures[::every][:N_CODED]
    low, high = TRAINED_STEPS
    for number, picture in enumerate(chosen):
        step = low * (high / low) ** ((number * 0.618) % 1.0)  # spread evenly in any prefix
        tune = model.config.tunings[number % len(model.config.tunings)]
        setting = Setting(step, TUNINGS[tune])

        # [3, H, W] -> [256, 256, 3], as the encoder takes pictures.
        pixels = picture[:, :SIDE, :SIDE].permute(1, 2, 0).numpy()
        latents = analyse(model, pixels, setting, lambda share: None)

        # The encoder's walk, with a visitor that counts instead of writing.
        counter = _Counter(seen)
        log_step_int = int(torch.floor(model.conditions_at(setting).log_step * 127.0 + 0.5))
        shapes = grid_shapes(*pixels.shape[:2])
        walk = Walk(context, shapes, log_step_int, counter)

        # The factors on the steps of a level depend on the codes of the coarser one.
        placement = Placement(model, setting)
        for level in LEVELS:
            choice = RateAwareChoice(LAMBDAS[tune], placement.place(latents[level]))
            counter.source = choice.choose
            codes = torch.from_numpy(walk.next_level()).float()
            placement.know(codes[None])  # [C, H, W] -> [1, C, H, W]
    return seen


def _smooth(seen: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return tables of counts for the numbers of symbols seen [N_TABLES, 64]."""
    # Tables that few codes use stay near the initial ones.
    total = seen + PRIOR * start_tables() / TOTAL
    return counts_from_shares(total / total.sum(axis=1, keepdims=True))


class _Counter:
    """Visitor that counts the symbols of the codes that a source gives.

    Attributes:
        source: gives the codes of the level where the walk is.
    """

    source: Source

    def __init__(self, seen: NDArray[np.float64]) -> None:
        self._seen = seen

    def wants(self, section: int) -> bool:
        """Want everything."""
        return section > 0

    def visit(self, prediction: Prediction) -> NDArray[np.int32]:
        """Count the symbols of a prediction's codes."""
        codes = self.source(prediction)
        coding = prediction.coding

        # A symbol is the difference from the base, divided by 2^shift, or an escape beyond reach.
        quotient = (codes - coding.base) >> coding.shift
        symbols = np.where(np.abs(quotient) > REACH, ESCAPE, quotient + REACH)

        # [N, channels] -> [n]: silent codes are not written, so they don't count.
        coded = ~coding.silent
        np.add.at(self._seen, (coding.table[coded], symbols[coded]), 1.0)
        return codes
