"""A picture on its way to a file: analysed once, its codes chosen and written at any fineness."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.codec import container
from luxvox.codec.advance import Advance, part_of, silent
from luxvox.codec.alpha import encode_alpha
from luxvox.codec.container import ALPHA, EXIF, ICC, LAST_CRITICAL, XMP, PictureHeader, Section
from luxvox.codec.effort import Choice, PictureWork
from luxvox.codec.rasters import Raster, round_to_uint8
from luxvox.codec.rate import centi_to_position, centi_to_share
from luxvox.entropy.walk import Codes, CodesChooser, CodesEncoder, Source, known, walk
from luxvox.models.catalogue import PictureCodec, picture_codec
from luxvox.models.choice import RateAwareChoice, static_codes
from luxvox.models.image import LEVELS, quality_to_step
from luxvox.models.refinement import corrected_latents
from luxvox.models.strips import analyse, grid_shapes, synthesise

NEAR = 600  # hundredths of quality within which latents are rescaled rather than computed anew

Latents = dict[str, Tensor]
Corrections = tuple[tuple[Choice, ...], float]  # one after each choice, and their bound
NO_CORRECTIONS: Corrections = ((), 0.0)


def codec_on(device: str) -> PictureCodec:
    """Return the newest picture codec, its networks on a device: `cpu` or `cuda`."""
    codec = picture_codec()
    return codec if device == "cpu" else _moved(codec.card.sha256, device)


@functools.lru_cache(maxsize=4)
def _moved(_: str, device: str) -> PictureCodec:
    """Move a codec once for each content of its weights."""
    codec = picture_codec()
    return dataclasses.replace(codec, model=copy.deepcopy(codec.model).to(device))


@dataclass(frozen=True)
class CodedPicture:
    """A picture's file at some quality, and the codes in it."""

    header: PictureHeader
    codes: dict[str, Codes]
    data: bytes


class PictureEncoder:
    """Makes files of one picture, one after the other, without doing anything twice.

    Args:
        codec: its networks on the device they are to run on.
        raster: the picture.
        other_sections: what goes into every file behind the codes.
        coder: number of the range coder.
    """

    def __init__(
        self, codec: PictureCodec, raster: Raster, other_sections: list[Section], coder: int
    ) -> None:
        self._codec = codec
        self._raster = raster
        self._pixels = _as_rgb(raster.pixels)
        self._others = other_sections
        self._coder = coder
        self._quantisers = {level: codec.model.quantiser(level).cpu() for level in LEVELS}
        self._shapes = grid_shapes(*self._pixels.shape[:2])
        self._latents: dict[Corrections, dict[int, Latents]] = {}
        self._bounds: dict[PictureWork, dict[int, float]] = {}

    @property
    def metadata_bytes(self) -> int:
        """Return how much of every file is ICC profile, EXIF and XMP."""
        return sum(len(one.payload) for one in self._others if one.type > LAST_CRITICAL)

    def at(self, centi: int, work: PictureWork, worth: float, advance: Advance) -> CodedPicture:
        """Return the file at a quality in hundredths, a bit's worth multiplied by `worth`."""
        decided = self._bounds.setdefault(work, {})
        near = _first_near(decided, centi)
        bounds = work.bounds if near is None else (decided[near],)
        tried: list[CodedPicture] = []
        for bound in bounds:
            part = part_of(advance, len(tried) / len(bounds), 1.0 / len(bounds))
            tried.append(self._coded(centi, work.choices, bound, worth, part))
        if len(tried) == 1:
            return tried[0]
        costs = [self._cost(one, work.choices[-1].rate_weight * worth) for one in tried]
        best = costs.index(min(costs))
        decided[centi] = bounds[best]
        return tried[best]

    def _coded(
        self,
        centi: int,
        choices: tuple[Choice, ...],
        bound: float,
        worth: float,
        advance: Advance,
    ) -> CodedPicture:
        *earlier, last = choices
        corrections = (tuple(earlier), bound) if earlier else NO_CORRECTIONS
        latents = self._latents_near(centi, corrections, part_of(advance, 0.0, 0.6))
        scaled = dataclasses.replace(last, rate_weight=last.rate_weight * worth)
        encoder = CodesEncoder(self._source(latents, centi, scaled), self._coder)
        codes = walk(self._codec.context, self._shapes, centi_to_position(centi), encoder)
        coded = encoder.sections()
        sections = [Section(n, coded.get(n, b"")) for n in range(1, self._codec.n_sections + 1)]
        header = self._header(centi)
        advance(1.0)
        return CodedPicture(header, codes, container.write(header, [*sections, *self._others]))

    def _cost(self, coded: CodedPicture, rate_weight: float) -> float:
        """Return the squared error of the drawn picture in squared steps, and its bits' worth."""
        model = self._codec.model
        step = quality_to_step(coded.header.quality_centi / 100.0, model.config)
        quantised = self._dequantised(coded.codes)
        error, row = 0.0, 0
        for part in synthesise(model, quantised, step, self._pixels.shape[:2], silent):
            wanted = self._pixels[row : row + len(part)].astype(np.float32)
            error += float(np.square(round_to_uint8(part) - wanted).sum(dtype=np.float64))
            row += len(part)
        return error / step**2 + rate_weight * 8.0 * len(coded.data)

    def _header(self, centi: int) -> PictureHeader:
        height, width, channels = self._raster.pixels.shape
        return PictureHeader(
            model_number=self._codec.card.number,
            fingerprint=self._codec.fingerprint,
            width=width,
            height=height,
            colour=channels > 1,
            alpha=self._raster.alpha is not None,
            quality_centi=centi,
            coder=self._coder,
        )

    def _latents_near(self, centi: int, corrections: Corrections, advance: Advance) -> Latents:
        """Return latents in steps after so many choices, from a quality nearby if there is one."""
        model = self._codec.model
        known = self._latents.setdefault(corrections, {})
        near = _first_near(known, centi)
        if near is None:
            known[centi] = self._latents_at(centi, corrections, advance)
            return known[centi]
        before, after = (quality_to_step(c / 100.0, model.config) for c in (near, centi))
        return model.at_step(known[near], before, after)

    def _latents_at(self, centi: int, corrections: Corrections, advance: Advance) -> Latents:
        choices, bound = corrections
        model = self._codec.model
        step = quality_to_step(centi / 100.0, model.config)
        if not choices:
            return analyse(model, self._pixels, step, advance)
        share = 1.0 / (1 + len(choices))
        latents = self._latents_near(centi, NO_CORRECTIONS, part_of(advance, 0.0, share))
        for done, choice in enumerate(choices, start=1):
            codes = self._chosen(latents, centi, choice)
            latents = corrected_latents(model, self._pixels, self._dequantised(codes), step, bound)
            advance((1 + done) * share)
        return latents

    def _chosen(self, latents: Latents, centi: int, choice: Choice) -> dict[str, Codes]:
        if not choice.contexts:
            return self._static(latents, centi, choice)
        chooser = CodesChooser(self._source(latents, centi, choice))
        return walk(self._codec.context, self._shapes, centi_to_position(centi), chooser)

    def _source(self, latents: Latents, centi: int, choice: Choice) -> Source:
        """Return where the codes of a walk come from: chosen on the way, or beforehand."""
        if choice.contexts:
            return RateAwareChoice(self._quantisers, latents, choice.rate_weight).choose
        return known(self._static(latents, centi, choice))

    def _static(self, latents: Latents, centi: int, choice: Choice) -> dict[str, Codes]:
        share = centi_to_share(centi)
        return {
            level: static_codes(vq, latents[level], share, choice.rate_weight)
            for level, vq in self._quantisers.items()
        }

    def _dequantised(self, codes: dict[str, Codes]) -> Latents:
        return {
            level: vq.decode(torch.from_numpy(codes[level])[None])
            for level, vq in self._quantisers.items()
        }


def _first_near(known: Iterable[int], centi: int) -> int | None:
    """Return the first quality that is near, not the nearest: what is searched must not jump."""
    return next((one for one in known if abs(one - centi) <= NEAR), None)


def sections_beside_codes(raster: Raster, strip: bool) -> list[Section]:
    """Return the sections of alpha and, unless stripped, of metadata."""
    metadata = ((ICC, raster.icc), (EXIF, raster.exif), (XMP, raster.xmp))
    sections = [] if raster.alpha is None else [Section(ALPHA, encode_alpha(raster.alpha))]
    if not strip:
        sections += [Section(number, payload) for number, payload in metadata if payload]
    return sections


def _as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
