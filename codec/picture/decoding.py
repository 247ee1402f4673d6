"""Decoding a picture: its file read and checked, its codes decoded, its pixels drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import container, memory
from luxvox.codec.container import (
    CUT,
    EXIF,
    ICC,
    XMP,
    Container,
    Lost,
    OpenFile,
    Part,
    PictureHeader,
)
from luxvox.codec.container.bands import bands_of
from luxvox.codec.container.header_fields import CELL
from luxvox.codec.container.packed import unpack
from luxvox.codec.picture.codes import BandWalk, decode_codes
from luxvox.codec.picture.profiles import load_profile
from luxvox.codec.picture.views import View, window_of
from luxvox.codec.quality import Quality
from luxvox.codec.workers import n_workers, side_by_side
from luxvox.entropy.picture.prediction import LatticeCodes
from luxvox.errors import (
    DamageWarning,
    InputError,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
)
from luxvox.models.picture.conditions import STRIDES, setting_of
from luxvox.models.picture.drawing import Drawing, reach_of
from luxvox.models.picture.tiling import Strip
from luxvox.models.picture.weights import PictureCodec, picture_codec
from luxvox.progress import Progress, part_of, silent
from luxvox.rounding import round_to_uint8

_CODES_SHARE = 0.6  # of the decompression time, for progress


@dataclass(frozen=True)
class OpenedPicture:
    """A picture file that has been read and checked.

    Attributes:
        header: its header.
        content: everything in it that is intact.
        codec: its weights.
        lost: parts of its codes that were altered.
        cautions: what to warn the caller of.
    """

    header: PictureHeader
    content: Container
    codec: PictureCodec
    lost: frozenset[Part]
    cautions: tuple[Warning, ...]


def open_picture_file(
    file: OpenFile, max_pixels: int, *, strict: bool = False, conceal: bool = False
) -> OpenedPicture:
    """Read a container and find its weights; check everything that can be checked before decoding.

    Args:
        file: with its header already read.
        max_pixels: refuse pictures that are larger.
        strict: refuse cut files, instead of giving a caution.
        conceal: read altered files, too, without alpha and metadata that were altered.
    """
    header = picture_header(file.header)
    if header.width * header.height > max_pixels:
        raise InputError(
            f"{header.width}×{header.height} pixels are over the limit of {max_pixels} (max_pixels)"
        )
    content, lost = file.salvage() if conceal else (file.read(), Lost())
    cautions: list[Warning] = []
    if lost:
        n_lost = len(lost.sections) + len(lost.parts)
        message = f"{n_lost} parts of the file are altered; what they held is guessed or left out"
        cautions.append(DamageWarning(message))
        sound = [section for n, section in enumerate(content.sections) if n not in lost.sections]
        content = replace(content, sections=tuple(sound))
    if content.truncated:
        if strict:
            raise TruncatedError(CUT)
        cautions.append(TruncatedWarning(f"{CUT}; decoding what is whole"))
    codec = picture_codec(header.model_number, header.fingerprint)
    return OpenedPicture(header, content, codec, lost.parts, tuple(cautions))


def picture_header(header: container.Header) -> PictureHeader:
    """Return the header if it is a picture's, or refuse it."""
    if not isinstance(header, PictureHeader):
        raise UnsupportedError("this file holds a voice, not a picture")
    return header


def metadata_of(content: Container) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Return the ICC profile, EXIF and XMP of a file.

    Raises:
        FormatError: if one of them cannot be unpacked.
    """
    icc, exif, xmp = (
        None if payload is None else unpack(payload, container.section_name(number))
        for number, payload in ((n, content.payload(n)) for n in (ICC, EXIF, XMP))
    )
    named = load_profile(picture_header(content.header).profile)
    return icc if named is None else named, exif, xmp


def read_codes(
    picture: OpenedPicture,
    n_sections: int | None = None,
    progress: Progress = silent,
    wanted: range | None = None,
) -> dict[str, LatticeCodes]:
    """Decode the codes of a picture, or only of its first sections or of some bands."""
    header = picture.header
    bands = bands_of(header)
    walk = BandWalk(
        picture.codec.context, bands, header.quality.log_step_int, header.coder, progress, wanted
    )
    last = n_sections or bands.n_sections
    payloads = {p: data for p, data in picture.content.parts.items() if p.section <= last}
    lost = frozenset(part for part in picture.lost if part.section <= last)
    return decode_codes(walk, payloads, lost)


def decode_view(picture: OpenedPicture, view: View, progress: Progress) -> NDArray[np.uint8]:
    """Decode a view of a picture to pixels, uint8 [H, W, 3] or [H, W, 1]."""
    reading = part_of(progress, 0.0, _CODES_SHARE)
    drawing = part_of(progress, _CODES_SHARE, 1.0 - _CODES_SHARE)
    canvas = Canvas.of(picture.header)
    if view.crop is None:
        codes = read_codes(picture, view.n_sections, reading)
        return draw_codes(picture.codec, canvas, codes, drawing, view.factor)
    window = window_of(view, bands_of(picture.header), reach_of(picture.codec.model.config))
    codes = read_codes(picture, view.n_sections, reading, window.bands)
    cells = {level: CELL // stride for level, stride in STRIDES.items()}
    seen = {
        level: array[
            :, _slice_of(window.rows, cells[level]), _slice_of(window.columns, cells[level])
        ]
        for level, array in codes.items()
    }
    left, top, width, height = window.crop
    left, top = left - CELL * window.columns.start, top - CELL * window.rows.start
    canvas = replace(canvas, width=left + width, height=top + height)
    return draw_codes(picture.codec, canvas, seen, drawing)[top:, left:].copy()


def _slice_of(cells: range, n: int) -> slice:
    return slice(cells.start * n, cells.stop * n)


@dataclass(frozen=True)
class Canvas:
    """The picture that codes are drawn as.

    Attributes:
        width, height: of the picture in pixels.
        colour: False for a grey picture.
        quality: that the codes were made at.
        eye: whether they were made for the eye.
    """

    width: int
    height: int
    colour: bool
    quality: Quality
    eye: bool

    @classmethod
    def of(cls, header: PictureHeader) -> Canvas:
        """Return the canvas of a whole file."""
        return cls(header.width, header.height, header.colour, header.quality, header.eye)


def draw_codes(
    codec: PictureCodec,
    canvas: Canvas,
    arrays: dict[str, LatticeCodes],
    progress: Progress = silent,
    factor: int = 1,
) -> NDArray[np.uint8]:
    """Draw the pixels uint8 [H, W, 3], or [H, W, 1] of a grey picture, that codes stand for.

    Sides are those of the canvas, divided by `factor` and rounded up.
    """
    setting = setting_of(canvas.quality.value, canvas.eye, codec.model.config)
    picture = Drawing(codec.model, arrays, setting, factor)
    height, width = -(-canvas.height // factor), -(-canvas.width // factor)
    pixels = np.empty((height, width, 3 if canvas.colour else 1), np.uint8)

    def draw(strip: Strip) -> None:
        row = strip.first // factor
        for rows in picture.draw(strip):
            part = round_to_uint8(rows[: max(height - row, 0), :width])
            pixels[row : row + len(part)] = part if canvas.colour else _as_grey(part)
            row += len(rows)

    strips = [s for s in picture.strips(n_workers()) if s.first < canvas.height]
    for number, _ in enumerate(side_by_side(draw, strips, len(strips)), start=1):
        memory.release()
        progress(number / len(strips))
    return pixels


def _as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    total = pixels.sum(axis=2, dtype=np.uint16, keepdims=True)
    grey: NDArray[np.uint8] = ((2 * total + 3) // 6).astype(np.uint8)
    return grey
