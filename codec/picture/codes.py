"""The codes of a picture, band by band: each is coded like a picture of its own, on all cores."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import memory
from luxvox.codec.container.bands import Bands, Part
from luxvox.codec.workers import side_by_side
from luxvox.entropy.picture.prediction import LatticeCodes, Prediction
from luxvox.entropy.picture.visitors import CodesConcealer, CodesDecoder, CodesEncoder, Source
from luxvox.entropy.picture.walk import LatticeContext, Visitor, Walk, walk
from luxvox.errors import FormatError
from luxvox.models.picture.conditions import FINEST, LEVELS, STRIDES
from luxvox.models.picture.tiling import grid_shapes
from luxvox.progress import Progress

Codes = dict[str, LatticeCodes]
SourceOfBand = Callable[[int], Source]
BeginLevel = Callable[[int, Codes], SourceOfBand]
"""Called before a level is coded, with its number and the codes of all coarser ones. Returns the
function that gives the source of each band's codes."""


def fixed_sources(sources: Sequence[Source]) -> BeginLevel:
    """Begin levels whose codes do not depend on coarser ones, with one source per band."""
    return lambda number, coarser: sources.__getitem__


@dataclass(frozen=True)
class BandWalk:
    """What all bands of a picture share when a walk goes over their codes.

    Attributes:
        context: the integer context model.
        bands: of the picture.
        log_step_int: log-step, −127 (finest) … 127 (coarsest).
        coder: number of the range coder.
        progress: called with the share of the bands that are done.
        wanted: the bands to walk over; None for all.
    """

    context: LatticeContext
    bands: Bands
    log_step_int: int
    coder: int
    progress: Progress
    wanted: range | None = None

    def begin(self, band: int, visitor: Visitor) -> Walk:
        """Return a walk over the codes of a band, not yet begun."""
        shapes = grid_shapes(*self.bands.size(band))
        return Walk(self.context, shapes, self.log_step_int, visitor, self.bands.joined)

    def walk(self, band: int, visitor: Visitor) -> Codes:
        """Walk over the codes of a band."""
        shapes = grid_shapes(*self.bands.size(band))
        return walk(self.context, shapes, self.log_step_int, visitor, self.bands.joined)

    def collect(self, work: Callable[[int], Codes]) -> Codes:
        """Join the codes of bands into those of the whole picture; null where not wanted."""
        codes = {
            level.name: np.zeros(
                (level.n_channels, *grid_shapes(self.bands.height, self.bands.width)[level.name]),
                np.int16,
            )
            for level in self.context.levels
        }
        wanted = range(self.bands.n_bands) if self.wanted is None else self.wanted
        for band, part in zip(wanted, side_by_side(work, wanted, len(wanted)), strict=True):
            for level in LEVELS:
                codes[level][:, self.bands.grid_rows(band, STRIDES[level])] = part[level]
            memory.release()
            self.progress((band - wanted.start + 1) / len(wanted))
        return codes


def encode_codes(
    bands: BandWalk, begin: BeginLevel, keeps_codes: bool = True
) -> tuple[Codes, dict[Part, bytes]]:
    """Choose and write the codes of a picture; return them and the contents of its parts.

    Args:
        bands: of the picture.
        begin: called before each level.
        keeps_codes: whether to return the codes, which take more memory than the picture.
    """
    encoders = [_BandEncoder(bands.coder) for _ in range(bands.bands.n_bands)]
    codes = _level_by_level(bands, encoders, begin, keeps_codes)
    parts = {
        Part(section, band): payload
        for band, encoder in enumerate(encoders)
        for section, payload in encoder.sections().items()
    }
    return codes, parts


class _BandEncoder(CodesEncoder):
    """Visitor that writes the codes of a band, with a source for each level."""

    def __init__(self, coder: int) -> None:
        super().__init__(_no_source, coder)

    def next_level(self, walk: Walk, source: Source) -> LatticeCodes:
        """Write the next level of a walk, and return its codes."""
        self._source = source
        codes = walk.next_level()
        self._source = _no_source
        return codes


def _no_source(prediction: Prediction) -> NDArray[np.int32]:
    raise AssertionError("no level has begun")


def _level_by_level(
    bands: BandWalk, encoders: Sequence[_BandEncoder], begin: BeginLevel, keeps_codes: bool
) -> Codes:
    """Visit a level of all bands before the next finer one, whose latents depend on it."""
    walks = {band: bands.begin(band, encoder) for band, encoder in enumerate(encoders)}
    n_bands = len(walks)
    shapes = grid_shapes(bands.bands.height, bands.bands.width)
    codes: Codes = {}
    for number, level in enumerate(bands.context.levels):
        source_of = begin(number, codes)
        if not keeps_codes:
            codes.clear()
        is_kept = keeps_codes or number < FINEST
        shape = (level.n_channels, *shapes[level.name])
        whole = np.zeros(shape if is_kept else 0, np.int16)
        work = functools.partial(_next_level, walks, encoders, source_of)
        for band, part in enumerate(side_by_side(work, range(n_bands), n_bands)):
            if is_kept:
                whole[:, bands.bands.grid_rows(band, STRIDES[level.name])] = part
            if number == FINEST:
                del walks[band]
            memory.release()
        codes[level.name] = whole
        bands.progress(0.25 ** (FINEST - number))
    return codes if keeps_codes else {}


def _next_level(
    walks: Mapping[int, Walk],
    encoders: Sequence[_BandEncoder],
    source_of: SourceOfBand,
    band: int,
) -> LatticeCodes:
    return encoders[band].next_level(walks[band], source_of(band))


def decode_codes(
    bands: BandWalk, payloads: Mapping[Part, bytes], lost: frozenset[Part] = frozenset()
) -> Codes:
    """Read the codes of a picture.

    Args:
        bands: of the picture.
        payloads: what its parts hold; codes of those that are missing are null.
        lost: parts that were altered. A band's codes are guessed from its first lost part on.

    Raises:
        FormatError: if a part holds no codes; the message names it.
    """

    def decode(band: int, apex: LatticeCodes | None = None) -> Codes:
        own = {part.section: data for part, data in payloads.items() if part.band == band}
        first_lost = min((part.section for part in lost if part.band == band), default=None)
        try:
            decoder: CodesDecoder | CodesConcealer = CodesDecoder(own, bands.coder)
            if first_lost is not None:
                stand_in = None if apex is None else {"apex": apex}
                decoder = CodesConcealer(own, bands.coder, first_lost, stand_in)
            codes = bands.walk(band, decoder)
            decoder.finish()
        except FormatError as error:
            raise FormatError(f"{error}{bands.bands.name(band)}") from None
        return codes

    codes = bands.collect(decode)
    blind = {part.band for part in lost if part.section == 1}
    if len(blind) == bands.bands.n_bands or bands.wanted is not None:
        return codes
    for band in sorted(blind):
        part = decode(band, _apex_between(codes["apex"], bands.bands, blind, band))
        for level in LEVELS:
            codes[level][:, bands.bands.grid_rows(band, STRIDES[level])] = part[level]
    return codes


def _apex_between(apex: LatticeCodes, bands: Bands, blind: set[int], band: int) -> LatticeCodes:
    """Return codes of `apex` for a band that lost them, interpolated linearly from band to band.

    Args:
        apex: codes of the whole picture [channels, H, W].
        bands: of the picture.
        blind: bands that have no such codes.
        band: which of them to fill.
    """
    known = [n for n in range(bands.n_bands) if n not in blind]
    above = max((n for n in known if n < band), default=None)
    below = min((n for n in known if n > band), default=None)
    rows = [apex[:, bands.cell_rows(above)[-1]]] if above is not None else []
    rows += [apex[:, bands.cell_rows(below)[0]]] if below is not None else []
    upper, lower = rows[0], rows[-1]
    n_rows = len(bands.cell_rows(band))
    share = (np.arange(n_rows) + 0.5)[:, None] / n_rows
    filled = upper[:, None] * (1.0 - share) + lower[:, None] * share
    return np.rint(filled).astype(np.int16)
