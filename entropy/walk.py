"""The walk over the codes of a voice: one order, used to encode, decode, measure and choose.

A walk goes over a line of frames in passes. Each evaluates the context network once on all that is
known by then, and predicts the codes of one stage at some frames: flags first (null or not), then
the codewords of those that are not null. A frame whose code is null in one stage is null in all
later ones and is not coded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from luxvox.entropy import coders
from luxvox.entropy.pmf import bits_of
from luxvox.errors import FormatError

if TYPE_CHECKING:
    from luxvox.entropy.context import Context, Prediction

Codes = NDArray[np.uint8 | np.uint16]
"""Codes of a level, [stages, 1, 1, F]; uint16 where a codebook has more than 256 words."""

PERIOD = 4  # frames after which the passes of a stage repeat
QUARTERS = ((0,), (2,), (1, 3))
HALVES = ((0, 2), (1, 3))


@dataclass(frozen=True)
class Pass:
    """One evaluation of the context network.

    Attributes:
        stage: the stage that is predicted.
        phases: frames that it is predicted at, modulo `PERIOD`.
    """

    stage: int
    phases: tuple[int, ...]

    def mask(self, n_frames: int) -> NDArray[np.bool_]:
        """Return where the pass predicts, [n_frames]."""
        mask = np.zeros(n_frames, np.bool_)
        for phase in self.phases:
            mask[phase::PERIOD] = True
        return mask


@dataclass(frozen=True)
class LevelPlan:
    """The passes over a line of frames, and the section of the file each stage goes to."""

    name: str
    n_stages: int
    passes: tuple[Pass, ...]
    sections: tuple[int, ...]
    codebook_size: int


def voice_plan(n_stages: int, first_stages: int, codebook_size: int) -> tuple[LevelPlan, ...]:
    """Return the walk over a segment of a voice; its only level is called `frames`.

    Each stage goes over the frames in dyadic passes. In the stages of the first section these are
    every fourth frame, those half-way, the others; in later stages, where less is left to learn
    from neighbours, the even and the odd frames.
    """
    passes = tuple(
        Pass(stage, phases)
        for stage in range(n_stages)
        for phases in (QUARTERS if stage < first_stages else HALVES)
    )
    sections = tuple(1 if stage < first_stages else 2 for stage in range(n_stages))
    return (LevelPlan("frames", n_stages, passes, sections, codebook_size),)


def code_type(codebook_size: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type that holds codes of a codebook."""
    return np.uint8 if codebook_size <= 256 else np.uint16


class Visitor(Protocol):
    """Decides or learns the codes of each prediction of a walk."""

    def wants(self, section: int) -> bool:
        """Return whether the walk should go on into a section."""

    def visit(self, prediction: Prediction) -> Codes:
        """Return the codes [N] of a prediction."""


def walk(
    context: Context, shapes: Mapping[str, tuple[int, int]], position: int, visitor: Visitor
) -> dict[str, Codes]:
    """Walk over the codes of one segment.

    Args:
        context: the integer context model.
        shapes: (1, number of frames) of its level.
        position: log-step, −127 (finest) … 127 (coarsest).
        visitor: decides or learns the codes.

    Returns:
        Codes of the level [stages, 1, 1, F]; null in sections the visitor didn't want.
    """
    plan = context.plan[0]
    codes = np.zeros((plan.n_stages, shapes[plan.name][1]), code_type(plan.codebook_size))
    with context.walking(codes, position) as state:
        for index, one in enumerate(plan.passes):
            if visitor.wants(plan.sections[one.stage]):
                prediction = state.predict(index)
                if prediction is not None:
                    state.learn(prediction, visitor.visit(prediction))
    return {plan.name: codes[:, None, None]}


Source = Callable[["Prediction"], Codes]
"""Gives the codes [N] of a prediction: known ones, or chosen there and then."""


def known(codes: Mapping[str, Codes]) -> Source:
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
    """Write the codes [N] of one prediction: flags, then the words that are not null."""
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
