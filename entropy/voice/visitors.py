"""Visitors of the walk over a voice: they choose, write, read or measure its codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from luxvox.entropy import coders
from luxvox.entropy.pmf import bits_of
from luxvox.entropy.voice.plan import Codes
from luxvox.errors import FormatError

if TYPE_CHECKING:
    from luxvox.entropy.voice.context import Prediction

Source = Callable[["Prediction"], Codes]
"""Gives the codes [N] of a prediction: known ones, or chosen there and then."""


def fixed_source(codes: Mapping[str, Codes]) -> Source:
    """Return the source of codes that are there already."""
    return lambda prediction: prediction.pick(codes[prediction.level])


class CodesChooser:
    """Visitor that takes codes from a source and writes nothing."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def wants(self, section: int) -> bool:
        """Want everything."""
        return section > 0

    def visit(self, prediction: Prediction) -> Codes:
        """Return what the source gives."""
        return self._source(prediction)


class CodesEncoder:
    """Visitor that writes codes, a coder a section."""

    def __init__(self, source: Source, coder: int) -> None:
        self._source = source
        self._coder = coder
        self._encoders: dict[int, coders.Encoder] = {}
        self._not_null: set[int] = set()

    def wants(self, section: int) -> bool:
        """Want everything."""
        return section > 0

    def visit(self, prediction: Prediction) -> Codes:
        """Push the codes of a prediction."""
        codes = self._source(prediction)
        if codes.any():
            self._not_null.add(prediction.section)
        if prediction.section not in self._encoders:
            self._encoders[prediction.section] = coders.encoder(self._coder)
        push_codes(self._encoders[prediction.section], prediction, codes)
        return codes

    def sections(self) -> dict[int, bytes]:
        """Return the bytes of each section; none for a section whose codes are all null."""
        return {number: self._encoders[number].finish() for number in sorted(self._not_null)}


class CodesDecoder:
    """Visitor that reads codes from sections; codes of missing and empty ones are null."""

    def __init__(self, sections: Mapping[int, bytes], coder: int) -> None:
        self._decoders: dict[int, coders.Decoder] = {}
        for number, data in sections.items():
            if data:
                with _section_named(number):
                    self._decoders[number] = coders.decoder(coder, data)

    def wants(self, section: int) -> bool:
        """Want the sections that hold something."""
        return section in self._decoders

    def visit(self, prediction: Prediction) -> Codes:
        """Pull the codes of a prediction."""
        with _section_named(prediction.section):
            return pull_codes(self._decoders[prediction.section], prediction)

    def finish(self) -> None:
        """Check that all bytes were used."""
        for number, coder in self._decoders.items():
            with _section_named(number):
                coder.finish()


@contextmanager
def _section_named(section: int) -> Iterator[None]:
    """Put the name of a section before what is wrong with it."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"codes {section}: {error}") from None


class CodesMeter:
    """Visitor that adds up the cross-entropy of codes in bits, by level and stage."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.bits: dict[tuple[str, int], float] = {}

    def wants(self, section: int) -> bool:
        """Want everything."""
        return section > 0

    def visit(self, prediction: Prediction) -> Codes:
        """Add the cost of a prediction's codes."""
        codes = self._source(prediction)
        total = bits_of(prediction.flag_counts(), (codes != 0).astype(np.int64))
        rows = np.flatnonzero(codes)
        total += bits_of(prediction.code_counts(rows), codes[rows].astype(np.int64) - 1)
        key = (prediction.level, prediction.stage)
        self.bits[key] = self.bits.get(key, 0.0) + total
        return codes


def push_codes(coder: coders.Encoder, prediction: Prediction, codes: Codes) -> None:
    """Write the codes [N] of one prediction: flags, then the codewords that are not null."""
    coder.push((codes != 0).astype(np.int64), prediction.flag_counts())
    rows = np.flatnonzero(codes)
    coder.push(codes[rows].astype(np.int64) - 1, prediction.code_counts(rows))


def pull_codes(coder: coders.Decoder, prediction: Prediction) -> Codes:
    """Read the codes [N] of one prediction."""
    codes = prediction.nulls()
    codes[:] = coder.pull(prediction.flag_counts())
    rows = np.flatnonzero(codes)
    codes[rows] = coder.pull(prediction.code_counts(rows)) + 1
    return codes
