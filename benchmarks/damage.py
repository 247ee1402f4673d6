"""Files with damaged sections, measured with and without concealment.

Sections are counted from 0 in the order of the file; only those of codes are damaged.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import luxvox
from luxvox.codec import container
from luxvox.codec.container import LAST_CODES, PictureHeader, Section
from luxvox.errors import ChecksumError

Scores = tuple[float, ...]


class Decode(Protocol):
    """Decodes a file."""

    def __call__(self, data: bytes, conceal: bool) -> NDArray[Any]:
        """Return pixels or samples."""


class Score(Protocol):
    """Measures what was decoded."""

    def __call__(self, original: NDArray[Any], decoded: NDArray[Any]) -> Scores:
        """Return the figures of one or more metrics."""


@dataclass(frozen=True, eq=False)
class DamagedFile:
    """A file that is damaged in many ways; no damage is measured twice.

    Attributes:
        name: of the picture or recording it was made from, `original`.
        data: the whole file.
        decode, score: how it is decoded and measured.
    """

    name: str
    original: NDArray[Any]
    data: bytes
    decode: Decode
    score: Score
    _known: dict[tuple[frozenset[int], bool], Scores] = field(default_factory=dict)

    @property
    def n_sections(self) -> int:
        """Return the number of code sections."""
        entries = container.list_sections(self.data).entries
        return sum(entry.type <= LAST_CODES for entry in entries)

    def measure_whole(self) -> Scores:
        """Return the figures of the undamaged file."""
        return self._figures(frozenset(), False)

    def measure_nulled(self, damaged: Collection[int]) -> Scores:
        """Return the figures with null codes from the first damaged section on."""
        return self._figures(frozenset(sorted(damaged)[:1]), False)

    def measure_concealed(self, damaged: Collection[int]) -> Scores:
        """Return the figures with these sections damaged and concealed."""
        return self._figures(frozenset(damaged), bool(damaged))

    def _figures(self, damaged: frozenset[int], conceal: bool) -> Scores:
        if (damaged, conceal) not in self._known:
            decoded = self._decode(damaged, conceal)
            self._known[damaged, conceal] = self.score(self.original, decoded)
        return self._known[damaged, conceal]

    def _decode(self, damaged: frozenset[int], conceal: bool) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", luxvox.DamageWarning)
            # If all sections are damaged, nothing is known of the codes, concealed or not.
            with contextlib.suppress(ChecksumError):
                if conceal:
                    return self.decode(with_damage(self.data, damaged), conceal=True)
            first = min(damaged, default=self.n_sections)
            return self.decode(with_null_codes(self.data, first), conceal=False)


def with_damage(data: bytes, damaged: Collection[int]) -> bytes:
    """Return a file with the last byte of some sections altered."""
    altered = bytearray(data)
    entries = container.list_sections(data).entries
    for position in damaged:
        if entries[position].size:  # an empty section has nothing to alter
            altered[entries[position].offset + entries[position].size - 1] ^= 0xFF
    return bytes(altered)


def with_null_codes(data: bytes, first: int) -> bytes:
    """Return a file whose codes are null from a section on."""
    content = container.read(data)
    if isinstance(content.header, PictureHeader):
        numbers = sorted({part.section for part in content.parts})[:first]
        kept = {part: payload for part, payload in content.parts.items() if part.section in numbers}
        return container.write(content.header, content.sections, kept)
    sections = [
        Section(section.type, b"") if section.type <= LAST_CODES and n >= first else section
        for n, section in enumerate(content.sections)
    ]
    return container.write(content.header, sections)


def draw_damage(
    n_sections: int, probability: float, n_draws: int, seed: int
) -> list[frozenset[int]]:
    """Draw which sections are damaged, each by itself, n times.

    With one seed, a higher probability damages the same sections as a lower one, and more.
    """
    is_damaged = np.random.default_rng(seed).random((n_draws, n_sections)) < probability
    return [frozenset(np.flatnonzero(row).tolist()) for row in is_damaged]
