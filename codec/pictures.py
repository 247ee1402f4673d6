"""Pictures to `.lvx` bytes and back."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.alpha import decode_alpha, encode_alpha
from luxvox.codec.container import ALPHA, EXIF, ICC, XMP, Container, PictureHeader, Section
from luxvox.codec.rasters import (
    DEFAULT_MAX_PIXELS,
    Raster,
    from_array,
    from_pil,
    round_to_uint8,
    to_array,
    to_pil,
)
from luxvox.entropy.walk import Codes
from luxvox.errors import (
    FormatError,
    InputError,
    TruncatedWarning,
    UnsupportedError,
    UsageError,
)

if TYPE_CHECKING:
    from PIL import Image

    from luxvox.models.catalogue import PictureCodec

Progress = Callable[[float], None]

# Shares of the time that the parts of each job take, for progress.
_ANALYSIS_SHARE = 0.3
_CODES_SHARE = 0.6


@dataclass(frozen=True)
class FileInfo:
    """What a file says of itself, without decoding it.

    Attributes:
        kind: `picture`.
        width, height: in pixels.
        channels: 1 to 4, of the array that decoding gives.
        quality: 1 … 100.
        model: id number of the weights.
        fingerprint: of the model's integer tables, hexadecimal.
        coder: name of the range coder.
        bytes: length of the file.
        rate_bpp: bits a pixel of the whole file.
        sections: what the file holds after its header.
        damage: one line on what is cut or altered, empty if nothing is.
    """

    kind: str
    width: int
    height: int
    channels: int
    quality: float
    model: int
    fingerprint: str
    coder: str
    bytes: int
    rate_bpp: float
    sections: tuple[Any, ...]
    damage: str


def compress_image(
    pixels: NDArray[Any] | Image.Image | Raster,
    quality: float = 50.0,
    *,
    device: str = "cpu",
    strip: bool = False,
    coder: str = "constriction",
    progress: Progress | None = None,
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
    from luxvox.entropy.coders import CODER_NUMBERS

    centi, advance = _quality_centi(quality), progress or _silent
    if coder not in CODER_NUMBERS:
        raise UsageError(f"coder {coder!r} is unknown, legal: {', '.join(CODER_NUMBERS)}")
    raster = as_raster(pixels)
    height, width = raster.pixels.shape[:2]
    if height * width > container.MAX_PIXELS:
        raise InputError(f"{width}×{height} pixels are over the limit of 2^30")
    codec = _codec(None, device)
    sections = _code_sections(codec, _as_rgb(raster.pixels), centi, CODER_NUMBERS[coder], advance)
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
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> NDArray[np.uint8]: ...


@overload
def decompress_image(
    data: bytes,
    sections: int | None = None,
    *,
    as_pil: Literal[True],
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Image.Image: ...


def decompress_image(
    data: bytes,
    sections: int | None = None,
    *,
    as_pil: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> NDArray[np.uint8] | Image.Image:
    """Decompress a picture.

    Args:
        data: the bytes of a `.lvx` file; one that is cut gives what its whole sections hold, and
            a `TruncatedWarning`.
        sections: decode only so many code sections (1 is the coarsest picture); all by default.
        as_pil: return a PIL image, with metadata, rather than an array.
        max_pixels: refuse larger pictures.
        progress: called with the share of the work done, 0 … 1.

    Returns:
        uint8 [H, W] (grey), [H, W, 2] (grey and alpha), [H, W, 3] or [H, W, 4]; or a PIL image.

    Raises:
        FormatError: if the file is malformed; `ChecksumError` if altered, `TruncatedError` if cut
            before the first section's end.
        UnsupportedError: if it needs another luxvox or other weights.
        InputError: if it has more than `max_pixels` pixels.
    """
    raster = decompress_raster(data, sections, max_pixels, progress)
    return to_pil(raster) if as_pil else to_array(raster)


def decompress_raster(
    data: bytes,
    sections: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Raster:
    """Decompress a picture with its metadata; see `decompress_image`."""
    advance = progress or _silent
    content, codec = _opened(data, max_pixels, callers=2)
    header = _picture_header(content.header)
    arrays = _decoded_codes(codec, content, sections)
    advance(_CODES_SHARE)
    pixels = _synthesised(codec, header, arrays, advance)
    alpha = content.payload(ALPHA)
    return Raster(
        pixels if header.colour else _as_grey(pixels),
        None if alpha is None else decode_alpha(alpha, header.width, header.height),
        content.payload(ICC),
        content.payload(EXIF),
        content.payload(XMP),
    )


def codes(data: bytes, max_pixels: int = DEFAULT_MAX_PIXELS) -> dict[str, Codes]:
    """Return the codes of a file by level: uint8 [stages, groups, H, W]; 0 is null.

    Raises:
        As `decompress_image`.
    """
    content, codec = _opened(data, max_pixels, callers=1)
    return _decoded_codes(codec, content, None)


def inspect(data: bytes) -> FileInfo:
    """Describe a file from its header and the lengths of its sections; loads no network.

    Raises:
        FormatError: if the header is malformed, altered or cut.
        UnsupportedError: if it needs another luxvox.
    """
    listing = container.list_sections(data)
    header = _picture_header(listing.header)
    return FileInfo(
        kind="picture",
        width=header.width,
        height=header.height,
        channels=(3 if header.colour else 1) + header.alpha,
        quality=header.quality_centi / 100.0,
        model=header.model_number,
        fingerprint=header.fingerprint.hex(),
        coder=container.CODERS[header.coder],
        bytes=len(data),
        rate_bpp=8.0 * len(data) / (header.width * header.height),
        sections=tuple(listing.entries),
        damage=listing.damage or "",
    )


def as_raster(pixels: NDArray[Any] | Image.Image | Raster) -> Raster:
    """Take an array, a PIL image or a raster as a raster.

    Raises:
        UsageError: if it is none of them.
    """
    if isinstance(pixels, Raster):
        return pixels
    if isinstance(pixels, np.ndarray):
        return from_array(pixels)
    if hasattr(pixels, "getbands"):
        return from_pil(pixels)
    raise UsageError(f"a picture is an array or a PIL image, not {type(pixels).__name__}")


def _silent(share: float) -> None:
    """Ignore progress."""


def _quality_centi(quality: float) -> int:
    from luxvox.codec.rate import quality_to_centi

    return quality_to_centi(quality)


@functools.lru_cache(maxsize=4)
def _codec(number: int | None, device: str) -> PictureCodec:
    import copy
    import dataclasses

    from luxvox.models.catalogue import picture_codec

    shipped = picture_codec(number)
    if device == "cpu":
        return shipped
    return dataclasses.replace(shipped, model=copy.deepcopy(shipped.model).to(device))


def _as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    total = pixels.sum(axis=2, dtype=np.uint16, keepdims=True)
    grey: NDArray[np.uint8] = ((2 * total + 3) // 6).astype(np.uint8)
    return grey


def _code_sections(
    codec: PictureCodec, pixels: NDArray[np.uint8], centi: int, coder: int, advance: Progress
) -> list[Section]:
    from luxvox.codec.rate import centi_to_position
    from luxvox.entropy.walk import CodesEncoder, walk
    from luxvox.models.choice import RateAwareChoice
    from luxvox.models.image import LEVELS, quality_to_step
    from luxvox.models.strips import analyse, grid_shapes

    model = codec.model
    step = quality_to_step(centi / 100.0, model.config)
    latents = analyse(model, pixels, step, lambda done: advance(_ANALYSIS_SHARE * done))
    quantisers = {level: model.quantiser(level).cpu() for level in LEVELS}
    encoder = CodesEncoder(RateAwareChoice(quantisers, latents).choose, coder)
    walk(codec.context, grid_shapes(*pixels.shape[:2]), centi_to_position(centi), encoder)
    coded = encoder.sections()
    return [Section(n, coded.get(n, b"")) for n in range(1, _n_sections(codec) + 1)]


def _other_sections(raster: Raster, strip: bool) -> list[Section]:
    metadata = ((ICC, raster.icc), (EXIF, raster.exif), (XMP, raster.xmp))
    sections = [] if raster.alpha is None else [Section(ALPHA, encode_alpha(raster.alpha))]
    if not strip:
        sections += [Section(number, payload) for number, payload in metadata if payload]
    return sections


def _n_sections(codec: PictureCodec) -> int:
    return max(max(plan.sections) for plan in codec.context.plan)


def _opened(data: bytes, max_pixels: int, callers: int) -> tuple[Container, PictureCodec]:
    """Read a container and find its weights; check all that can be checked before the work.

    A warning points past so many callers of this module.
    """
    header = _picture_header(container.read_header(data)[0])
    if header.width * header.height > max_pixels:
        raise InputError(
            f"{header.width}×{header.height} pixels are over the limit of {max_pixels} (max_pixels)"
        )
    content = container.read(data)
    if content.truncated:
        warnings.warn(
            "the file is cut; decoding its whole sections",
            TruncatedWarning,
            stacklevel=2 + callers,
        )
    codec = _codec(header.model_number, "cpu")
    if codec.fingerprint != header.fingerprint:
        raise UnsupportedError(
            f"the file was made with weights {header.fingerprint.hex()} of picture model "
            f"{header.model_number}; installed are {codec.fingerprint.hex()}"
        )
    if len(content.codes) > _n_sections(codec):
        raise FormatError(
            f"{len(content.codes)} code sections, legal for this model: 0..{_n_sections(codec)}"
        )
    return content, codec


def _picture_header(header: container.Header) -> PictureHeader:
    if not isinstance(header, PictureHeader):
        raise UnsupportedError("this file holds a voice, not a picture")
    return header


def _decoded_codes(
    codec: PictureCodec, content: Container, sections: int | None
) -> dict[str, Codes]:
    from luxvox.codec.rate import centi_to_position
    from luxvox.entropy.walk import CodesDecoder, walk
    from luxvox.models.strips import grid_shapes

    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    header = _picture_header(content.header)
    payloads = content.codes[:sections]
    decoder = CodesDecoder(dict(enumerate(payloads, start=1)), header.coder)
    shapes = grid_shapes(header.height, header.width)
    decoded = walk(codec.context, shapes, centi_to_position(header.quality_centi), decoder)
    decoder.finish()
    return decoded


def _synthesised(
    codec: PictureCodec, header: PictureHeader, arrays: dict[str, Codes], advance: Progress
) -> NDArray[np.uint8]:
    import torch

    from luxvox.models.image import quality_to_step
    from luxvox.models.strips import synthesise

    model = codec.model
    quantised = {
        level: model.quantiser(level).decode(torch.from_numpy(array)[None])
        for level, array in arrays.items()
    }
    step = quality_to_step(header.quality_centi / 100.0, model.config)
    pixels = np.empty((header.height, header.width, 3), np.uint8)
    row = 0
    share = 1.0 - _CODES_SHARE
    for part in synthesise(
        model,
        quantised,
        step,
        (header.height, header.width),
        lambda done: advance(_CODES_SHARE + share * done),
    ):
        pixels[row : row + len(part)] = round_to_uint8(part)
        row += len(part)
    return pixels
