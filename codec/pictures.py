"""Pictures to `.lvx` bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.advance import Advance, part_of, silent
from luxvox.codec.alpha import decode_alpha, encode_alpha
from luxvox.codec.container import ALPHA, EXIF, ICC, XMP, PictureHeader, Section
from luxvox.codec.limits import DEFAULT_MAX_PIXELS
from luxvox.codec.rasters import Raster, as_raster, to_array, to_pil
from luxvox.entropy.walk import Codes
from luxvox.errors import InputError, UsageError

if TYPE_CHECKING:
    from PIL import Image

_CODES_SHARE = 0.6  # of the time of decompressing, for progress


def compress_image(
    pixels: NDArray[Any] | Image.Image | Raster,
    quality: float = 50.0,
    *,
    device: str = "cpu",
    strip: bool = False,
    coder: str = "constriction",
    progress: Advance | None = None,
) -> bytes:
    """Compress a picture.

    Args:
        pixels: uint8 [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA), a PIL image, or a
            `Raster`, with at most 2³⁰ pixels.
        quality: 1 (small) to 100 (about 40 dB); continuous.
        device: where the analysis network runs, `cpu` or `cuda`; never changes how files decode.
        strip: leave out ICC profile, EXIF and XMP.
        coder: `constriction` or `torchac` (extra `luxvox[torchac]`).
        progress: called with the share of the work done, 0 … 1.

    Returns:
        The bytes of a `.lvx` file.

    Raises:
        UsageError: if quality, coder or the array's shape or type is not legal.
        InputError: if the picture is over the limit.
        ModelError: if no intact weights are installed.
    """
    from luxvox.codec.picture_encoding import code_sections, codec_on
    from luxvox.codec.rate import quality_to_centi
    from luxvox.entropy.coders import CODER_NUMBERS

    centi, advance = quality_to_centi(quality), progress or silent
    if coder not in CODER_NUMBERS:
        raise UsageError(f"coder {coder!r} is unknown, legal: {', '.join(CODER_NUMBERS)}")
    raster = as_raster(pixels)
    height, width = raster.pixels.shape[:2]
    if height * width > container.MAX_PIXELS:
        raise InputError(f"{width}×{height} pixels are over the limit of 2^30")
    codec = codec_on(device)
    sections = code_sections(codec, raster.pixels, centi, CODER_NUMBERS[coder], advance)
    header = PictureHeader(
        model_number=codec.card.number,
        fingerprint=codec.fingerprint,
        width=width,
        height=height,
        colour=raster.pixels.shape[2] > 1,
        alpha=raster.alpha is not None,
        quality_centi=centi,
        coder=CODER_NUMBERS[coder],
    )
    data = container.write(header, [*sections, *_other_sections(raster, strip)])
    advance(1.0)
    return data


@overload
def decompress_image(
    data: bytes,
    sections: int | None = None,
    *,
    as_pil: Literal[False] = False,
    strict: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Advance | None = None,
) -> NDArray[np.uint8]: ...


@overload
def decompress_image(
    data: bytes,
    sections: int | None = None,
    *,
    as_pil: Literal[True],
    strict: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Advance | None = None,
) -> Image.Image: ...


def decompress_image(
    data: bytes,
    sections: int | None = None,
    *,
    as_pil: bool = False,
    strict: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Advance | None = None,
) -> NDArray[np.uint8] | Image.Image:
    """Decompress a picture.

    Args:
        data: the bytes of a `.lvx` file; one that is cut gives what its whole sections hold, and
            a `TruncatedWarning`.
        sections: decode only so many code sections (1 is the coarsest picture); all by default.
        as_pil: return a PIL image, with metadata, rather than an array.
        strict: refuse files that are cut.
        max_pixels: refuse larger pictures.
        progress: called with the share of the work done, 0 … 1.

    Returns:
        uint8 [H, W] (grey), [H, W, 2] (grey and alpha), [H, W, 3] or [H, W, 4]; or a PIL image.

    Raises:
        FormatError: if the file is malformed; `ChecksumError` if altered, `TruncatedError` if cut
            before the first section's end, or anywhere with `strict`.
        UnsupportedError: if it needs another luxvox or other weights.
        InputError: if it has more than `max_pixels` pixels.
    """
    raster = decompress_raster(
        data, sections, strict=strict, max_pixels=max_pixels, progress=progress
    )
    return to_pil(raster) if as_pil else to_array(raster)


def decompress_raster(
    data: bytes,
    sections: int | None = None,
    *,
    strict: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Advance | None = None,
) -> Raster:
    """Decompress a picture with its metadata; see `decompress_image`."""
    from luxvox.codec.picture_decoding import decoded_codes, opened, picture_header, synthesised

    advance = progress or silent
    content, codec = opened(data, max_pixels, callers=2, strict=strict)
    header = picture_header(content.header)
    payload = content.payload(ALPHA)
    alpha = None if payload is None else decode_alpha(payload, header.width, header.height)
    arrays = decoded_codes(codec, content, sections)
    advance(_CODES_SHARE)
    drawing = part_of(advance, _CODES_SHARE, 1.0 - _CODES_SHARE)
    pixels = synthesised(codec, header, arrays, drawing)
    return Raster(
        pixels if header.colour else _as_grey(pixels),
        alpha,
        content.payload(ICC),
        content.payload(EXIF),
        content.payload(XMP),
    )


def codes(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> dict[str, Codes]:
    """Return the codes of a file by level: uint8 [stages, groups, H, W]; 0 is null.

    Raises:
        As `decompress_image`.
    """
    from luxvox.codec.picture_decoding import decoded_codes, opened

    content, codec = opened(data, max_pixels, callers=1)
    return decoded_codes(codec, content, None)


def _as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    total = pixels.sum(axis=2, dtype=np.uint16, keepdims=True)
    grey: NDArray[np.uint8] = ((2 * total + 3) // 6).astype(np.uint8)
    return grey


def _other_sections(raster: Raster, strip: bool) -> list[Section]:
    metadata = ((ICC, raster.icc), (EXIF, raster.exif), (XMP, raster.xmp))
    sections = [] if raster.alpha is None else [Section(ALPHA, encode_alpha(raster.alpha))]
    if not strip:
        sections += [Section(number, payload) for number, payload in metadata if payload]
    return sections
