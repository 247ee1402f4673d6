"""Encoding a picture: analysed once, then its codes chosen and written at any quality."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.codec import container, memory
from luxvox.codec.container import (
    ALPHA,
    EXIF,
    ICC,
    LAST_CRITICAL,
    XMP,
    PictureHeader,
    Section,
    section_name,
)
from luxvox.codec.container.bands import bands_of, usual_band_rows
from luxvox.codec.container.packed import MAX_METADATA_BYTES, pack
from luxvox.codec.effort import PictureWork
from luxvox.codec.picture.alpha import encode_alpha
from luxvox.codec.picture.codes import BandWalk, BeginLevel, SourceOfBand, encode_codes
from luxvox.codec.picture.profiles import profile_number
from luxvox.codec.picture.rasters import Raster
from luxvox.codec.quality import Quality
from luxvox.entropy.picture.prediction import LatticeCodes
from luxvox.entropy.picture.visitors import Source
from luxvox.models.picture.analysing import analyse
from luxvox.models.picture.choice import RateAwareChoice
from luxvox.models.picture.conditions import LEVELS, STRIDES, Setting, setting_of
from luxvox.models.picture.placement import Placement
from luxvox.models.picture.resaving import latents_of_saved
from luxvox.models.picture.weights import PictureCodec, picture_codec
from luxvox.progress import Progress, part_of, silent

NEAR = 600  # hundredths of quality; latents are rescaled within them rather than computed again

Latents = dict[str, Tensor]


def codec_on(device: str, tune: str) -> PictureCodec:
    """Return the newest picture codec for a tuning, its networks on a device: `cpu` or `cuda`."""
    codec = picture_codec(tune=tune)
    return codec if device == "cpu" else _move(codec.card.sha256, device, tune)


@functools.lru_cache(maxsize=4)
def _move(_: str, device: str, tune: str) -> PictureCodec:
    """Move a codec to a device, once for each set of weights."""
    codec = picture_codec(tune=tune)
    return dataclasses.replace(codec, model=copy.deepcopy(codec.model).to(device))


@dataclass(frozen=True)
class CodedPicture:
    """A picture's file at some quality, and the codes in it (none if they were not kept)."""

    header: PictureHeader
    codes: dict[str, LatticeCodes]
    data: bytes


@dataclass(frozen=True)
class _Prepared:
    """The starting point for the choice of codes.

    Attributes:
        setting: step and tuning.
        latents: [1, C, h, w] by level, in steps, before the local factors on steps.
        saved: whether the latents are the codes of the file that the picture was last saved to.
    """

    setting: Setting
    latents: Latents
    saved: bool = False


class PictureEncoder:
    """Makes several files of one picture, without doing any work twice.

    Args:
        codec: its networks must be on the device that they run on; they draw pictures, too.
        raster: the picture.
        other_sections: what goes into every file after the codes.
        coder: number of the range coder.
        work: how much effort goes into the codes.
    """

    def __init__(
        self,
        codec: PictureCodec,
        raster: Raster,
        other_sections: list[Section],
        coder: int,
        work: PictureWork,
    ) -> None:
        self.codec, self.work = codec, work
        self._raster = raster
        self._pixels = _as_rgb(raster.pixels)
        self._others = other_sections
        self._coder = coder
        self._profile = profile_number(raster.icc)
        self._prepared: dict[Quality, _Prepared] = {}

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture, [H, W, 1 or 3]."""
        return self._raster.pixels

    @property
    def metadata_bytes(self) -> int:
        """Return how many bytes of every file are ICC profile, EXIF and XMP."""
        return sum(len(section.payload) for section in self._others if section.type > LAST_CRITICAL)

    def at(
        self,
        quality: Quality,
        lambda_factor: float = 1.0,
        progress: Progress = silent,
        is_exact: bool = False,
        is_last: bool = False,
    ) -> CodedPicture:
        """Return the file at a quality.

        Args:
            quality: of the file.
            lambda_factor: on λ.
            progress: called with the share of the work done.
            is_exact: do not start from what was computed for a nearby quality, so that the file is
                the same whatever was tried before it.
            is_last: keep neither the codes nor what they are made from.
        """
        if is_last:
            prepared = self._prepare(quality, part_of(progress, 0.0, 0.5))
        else:
            prepared = self._prepare_near(quality, part_of(progress, 0.0, 0.5), is_exact)
        header = self._header(quality)
        bands = self._bands(header, part_of(progress, 0.5, 0.5))
        lambda_ = 0.0 if prepared.saved else self.work.lambda_ * lambda_factor
        begin = self._make_begin_level(prepared, bands, lambda_, is_last)
        codes, parts = encode_codes(bands, begin, keeps_codes=not is_last)
        return CodedPicture(header, codes, container.write(header, self._others, parts))

    def _setting(self, quality: Quality) -> Setting:
        return setting_of(quality.value, self.work.is_for_eye, self.codec.model.config)

    def _header(self, quality: Quality) -> PictureHeader:
        height, width, channels = self._raster.pixels.shape
        return PictureHeader(
            model_number=self.codec.card.number,
            fingerprint=self.codec.fingerprint,
            width=width,
            height=height,
            colour=channels > 1,
            alpha=self._raster.alpha is not None,
            eye=self.work.is_for_eye,
            profile=self._profile,
            coder=self._coder,
            quality=quality,
            band_rows=usual_band_rows(height, width),
        )

    def _bands(self, header: PictureHeader, progress: Progress) -> BandWalk:
        log_step = header.quality.log_step_int
        return BandWalk(self.codec.context, bands_of(header), log_step, header.coder, progress)

    def _make_begin_level(
        self, prepared: _Prepared, bands: BandWalk, lambda_: float, is_last: bool
    ) -> BeginLevel:
        """Return the function that begins a level, once the codes of coarser ones are known.

        Args:
            prepared: what the choice of codes starts from.
            bands: of the picture.
            lambda_: squared steps that a bit is worth.
            is_last: whether latents may be dropped when their level is done.
        """
        placement = Placement(self.codec.model, prepared.setting)

        def begin(number: int, coarser: Mapping[str, LatticeCodes]) -> SourceOfBand:
            level = LEVELS[number]
            if number:
                if is_last:
                    del prepared.latents[LEVELS[number - 1]]
                memory.release()
                placement.know(torch.from_numpy(coarser[LEVELS[number - 1]])[None])
            memory.release()

            # Latents in their local steps take as much memory again, so they exist only for the
            # bands that are being coded.
            def source_of(band: int) -> Source:
                rows = bands.bands.grid_rows(band, STRIDES[level])
                placed = placement.place(prepared.latents[level][:, :, rows], rows)
                return RateAwareChoice(lambda_, placed).choose

            return source_of

        return begin

    def _prepare_near(self, quality: Quality, progress: Progress, is_exact: bool) -> _Prepared:
        """Return latents for a quality, rescaled from those of a nearby quality if there is one."""
        near = None if is_exact else _first_near(self._prepared, quality)
        if near is None:
            self._prepared[quality] = self._prepare(quality, progress)
            return self._prepared[quality]
        before, after = self._setting(near), self._setting(quality)
        latents = self.codec.model.at_step(self._prepared[near].latents, before, after)
        return _Prepared(after, latents)

    def _prepare(self, quality: Quality, progress: Progress) -> _Prepared:
        setting = self._setting(quality)
        latents = analyse(self.codec.model, self._pixels, setting, _with_memory_release(progress))
        memory.release()
        saved = latents_of_saved(self.codec.model, self._pixels, setting, latents)
        return _Prepared(setting, saved or latents, saved is not None)


def _with_memory_release(progress: Progress) -> Progress:
    """Return a progress function that hands freed memory back after each strip."""

    def release_after(share: float) -> None:
        memory.release()
        progress(share)

    return release_after


def _first_near(known: Iterable[Quality], quality: Quality) -> Quality | None:
    """Return the first quality that is near, not the nearest: a search must not see jumps."""
    near = (prepared for prepared in known if abs(prepared.hundredths - quality.hundredths) <= NEAR)
    return next(near, None)


def sections_after_codes(raster: Raster, strip: bool) -> tuple[list[Section], list[str]]:
    """Return the sections of alpha and, unless stripped, metadata; and what is left out."""
    icc = None if profile_number(raster.icc) else raster.icc
    metadata = ((ICC, icc), (EXIF, raster.exif), (XMP, raster.xmp))
    sections = [] if raster.alpha is None else [Section(ALPHA, encode_alpha(raster.alpha))]
    notes = []
    for number, data in metadata if not strip else ():
        if data and len(data) > MAX_METADATA_BYTES:
            notes.append(f"its {section_name(number)} of {len(data):,} bytes is left out")
        elif data:
            sections.append(Section(number, pack(data)))
    return sections, notes


def _as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
