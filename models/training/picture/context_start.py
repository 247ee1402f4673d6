"""The initial values of the context model of pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from luxvox.entropy.picture.lattice import LatticeLevel, LatticePass
from luxvox.entropy.picture.layers import N_LINES, N_STEP_INPUTS

SCALE_START = 17.0  # about one step


def start_of_pass(level: LatticeLevel, pass_: LatticePass, hidden: int) -> dict[str, Tensor]:
    """Return the initial values of a pass."""
    n_inputs = level.n_state + N_STEP_INPUTS

    # Both weights add up in one layer; about half of a code's 9 neighbours are known.
    spread = math.sqrt(2.0 / (n_inputs + 4.5 * pass_.n_known))
    values = {"state": torch.randn(hidden, n_inputs, 1, 1) * spread}
    if pass_.n_known:
        values["own"] = torch.randn(hidden, pass_.n_known, 3, 3) * spread

    # A pass starts with means of zero, and the same width for all codes.
    n = pass_.end - pass_.first
    values |= {
        "bias": torch.zeros(hidden),
        "mid": normal(hidden, hidden, 1, 1),
        "midbias": torch.zeros(hidden),
        "out": torch.zeros(2 * n, hidden, 1, 1),
        "outbias": torch.cat([torch.zeros(n), torch.full((n,), SCALE_START)]),
    }
    if pass_.known:
        values["line"] = _line_start(pass_, level.n_state == 0)
    return values


def normal(*shape: int) -> Tensor:
    """Return random weights that keep the power of their input (He et al., 2015)."""
    return torch.randn(*shape) * math.sqrt(2.0 / math.prod(shape[1:]))


def _line_start(pass_: LatticePass, first_level: bool) -> Tensor:
    """Return taps [n, 9]; the very first channel starts with the mean of its neighbours."""
    taps = torch.zeros(min(pass_.end - pass_.first, N_LINES), 9)

    # If one phase is known, its positions are at the corners; if two are, at the sides.
    if first_level and pass_.first == 0:
        corners = len(pass_.known) == 1
        taps[0, [0, 2, 6, 8] if corners else [1, 3, 5, 7]] = 0.25
    return taps
