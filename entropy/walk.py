"""The walk over codes: one order of prediction, used to encode, decode, measure and choose.

A walk goes level by level.  In a level it makes passes; each evaluates the context network once
on all that is known by then and predicts the codes of some groups at some positions.  A stage is
coded as flags (null or not) of all its places, then the codewords of those that are not null,
group after group.  A place whose code is null in one stage is null in all later ones and is not
coded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from luxvox.entropy import coders
from luxvox.entropy.pmf import LOGITS_PER_BIT, bits_of
from luxvox.errors import FormatError

if TYPE_CHECKING:
    from luxvox.entropy.context import Context, Prediction

Codes = NDArray[np.uint8 | np.uint16]
"""Codes of a level, [stages, groups, H, W]; uint16 where a codebook has more than 256 words."""

BATCH = 1 << 14
"""Words of a group that are coded at a time, to bound memory."""

_LEAST_HOPE = 0.1  # of not being null, for a place to be guessed

ALL_PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
EVEN = ((0, 0), (1, 1))
ODD = ((0, 1), (1, 0))


@dataclass(frozen=True)
class Pass:
    """One evaluation of the context network.

    Attributes:
        stages: the stages predicted, one after the other from the same evaluation.
        first_group, end_group: the range of groups predicted.
        phases: positions predicted, as (row mod period, column mod period).
        period: of the phases.
    """

    stages: tuple[int, ...]
    first_group: int
    end_group: int
    phases: tuple[tuple[int, int], ...]
    period: int = 2

    def mask(self, height: int, width: int) -> NDArray[np.bool_]:
        """Return where the pass predicts, [height, width]."""
        mask = np.zeros((height, width), np.bool_)
        for row, column in self.phases:
            mask[row :: self.period, column :: self.period] = True
        return mask


@dataclass(frozen=True)
class LevelPlan:
    """The passes of a level, and the section of the file each stage goes to."""

    name: str
    n_stages: int
    n_groups: int
    passes: tuple[Pass, ...]
    sections: tuple[int, ...]
    codebook_size: int


def picture_plan(
    n_groups: Mapping[str, int], n_stages: int, codebook_size: int
) -> tuple[LevelPlan, ...]:
    """Return the walk of pictures: `top`, `base`, `detail`, three stages.

    The first groups of a level carry most of its energy and are coded position after position
    (dyadic at the top, in two interleaved halves below); the others know all of those.
    """
    late = tuple(range(1, n_stages))
    n_top, n_base, n_detail = (n_groups[name] for name in ("top", "base", "detail"))
    split_top, split_base = n_top // 4, 3 * n_base // 7
    first = (0,)
    top = (
        Pass(first, 0, split_top, ((0, 0),)),
        Pass(first, 0, split_top, ((1, 1),)),
        Pass(first, 0, split_top, ODD),
        Pass(first, split_top, n_top, EVEN),
        Pass(first, split_top, n_top, ODD),
        Pass(late, 0, n_top, ALL_PHASES),
    )
    base = (
        Pass(first, 0, split_base, EVEN),
        Pass(first, 0, split_base, ODD),
        Pass(first, split_base, n_base, ALL_PHASES),
        Pass(late, 0, n_base, ALL_PHASES),
    )
    detail = (
        Pass(first, 0, n_detail, EVEN),
        Pass(first, 0, n_detail, ODD),
        Pass(late, 0, n_detail, ALL_PHASES),
    )
    return (
        LevelPlan("top", n_stages, n_top, top, (1,) * n_stages, codebook_size),
        LevelPlan("base", n_stages, n_base, base, (1,) + (2,) * len(late), codebook_size),
        LevelPlan("detail", n_stages, n_detail, detail, (3,) + (4,) * len(late), codebook_size),
    )


def voice_plan(n_stages: int, first_stages: int, codebook_size: int) -> tuple[LevelPlan, ...]:
    """Return the walk of a segment of a voice: one level, one group, a line of frames.

    Each stage goes over the frames in dyadic passes: in the stages of the first section every
    fourth frame, those half-way, the others; in later ones, where less is left to learn from
    neighbours, the even and the odd frames.
    """
    quarters = (((0, 0),), ((0, 2),), ((0, 1), (0, 3)))
    halves = (((0, 0), (0, 2)), ((0, 1), (0, 3)))
    passes = tuple(
        Pass((stage,), 0, 1, phases, 4)
        for stage in range(n_stages)
        for phases in (quarters if stage < first_stages else halves)
    )
    sections = tuple(1 if stage < first_stages else 2 for stage in range(n_stages))
    return (LevelPlan("frames", n_stages, 1, passes, sections, codebook_size),)


def code_type(codebook_size: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type that holds codes of a codebook."""
    return np.uint8 if codebook_size <= 256 else np.uint16


class Visitor(Protocol):
    """Decides or learns the codes of each prediction of a walk."""

    def wants(self, section: int) -> bool:
        """Return whether the walk should go on into a section."""

    def visit(self, prediction: Prediction) -> Codes:
        """Return the codes [positions, groups] of a prediction; null where it is not alive."""


def walk(
    context: Context, shapes: Mapping[str, tuple[int, int]], position: int, visitor: Visitor
) -> dict[str, Codes]:
    """Walk over the codes of one signal.

    Args:
        context: the integer context model.
        shapes: grid (height, width) of each level.
        position: log-step, −127 (finest) … 127 (coarsest).
        visitor: decides or learns the codes.

    Returns:
        Codes by level [stages, groups, H, W]; null in sections the visitor didn't want.
    """
    codes = {
        plan.name: np.zeros(
            (plan.n_stages, plan.n_groups, *shapes[plan.name]), code_type(plan.codebook_size)
        )
        for plan in context.plan
    }
    plans = context.plan
    while plans and not any(map(visitor.wants, plans[-1].sections)):
        plans = plans[:-1]
    with context.walking(shapes, position) as state:
        for plan in plans:
            for index, one in enumerate(plan.passes):
                wanted = [s for s in one.stages if visitor.wants(plan.sections[s])]
                if not wanted:
                    continue
                view = state.look(plan, index, codes[plan.name])
                for stage in wanted:
                    prediction = view.predict(stage)
                    if prediction is None:
                        break
                    view.learn(visitor.visit(prediction), prediction)
            state.close(plan.name)
    return codes


Source = Callable[["Prediction"], Codes]
"""Gives the codes [positions, groups] of a prediction: known ones, or chosen there and then."""


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
                with _named(number):
                    self._decoders[number] = coders.decoder(coder, data)

    def wants(self, section: int) -> bool:
        """Want the sections that hold something."""
        return section in self._decoders

    def visit(self, prediction: Prediction) -> Codes:
        """Pull the codes of a prediction."""
        with _named(prediction.section):
            return pull_codes(self._decoders[prediction.section], prediction)

    def finish(self) -> None:
        """Check that all bytes were used."""
        for number, coder in self._decoders.items():
            with _named(number):
                coder.finish()


@contextmanager
def _named(section: int) -> Iterator[None]:
    """Put the name of a section before what is wrong with it."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"codes {section}: {error}") from None


class CodesConcealer:
    """Visitor that reads the sections before a lost one, and guesses the codes from there on.

    What was coded behind a lost section was predicted from it and cannot be read without. A guess
    is the code nearest to what the context model expects on average; the likeliest code would
    often be far from it, where no code is likely (docs/decisions.md).

    Args:
        sections: payloads of the code sections.
        coder: number of the range coder.
        first_lost: number of the first section that is lost.
        codewords: by level, [stages, groups, K, width] in any unit.
    """

    def __init__(
        self,
        sections: Mapping[int, bytes],
        coder: int,
        first_lost: int,
        codewords: Mapping[str, NDArray[np.float32]],
    ) -> None:
        before = {n: data for n, data in sections.items() if n < first_lost}
        self._decoder = CodesDecoder(before, coder)
        self._first_lost = first_lost
        self._codewords = codewords

    def wants(self, section: int) -> bool:
        """Want the sections that can be read, and those that are guessed."""
        return section >= self._first_lost or self._decoder.wants(section)

    def visit(self, prediction: Prediction) -> Codes:
        """Pull the codes of a prediction, or guess them."""
        if prediction.section < self._first_lost:
            return self._decoder.visit(prediction)
        words = self._codewords[prediction.level][prediction.stage, prediction.groups]
        return expected_codes(prediction, words)

    def finish(self) -> None:
        """Check that all bytes were used."""
        self._decoder.finish()


def expected_codes(prediction: Prediction, words: NDArray[np.float32]) -> Codes:
    """Return for each place the code nearest to the mean of all, weighted by their probability.

    Args:
        prediction: of N positions and G groups.
        words: codewords [G, K, width] of its stage.

    Returns:
        Codes [N, G].
    """
    codes = prediction.nulls()
    not_null = 1.0 / (1.0 + np.exp2(prediction.flag_logits() / LOGITS_PER_BIT))
    for group, rows in _word_batches(
        (prediction.alive & (not_null > _LEAST_HOPE)).astype(np.uint8)
    ):
        logits = prediction.code_logits(group, rows).astype(np.float32) / LOGITS_PER_BIT
        shares = np.exp2(logits - logits.max(axis=1, keepdims=True))
        shares *= (not_null[rows, group] / shares.sum(axis=1))[:, None]
        mean = shares.astype(np.float32) @ words[group, 1:]
        distance = np.square(words[group]).sum(axis=1) - 2.0 * mean @ words[group].T
        codes[rows, group] = distance.argmin(axis=1)
    return codes


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
        flags = codes[prediction.alive] != 0
        total = bits_of(prediction.flag_counts(), flags.astype(np.int64))
        for group, rows in _word_batches(codes):
            words = codes[rows, group].astype(np.int64) - 1
            total += bits_of(prediction.code_counts(group, rows), words)
        key = (prediction.level, prediction.stage)
        self.bits[key] = self.bits.get(key, 0.0) + total
        return codes


def push_codes(coder: coders.Encoder, prediction: Prediction, codes: Codes) -> None:
    """Write the codes [positions, groups] of one prediction."""
    coder.push((codes[prediction.alive] != 0).astype(np.int64), prediction.flag_counts())
    for group, rows in _word_batches(codes):
        words = codes[rows, group].astype(np.int64) - 1
        coder.push(words, prediction.code_counts(group, rows))


def pull_codes(coder: coders.Decoder, prediction: Prediction) -> Codes:
    """Read the codes [positions, groups] of one prediction."""
    codes = prediction.nulls()
    codes[prediction.alive] = coder.pull(prediction.flag_counts())
    for group, rows in _word_batches(codes):
        codes[rows, group] = coder.pull(prediction.code_counts(group, rows)) + 1
    return codes


def _word_batches(codes: Codes) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield (group, rows) of the places that are not null, at most `BATCH` rows at a time."""
    for group in range(codes.shape[1]):
        rows = np.flatnonzero(codes[:, group])
        for start in range(0, len(rows), BATCH):
            yield group, rows[start : start + BATCH]
