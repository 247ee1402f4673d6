"""Pictures to `.lvx` bytes and back."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
from numpy.typing import NDArray

from luxvox.cautions import warn_all
from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, check_device, check_types, file_bytes
from luxvox.codec.container import ALPHA
from luxvox.codec.container.limits import DEFAULT_MAX_PIXELS
from luxvox.codec.container.repair import open_repaired
from luxvox.codec.effort import DEFAULT_EFFORT, PictureWork, picture_work
from luxvox.codec.notes import loss_warnings
from luxvox.codec.picture.alpha import alpha_of_view, decode_alpha
from luxvox.codec.picture.rasters import Raster, strip_metadata, to_array, to_pil
from luxvox.codec.picture.transparent import without_hidden_colours
from luxvox.codec.picture.views import Crop, check_view, view_of
from luxvox.codec.targets import Target, picture_target
from luxvox.errors import InputError, TargetWarning, UsageError
from luxvox.late_imports import FOR_PICTURES, TO_READ_PICTURES, load
from luxvox.models.tunings import DEFAULT_TUNE
from luxvox.progress import Progress, part_of, silent

if TYPE_CHECKING:
    from PIL import Image

    from luxvox.codec.picture.inputs import Picture
    from luxvox.entropy.picture.prediction import LatticeCodes


@overload
def compress_image(
    pixels: list[Picture] | tuple[Picture, ...],
    quality: float | None = None,
    *,
    bpp: float | None = None,
    size: float | None = None,
    psnr: float | None = None,
    effort: int = DEFAULT_EFFORT,
    tune: str = DEFAULT_TUNE,
    device: str = "cpu",
    strip: bool = False,
    coder: str = "constriction",
    progress: Progress | None = None,
) -> list[bytes]: ...


@overload
def compress_image(
    pixels: Picture,
    quality: float | None = None,
    *,
    bpp: float | None = None,
    size: float | None = None,
    psnr: float | None = None,
    effort: int = DEFAULT_EFFORT,
    tune: str = DEFAULT_TUNE,
    device: str = "cpu",
    strip: bool = False,
    coder: str = "constriction",
    progress: Progress | None = None,
) -> bytes: ...


def compress_image(  # noqa: PLR0913 – one argument for each thing a caller may want
    pixels: Picture | list[Picture] | tuple[Picture, ...],
    quality: float | None = None,
    *,
    bpp: float | None = None,
    size: float | None = None,
    psnr: float | None = None,
    effort: int = DEFAULT_EFFORT,
    tune: str = DEFAULT_TUNE,
    device: str = "cpu",
    strip: bool = False,
    coder: str = "constriction",
    progress: Progress | None = None,
) -> bytes | list[bytes]:
    """Compress a picture, to a quality or to a rate, size or PSNR.

    Args:
        pixels: uint8 [H, W], [H, W, 1], [H, W, 3] (RGB) or [H, W, 4] (RGBA), a tensor of [H, W] or
            [C, H, W], a PIL image, a `Raster`, or a picture file: its path or URL, its bytes, or
            opened; arrays of at most 2³⁰ pixels, files of 2²⁸. Colours under alpha 0 are not kept.
            A list of these, an array [B, H, W, C] or a tensor [B, C, H, W] is a batch.
        quality: 1 (small) to 100 (steps of 3.5 levels), in hundredths; 50 by default.
        bpp: bits a pixel of the whole file, instead; met within 2 % (or 2 bytes).
        size: bytes of the whole file, instead; never more, at most 2 % (or 3 bytes) less.
        psnr: dB over all samples but alpha, instead; met within 0.1 dB, or a `TargetWarning`.
        effort: 1 to 9, all alike for pictures so far.
        tune: `eye`, or `psnr` for the least squared error.
        device: where the networks run, `cpu` or `cuda`; never changes how files decode.
        strip: leave out ICC profile, EXIF and XMP.
        coder: `constriction` or `torchac` (extra `luxvox[torchac]`).
        progress: called with the share of the work done, 0 … 1.

    Returns:
        The bytes of a `.lvx` file; a list of them for a batch.

    Raises:
        UsageError: an argument or the array's shape or type is not legal, more than one target
            is given, or the target cannot be met; the message gives the range that can.
        InputError: if the picture is over the limit, or its file cannot be decoded.
        ModelError: if no intact weights are installed.
        OSError, SystemFailure: its file cannot be read.
    """
    check_types(quality=quality, bpp=bpp, size=size, psnr=psnr, effort=effort, progress=progress)
    target = picture_target(quality, bpp, size, psnr)
    request = _Request(target, picture_work(effort, tune), device, strip, coder)
    files, is_batch = _compress_all(pixels, request, progress or silent)
    for file in files:
        warn_all(file.cautions, stacklevel=2)
    return [file.data for file in files] if is_batch else files[0].data


@dataclass(frozen=True)
class _Request:
    """What is requested of a picture's file, checked as far as possible without its pixels."""

    target: Target
    work: PictureWork
    device: str
    strip: bool
    coder: str

    def __post_init__(self) -> None:
        check_types(strip=self.strip, coder=self.coder)
        check_device(self.device)


@dataclass(frozen=True)
class _File:
    """The bytes of a file, and what to warn the caller of: a missed target, what is not kept."""

    data: bytes
    cautions: tuple[Warning, ...]


def _compress_all(
    pixels: Picture | list[Picture] | tuple[Picture, ...], request: _Request, progress: Progress
) -> tuple[list[_File], bool]:
    """Code a picture, or each of a batch; return whether it is one, too."""
    load(*FOR_PICTURES)
    from luxvox.codec.picture.inputs import split_batch

    pictures, is_batch = split_batch(pixels)
    share = 1 / max(len(pictures), 1)
    files = [
        _compress(picture, request, part_of(progress, number * share, share))
        for number, picture in enumerate(pictures)
    ]
    return files, is_batch


def _compress(picture: Picture, request: _Request, progress: Progress) -> _File:
    """Code a picture as requested."""
    from luxvox.codec.picture.encoding import PictureEncoder, codec_on, sections_after_codes
    from luxvox.codec.picture.inputs import raster_of
    from luxvox.codec.picture.rates import at_target
    from luxvox.entropy.coders import CODER_NUMBERS
    from luxvox.torch_state import usual_state

    if request.coder not in CODER_NUMBERS:
        legal = ", ".join(CODER_NUMBERS)
        raise UsageError(f"coder {request.coder!r} is unknown, legal: {legal}")

    with usual_state():
        raster = raster_of(picture)
        if request.strip:
            raster = strip_metadata(raster)
        height, width = raster.pixels.shape[:2]
        if height * width > container.MAX_PIXELS:
            raise InputError(f"{width}×{height} pixels are over the limit of 2^30")
        others, left_out = sections_after_codes(raster, request.strip)
        if raster.alpha is not None:
            seen = without_hidden_colours(raster.pixels, raster.alpha)
            raster = dataclasses.replace(raster, pixels=seen)

        codec = codec_on(request.device, request.work.tune)
        coder = CODER_NUMBERS[request.coder]
        encoder = PictureEncoder(codec, raster, others, coder, request.work)
        data, missed = at_target(encoder, request.target, progress)
    progress(1.0)

    lost = loss_warnings((*left_out, *raster.notes))
    return _File(data, (*([TargetWarning(missed)] if missed else []), *lost))


@overload
def decompress_image(
    data: FileBytes,
    sections: int | None = None,
    *,
    scale: float = 1.0,
    crop: Crop | None = None,
    as_pil: Literal[False] = False,
    strict: bool = False,
    conceal: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> NDArray[np.uint8]: ...


@overload
def decompress_image(
    data: FileBytes,
    sections: int | None = None,
    *,
    scale: float = 1.0,
    crop: Crop | None = None,
    as_pil: Literal[True],
    strict: bool = False,
    conceal: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> Image.Image: ...


def decompress_image(  # noqa: PLR0913 – one argument for each thing a caller may want
    data: FileBytes,
    sections: int | None = None,
    *,
    scale: float = 1.0,
    crop: Crop | None = None,
    as_pil: bool = False,
    strict: bool = False,
    conceal: bool = False,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: Progress | None = None,
) -> NDArray[np.uint8] | Image.Image:
    """Decompress a picture.

    Args:
        data: a `.lvx` file: its bytes, path or URL, or opened; a cut one gives what is whole, and
            a `TruncatedWarning`.
        sections: decode only the first n sections of the codes, 1 (a preview) to 6; all by default.
        scale: 1, or 1/2, 1/4, 1/8 or 1/16 for a smaller picture in less time; sides are rounded
            up.
        crop: left, top, width and height of the part to decode, in pixels; all by default. It is
            that part of the whole picture, to within one level, unless a band that lost its preview
            is concealed, which takes its neighbours.
        as_pil: return a PIL image, with metadata, rather than an array.
        strict: refuse files that are cut.
        conceal: decode altered files, too, with a `DamageWarning`: an altered part of a band is
            guessed, and so are all finer ones; altered alpha and metadata are left out.
        max_pixels: refuse pictures that are larger as a whole.
        progress: called with the share of the work done, 0 … 1.

    Returns:
        uint8 [H, W] (grey), [H, W, 2] (grey and alpha), [H, W, 3] or [H, W, 4]; or a PIL image.

    Raises:
        UsageError: if sections, scale or crop are out of range.
        FormatError: if the file is malformed; `ChecksumError` if altered, `TruncatedError` if cut
            before the first part's end, or anywhere with `strict`.
        UnsupportedError: if it needs another luxvox or other weights.
        InputError: if it has more than `max_pixels` pixels.
    """
    check_types(as_pil=as_pil)
    reading = PictureReading(sections, scale, crop, strict, conceal, max_pixels, progress)
    raster, cautions = reading.read(file_bytes(data))
    warn_all(cautions, stacklevel=2)
    return to_pil(raster) if as_pil else to_array(raster)


@dataclass(frozen=True)
class PictureReading:
    """How a picture is to be decoded; see `decompress_image`."""

    sections: int | None = None
    scale: float = 1.0
    crop: Crop | None = None
    strict: bool = False
    conceal: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_types(sections=self.sections, scale=self.scale, crop=self.crop)
        check_types(strict=self.strict, conceal=self.conceal, max_pixels=self.max_pixels)
        check_types(progress=self.progress)

    def read(self, data: bytes) -> tuple[Raster, tuple[Warning, ...]]:
        """Decode a picture; also return what to warn the caller of."""
        load(*TO_READ_PICTURES)
        from luxvox.codec.picture.decoding import (
            decode_view,
            metadata_of,
            open_picture_file,
        )
        from luxvox.torch_state import usual_state

        view = view_of(self.sections, self.scale, self.crop)
        with usual_state():
            file, cautions = open_repaired(data, self.conceal)
            picture = open_picture_file(
                file, self.max_pixels, strict=self.strict, conceal=self.conceal
            )
            header, content = picture.header, picture.content
            check_view(view, header.width, header.height)
            metadata = metadata_of(content)
            payload = content.payload(ALPHA)
            alpha = None if payload is None else decode_alpha(payload, header.width, header.height)
            pixels = decode_view(picture, view, self.progress or silent)
        raster = Raster(pixels, None if alpha is None else alpha_of_view(alpha, view), *metadata)
        return raster, (*cautions, *picture.cautions)


def decompress_raster(
    data: FileBytes,
    reading: PictureReading = PictureReading(),  # noqa: B008 – frozen
) -> Raster:
    """Decompress a picture with its metadata; see `decompress_image`."""
    raster, cautions = reading.read(file_bytes(data))
    warn_all(cautions, stacklevel=2)
    return raster


def codes_of(
    file: container.OpenFile, max_pixels: int
) -> tuple[dict[str, LatticeCodes], tuple[Warning, ...]]:
    """Return the codes of a file by level: int16 [channels, H, W], in steps; and cautions."""
    load(*TO_READ_PICTURES)
    from luxvox.codec.picture.decoding import open_picture_file, read_codes
    from luxvox.torch_state import usual_state

    with usual_state():
        picture = open_picture_file(file, max_pixels)
        return read_codes(picture), picture.cautions
