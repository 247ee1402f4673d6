"""Visitors of the walk over a voice: they choose, write, read or measure its codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from luxvox.entropy import coders
from luxvox.entropy.pmf import bits_of
from luxvox.entropy.visitors import CodesChooser, SectionDecoders, SectionEncoders
from luxvox.entropy.voice.plan import Codes

if TYPE_CHECKING:
    from luxvox.entropy.voice.context import Prediction

Source = Callable[["Prediction"], Codes]
"""Gives the codes [N] of a prediction, either existing ones or new choices."""


def fixed_source(codes: Mapping[str, Codes]) -> Source:
    """Return a source of existing codes."""
    return lambda prediction: prediction.pick(codes[prediction.level])


class CodesEncoder(CodesChooser["Prediction", Codes]):
    """Visitor that writes codes, with one coder per section."""

    def __init__(self, source: Source, coder: int) -> None:
        super().__init__(source)
        self._encoders = SectionEncoders(coder)

    def visit(self, prediction: Prediction) -> Codes:
        """Push the codes of a prediction."""
        codes = self._source(prediction)
        encoder = self._encoders.of(prediction.section, is_null=not codes.any())
        push_codes(encoder, prediction, codes)
        return codes

    def sections(self) -> dict[int, bytes]:
        """Return the bytes of each section; none for a section whose codes are all null."""
        return self._encoders.finish()


class CodesDecoder:
    """Visitor that reads codes from sections; codes of missing and empty ones are null."""

    def __init__(self, sections: Mapping[int, bytes], coder: int) -> None:
        self._decoders = SectionDecoders(sections, coder)

    def wants(self, section: int) -> bool:
        """Want the sections that are not empty."""
        return section in self._decoders

    def visit(self, prediction: Prediction) -> Codes:
        """Pull the codes of a prediction."""
        with self._decoders.of(prediction.section) as decoder:
            return pull_codes(decoder, prediction)

    def finish(self) -> None:
        """Check that all bytes were used."""
        self._decoders.finish()


class CodesMeter(CodesChooser["Prediction", Codes]):
    """Visitor that adds up the cross-entropy of codes in bits, by level and stage."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.bits: dict[tuple[str, int], float] = {}

    def visit(self, prediction: Prediction) -> Codes:
        """Add the cost of a prediction's codes."""
        codes = self._source(prediction)
        total = bits_of(prediction.flag_counts(), (codes != 0).astype(np.int64))
        positions = np.flatnonzero(codes)
        total += bits_of(prediction.code_counts(positions), codes[positions].astype(np.int64) - 1)
        key = (prediction.level, prediction.stage)
        self.bits[key] = self.bits.get(key, 0.0) + total
        return codes


def push_codes(coder: coders.Encoder, prediction: Prediction, codes: Codes) -> None:
    """Write the codes [N] of one prediction: flags, then all codewords except null."""
    coder.push((codes != 0).astype(np.int64), prediction.flag_counts())
    positions = np.flatnonzero(codes)
    coder.push(codes[positions].astype(np.int64) - 1, prediction.code_counts(positions))


def pull_codes(coder: coders.Decoder, prediction: Prediction) -> Codes:
    """Read the codes [N] of one prediction."""
    codes = prediction.nulls()
    codes[:] = coder.pull(prediction.flag_counts())
    positions = np.flatnonzero(codes)
    codes[positions] = coder.pull(prediction.code_counts(positions)) + 1
    return codes
