"""The walk over the codes of a voice: one order, used to encode, decode, measure and choose.

A walk goes over a line of frames in passes. Each pass evaluates the context network once on all
codes known so far, and predicts the codes of one stage at some frames: first flags (null or not),
then codewords where the flag is not null. A frame with null in one stage has null in all later
ones, which are not coded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from luxvox.entropy.voice.plan import Codes, code_type

if TYPE_CHECKING:
    from luxvox.entropy.voice.context import Context, Prediction


class Visitor(Protocol):
    """Chooses or reads the codes of each prediction of a walk."""

    def wants(self, section: int) -> bool:
        """Return whether the walk should go into a section."""

    def visit(self, prediction: Prediction) -> Codes:
        """Return the codes [N] of a prediction."""


def walk(
    context: Context, shapes: Mapping[str, tuple[int, int]], log_step_int: int, visitor: Visitor
) -> dict[str, Codes]:
    """Walk over the codes of one segment.

    Args:
        context: the integer context model.
        shapes: (1, number of frames) of its level.
        log_step_int: log-step, −127 (finest) … 127 (coarsest).
        visitor: chooses or reads the codes.

    Returns:
        Codes of the level [stages, 1, 1, F]; null in sections that the visitor does not want.
    """
    plan = context.plan[0]
    codes = np.zeros((plan.n_stages, shapes[plan.name][1]), code_type(plan.codebook_size))
    with context.walking(codes, log_step_int) as state:
        for index, pass_ in enumerate(plan.passes):
            if visitor.wants(plan.sections[pass_.stage]):
                prediction = state.predict(index)
                if prediction is not None:
                    state.learn(prediction, visitor.visit(prediction))
    return {plan.name: codes[:, None, None]}
