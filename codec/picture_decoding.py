"""A picture on its way out of a file: read and checked, its codes decoded, its pixels drawn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.advance import Advance, silent
from luxvox.codec.bands import bands_of
from luxvox.codec.container import CUT, Container, Lost, Part, PictureHeader
from luxvox.codec.picture_codes import BandWalk, decode_codes
from luxvox.codec.rasters import round_to_uint8
from luxvox.codec.rate import centi_to_position
from luxvox.entropy.lattice_walk import LatticeCodes
from luxvox.errors import (
    DamageWarning,
    InputError,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
    UsageError,
)
from luxvox.models.picture.networks import quality_to_step
from luxvox.models.picture.tiling import synthesise
from luxvox.models.picture.weights import PictureCodec, picture_codec


@dataclass(frozen=True)
class OpenedPicture:
    """A picture's file that was read and checked.

    Attributes:
        header: its header.
        content: all that is whole in it.
        codec: its weights.
        lost: parts of its codes that were altered.
    """

    header: PictureHeader
    content: Container
    codec: PictureCodec
    lost: frozenset[Part]


def opened(
    data: bytes, max_pixels: int, callers: int, *, strict: bool = False, conceal: bool = False
) -> OpenedPicture:
    """Read a container and find its weights; check all that can be checked before the work.

    A cut file is refused if `strict`, else a warning points past so many callers of this module.
    An altered one is refused unless `conceal`; then alpha and metadata that were altered are left
    out.
    """
    header = picture_header(container.read_header(data)[0])
    if header.width * header.height > max_pixels:
        raise InputError(
            f"{header.width}×{header.height} pixels are over the limit of {max_pixels} (max_pixels)"
        )
    content, lost = container.salvage(data) if conceal else (container.read(data), Lost())
    if lost:
        n_lost = len(lost.sections) + len(lost.parts)
        message = f"{n_lost} parts of the file are altered; what they held is guessed or left out"
        warnings.warn(message, DamageWarning, stacklevel=2 + callers)
        sound = [one for n, one in enumerate(content.sections) if n not in lost.sections]
        content = replace(content, sections=tuple(sound))
    if content.truncated:
        if strict:
            raise TruncatedError(CUT)
        message = f"{CUT}; decoding what is whole"
        warnings.warn(message, TruncatedWarning, stacklevel=2 + callers)
    codec = picture_codec(header.model_number, header.fingerprint)
    return OpenedPicture(header, content, codec, lost.parts)


def picture_header(header: container.Header) -> PictureHeader:
    """Take a header as a picture's, or refuse it."""
    if not isinstance(header, PictureHeader):
        raise UnsupportedError("this file holds a voice, not a picture")
    return header


def decoded_codes(
    picture: OpenedPicture, sections: int | None = None, advance: Advance = silent
) -> dict[str, LatticeCodes]:
    """Decode the codes of the first sections of a picture, all by default."""
    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    header = picture.header
    position = centi_to_position(header.quality_centi)
    walk = BandWalk(picture.codec.context, bands_of(header), position, header.coder, advance)
    n_sections = sections or walk.bands.n_sections
    payloads = {p: data for p, data in picture.content.parts.items() if p.section <= n_sections}
    lost = frozenset(part for part in picture.lost if part.section <= n_sections)
    return decode_codes(walk, payloads, lost)


def drawn(
    codec: PictureCodec,
    header: PictureHeader,
    arrays: dict[str, LatticeCodes],
    advance: Advance = silent,
) -> NDArray[np.uint8]:
    """Draw the pixels uint8 [H, W, 3], or [H, W, 1] of a grey picture, that codes stand for."""
    pixels = _synthesised(codec, header, arrays, advance)
    return pixels if header.colour else _as_grey(pixels)


def _synthesised(
    codec: PictureCodec, header: PictureHeader, arrays: dict[str, LatticeCodes], advance: Advance
) -> NDArray[np.uint8]:
    model = codec.model
    quantised = {level: torch.from_numpy(array)[None] for level, array in arrays.items()}
    step = quality_to_step(header.quality_centi / 100.0, model.config)
    pixels = np.empty((header.height, header.width, 3), np.uint8)
    row = 0
    for part in synthesise(model, quantised, step, (header.height, header.width), advance):
        pixels[row : row + len(part)] = round_to_uint8(part)
        row += len(part)
    return pixels


def _as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    total = pixels.sum(axis=2, dtype=np.uint16, keepdims=True)
    grey: NDArray[np.uint8] = ((2 * total + 3) // 6).astype(np.uint8)
    return grey
