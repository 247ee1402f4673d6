"""Visitors of the walk over a picture: they choose, write, read, guess or measure its codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from luxvox.entropy.picture.prediction import LatticeCodes, Prediction
from luxvox.entropy.picture.symbols import code_bits, pull_codes, push_codes
from luxvox.entropy.visitors import CodesChooser, SectionDecoders, SectionEncoders

NO_SYMBOLS = b"\0"  # payload of a section whose codes are all silent, but not all zero


Source = Callable[[Prediction], NDArray[np.int32]]
"""Gives the codes [N, channels] of a prediction: fixed ones, or chosen there and then."""


def fixed_source(codes: Mapping[str, LatticeCodes]) -> Source:
    """Return a source of codes that exist already."""
    return lambda prediction: prediction.pick(codes[prediction.level])


class CodesEncoder(CodesChooser[Prediction, NDArray[np.int32]]):
    """Visitor that writes codes, with one coder per section."""

    def __init__(self, source: Source, coder: int) -> None:
        super().__init__(source)
        self._encoders = SectionEncoders(coder)

    def visit(self, prediction: Prediction) -> NDArray[np.int32]:
        """Push the codes of a prediction."""
        codes = self._source(prediction)
        encoder = self._encoders.of(prediction.section, is_null=not codes.any())
        push_codes(encoder, prediction, codes)
        return codes

    def sections(self) -> dict[int, bytes]:
        """Return the bytes of each section; none for a section whose codes are all zero."""
        return {n: data or NO_SYMBOLS for n, data in self._encoders.finish().items()}


class CodesDecoder:
    """Visitor that reads codes from sections; codes of missing and empty ones are zero."""

    def __init__(self, sections: Mapping[int, bytes], coder: int) -> None:
        self._decoders = SectionDecoders(sections, coder)
        self._unread = {number: data for number, data in sections.items() if data}

    def wants(self, section: int) -> bool:
        """Return whether a section holds anything."""
        return section in self._decoders

    def visit(self, prediction: Prediction) -> NDArray[np.int32]:
        """Pull the codes of a prediction."""
        if not prediction.coding.silent.all():
            self._unread.pop(prediction.section, None)
        with self._decoders.of(prediction.section) as decoder:
            return pull_codes(decoder, prediction)

    def finish(self) -> None:
        """Check that all bytes were used."""
        silent = (n for n, data in self._unread.items() if data == NO_SYMBOLS)
        self._decoders.finish(frozenset(silent))


class CodesConcealer:
    """Visitor that reads the sections before a lost one, and guesses the codes from there on.

    Everything coded after a lost section was predicted from it and cannot be read. A guess is the
    predicted mean, rounded, unless codes are given for the level.
    """

    def __init__(
        self,
        sections: Mapping[int, bytes],
        coder: int,
        first_lost: int,
        stand_in: Mapping[str, LatticeCodes] | None = None,
    ) -> None:
        before = {n: data for n, data in sections.items() if n < first_lost}
        self._decoder = CodesDecoder(before, coder)
        self._first_lost = first_lost
        self._stand_in = stand_in or {}

    def wants(self, section: int) -> bool:
        """Return whether a section can be read or is to be guessed."""
        return section >= self._first_lost or self._decoder.wants(section)

    def visit(self, prediction: Prediction) -> NDArray[np.int32]:
        """Pull the codes of a prediction, or guess them."""
        if prediction.section < self._first_lost:
            return self._decoder.visit(prediction)
        if prediction.level in self._stand_in:
            return prediction.pick(self._stand_in[prediction.level])
        return prediction.guess()

    def finish(self) -> None:
        """Check that all bytes were used."""
        self._decoder.finish()


class CodesMeter(CodesChooser[Prediction, NDArray[np.int32]]):
    """Visitor that adds up the cost of codes in bits, by level."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.bits: dict[str, float] = {}

    def visit(self, prediction: Prediction) -> NDArray[np.int32]:
        """Add the cost of a prediction's codes."""
        codes = self._source(prediction)
        total = float(code_bits(prediction, codes).sum(dtype=np.float64))
        self.bits[prediction.level] = self.bits.get(prediction.level, 0.0) + total
        return codes
