"""Notes on what an input has that its `.lvx` file lacks, and the warnings they become."""

from __future__ import annotations

from collections.abc import Iterable

from luxvox.errors import LossWarning, PartWarning


class PartNote(str):
    """A note that only a part of an input is kept, so that the input itself is still needed."""

    __slots__ = ()


def loss_warnings(notes: Iterable[str]) -> list[LossWarning]:
    """Return the warnings of notes."""
    return [
        PartWarning(str(note)) if isinstance(note, PartNote) else LossWarning(note)
        for note in notes
    ]
