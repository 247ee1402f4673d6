"""How the codes of pictures are ordered: levels, slices of channels, passes over positions.

A latent of a picture is a whole number of steps. Levels are coded coarse to fine. Within a level
the channels are divided into slices; a slice is coded in passes, each over some positions of the
grid and all channels of the slice. A pass knows the coarser levels, the earlier slices everywhere,
and its own slice at the positions of earlier passes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Phases = tuple[tuple[int, int], ...]

EVEN: Phases = ((0, 0), (1, 1))
ODD: Phases = ((0, 1), (1, 0))
QUARTERS: tuple[Phases, ...] = (((0, 0),), ((1, 1),), ODD)
HALVES: tuple[Phases, ...] = (EVEN, ODD)


@dataclass(frozen=True)
class LatticePass:
    """One evaluation of the context network.

    Attributes:
        first, end: range of channels.
        phases: positions, as (row mod 2, column mod 2).
        known: positions at which these channels are known already.
    """

    first: int
    end: int
    phases: Phases
    known: Phases

    @property
    def n_known(self) -> int:
        """Channels of which something is known at any position."""
        return self.end if self.known else self.first

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return where the pass predicts, [height, width]."""
        return phase_mask(self.phases, height, width)


@dataclass(frozen=True)
class LatticeLevel:
    """A level's grid and network sizes.

    Attributes:
        name: of the level.
        n_channels: latent channels.
        n_state: features that the coarser levels give at each position; 0 for the first level.
        hidden: width of the network of each slice.
        slices: ends of the ranges of channels.
        orders: passes of each slice, as positions.
        n_up: width of the layer that the state of the next level is made of; 0 for the last.
        slice_sections: the section of the file that each slice goes to.
    """

    name: str
    n_channels: int
    n_state: int
    hidden: tuple[int, ...]
    slices: tuple[int, ...]
    orders: tuple[tuple[Phases, ...], ...]
    n_up: int
    slice_sections: tuple[int, ...]

    @property
    def passes(self) -> tuple[LatticePass, ...]:
        """Return all passes in coding order."""
        passes = []
        first = 0
        for end, order in zip(self.slices, self.orders, strict=True):
            known: Phases = ()
            for phases in order:
                passes.append(LatticePass(first, end, phases, known))
                known += phases
            first = end
        return tuple(passes)

    @property
    def sections(self) -> tuple[int, ...]:
        """Return the section of the file that each pass goes to."""
        return tuple(
            section
            for section, order in zip(self.slice_sections, self.orders, strict=True)
            for _ in order
        )

    @property
    def pass_hidden(self) -> tuple[int, ...]:
        """Return the width of the network of each pass."""
        return tuple(
            width for width, order in zip(self.hidden, self.orders, strict=True) for _ in order
        )


def picture_levels(channels: tuple[int, ...]) -> tuple[LatticeLevel, ...]:
    """Return the levels of a picture model with these channels, coarse to fine."""
    apex, top, base, detail = channels
    return (
        LatticeLevel("apex", apex, 0, (128, 128), (8, apex), (QUARTERS, HALVES), 256, (1, 1)),
        LatticeLevel("top", top, 128, (160, 160), (8, top), (HALVES, HALVES), 256, (2, 2)),
        LatticeLevel("base", base, 144, (160, 192), (24, base), (HALVES, HALVES), 160, (3, 4)),
        LatticeLevel("detail", detail, 112, (112, 112), (16, detail), (HALVES, HALVES), 0, (5, 6)),
    )


def phase_mask(phases: Phases, height: int, width: int) -> NDArray[np.bool_]:
    """Return where some phases lie, [height, width]."""
    mask = np.zeros((height, width), np.bool_)
    for row, column in phases:
        mask[row::2, column::2] = True
    return mask
