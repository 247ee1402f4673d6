"""A picture on its way out of a file: read and checked, its codes decoded, its pixels drawn."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.advance import Advance, silent
from luxvox.codec.container import CUT, LAST_CODES, Container, PictureHeader
from luxvox.codec.rasters import round_to_uint8
from luxvox.codec.rate import centi_to_position
from luxvox.entropy.lattice_walk import CodesConcealer, CodesDecoder, LatticeCodes, walk
from luxvox.errors import (
    DamageWarning,
    FormatError,
    InputError,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
    UsageError,
)
from luxvox.models.picture.networks import quality_to_step
from luxvox.models.picture.tiling import grid_shapes, synthesise
from luxvox.models.picture.weights import PictureCodec, picture_codec


def opened(
    data: bytes, max_pixels: int, callers: int, *, strict: bool = False, conceal: bool = False
) -> tuple[Container, PictureCodec, int | None]:
    """Read a container and find its weights; check all that can be checked before the work.

    A cut file is refused if `strict`, else a warning points past so many callers of this module.
    An altered one is refused unless `conceal`; then alpha and metadata that were altered are left
    out, and the number of the first altered code section is returned.
    """
    header = picture_header(container.read_header(data)[0])
    if header.width * header.height > max_pixels:
        raise InputError(
            f"{header.width}×{header.height} pixels are over the limit of {max_pixels} (max_pixels)"
        )
    content, altered = container.salvage(data) if conceal else (container.read(data), frozenset())
    first_lost = min((content.sections[n].type for n in altered), default=None)
    if first_lost is not None:
        message = f"{len(altered)} sections are altered; what they held is guessed or left out"
        warnings.warn(message, DamageWarning, stacklevel=2 + callers)
        sound = [
            s for n, s in enumerate(content.sections) if n not in altered or s.type <= LAST_CODES
        ]
        content = replace(content, sections=tuple(sound))
    if content.truncated:
        if strict:
            raise TruncatedError(CUT)
        message = f"{CUT}; decoding its whole sections"
        warnings.warn(message, TruncatedWarning, stacklevel=2 + callers)
    codec = picture_codec(header.model_number, header.fingerprint)
    if len(content.codes) > codec.n_sections:
        raise FormatError(
            f"{len(content.codes)} code sections, legal for this model: 0..{codec.n_sections}"
        )
    return content, codec, first_lost


def picture_header(header: container.Header) -> PictureHeader:
    """Take a header as a picture's, or refuse it."""
    if not isinstance(header, PictureHeader):
        raise UnsupportedError("this file holds a voice, not a picture")
    return header


def decoded_codes(
    codec: PictureCodec, content: Container, sections: int | None, first_lost: int | None = None
) -> dict[str, LatticeCodes]:
    """Decode the first code sections of a file, all by default; guess from a lost one on."""
    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    header = picture_header(content.header)
    payloads = content.codes[:sections]
    numbered = dict(enumerate(payloads, start=1))
    decoder: CodesDecoder | CodesConcealer = CodesDecoder(numbered, header.coder)
    if first_lost is not None and first_lost <= len(payloads):
        decoder = CodesConcealer(numbered, header.coder, first_lost)
    shapes = grid_shapes(header.height, header.width)
    decoded = walk(codec.context, shapes, centi_to_position(header.quality_centi), decoder)
    decoder.finish()
    return decoded


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
