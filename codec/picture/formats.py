"""The common formats that decompressed pictures are written in, and what each can hold."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from luxvox.codec.picture.files import extended_xmp
from luxvox.codec.picture.files.exif import resolution_of
from luxvox.codec.picture.files.metadata import Metadata, description_of, has_directories
from luxvox.codec.picture.files.png import MAX_TEXT_BYTES
from luxvox.errors import LossWarning, SystemFailure, UsageError

_EXIF_PREFIX = b"Exif\x00\x00"
_APP1 = b"\xff\xe1"
_ANY_SIDE = 2**31 - 1


_ANY_SIZE = 2**31 - 1
_NO_METADATA: Mapping[str, int] = {"icc_profile": 0, "exif": 0, "xmp": 0}
_JPEG_METADATA: Mapping[str, int] = {
    "icc_profile": 255 * 65_519,
    "exif": 65_533,
    "xmp": 65_504,
}
# Some readers, Pillow among them, refuse a PNG with a longer profile.
_PNG_METADATA: Mapping[str, int] = {"icc_profile": MAX_TEXT_BYTES}


@dataclass(frozen=True)
class Format:
    """How Pillow writes one format: its name, what it can hold, and our options for it."""

    pillow_name: str
    alpha: bool = False
    longest_metadata: Mapping[str, int] = field(default_factory=lambda: _NO_METADATA)
    resolution: bool = False
    longest_side: int = _ANY_SIDE
    options: Mapping[str, Any] = field(default_factory=dict)


_JPEG = Format(
    "JPEG",
    longest_metadata=_JPEG_METADATA,
    resolution=True,
    longest_side=65_500,
    options={"quality": 95, "subsampling": 0},
)
_TIFF = Format(
    "TIFF",
    alpha=True,
    longest_metadata={},
    resolution=True,
    options={"compression": "tiff_adobe_deflate"},
)
_PNM = Format("PPM")

FORMATS: Mapping[str, Format] = {
    # Level 4 takes half the time of the default for 1 % more bytes (a 768 x 456 photograph).
    "png": Format(
        "PNG",
        alpha=True,
        longest_metadata=_PNG_METADATA,
        resolution=True,
        options={"compress_level": 4},
    ),
    "jpg": _JPEG,
    "jpeg": _JPEG,
    "webp": Format(
        "WEBP",
        alpha=True,
        longest_metadata={},
        longest_side=16_383,
        options={"lossless": True, "exact": True},
    ),
    "avif": Format(
        "AVIF",
        alpha=True,
        longest_metadata={},
        longest_side=65_536,
        options={"quality": 95, "subsampling": "4:4:4"},
    ),
    "tif": _TIFF,
    "tiff": _TIFF,
    "jp2": Format("JPEG2000", alpha=True),
    "bmp": Format("BMP", resolution=True),
    "tga": Format("TGA", alpha=True, longest_side=65_535),
    "ppm": _PNM,
    "pgm": _PNM,
    "pnm": _PNM,
}


def ending_of(target: object) -> str:
    """Return the extension of a path, without its dot and in lower case.

    Raises:
        UsageError: `target` is not a path, or has no extension.
    """
    path = os.fspath(target) if isinstance(target, str | os.PathLike) else ""
    ending = os.path.splitext(path)[1][1:].lower()
    if not ending:
        raise UsageError(f"no format given; write one of {_endings()}")
    return ending


def find_format(ending: str) -> Format:
    """Find a format by its file extension.

    Raises:
        UsageError: no such format.
    """
    found = FORMATS.get(ending.lower().removeprefix("."))
    if found is None:
        raise UsageError(f"pictures cannot be written as .{ending}; write one of {_endings()}")
    return found


def encode(
    image: Image.Image, metadata: Metadata, ending: str
) -> tuple[bytes, tuple[Warning, ...]]:
    """Write an image of mode L, LA, RGB or RGBA as the bytes of a file.

    Args:
        image: the picture.
        metadata: what to keep with it, as far as the format can hold it.
        ending: file extension of the format, such as `png`.

    Returns:
        The bytes of the file, and what to warn the caller of: the things it cannot hold.

    Raises:
        UsageError: an unknown format, or a picture too large for it.
        SystemFailure: this build of Pillow cannot write the format.
    """
    form = find_format(ending)
    _check_plugin(form.pillow_name)
    if max(image.size) > form.longest_side:
        raise UsageError(
            f"{image.width} × {image.height} does not fit .{ending}, whose sides are at most "
            f"{form.longest_side}; write .png"
        )
    left_out: tuple[str, ...] = ()
    if ending == "pgm" and image.mode in ("RGB", "RGBA"):
        image, left_out = image.convert("LA" if image.mode == "RGBA" else "L"), ("its colours",)
    if ending == "ppm" and image.mode in ("L", "LA"):
        image = image.convert("RGBA" if image.mode == "LA" else "RGB")
    if image.mode in ("LA", "RGBA") and not form.alpha:
        if image.getextrema()[-1] != (255, 255):
            left_out = (*left_out, "transparency, which is laid on white")
        image = _on_white(image)
    image.info.clear()  # some writers would take metadata from there, and others would not
    try:
        data, lost = _save(image, metadata, form)
    except MemoryError:
        raise
    except Exception:
        if metadata.exif is None:
            raise
        data, lost = _save(image, replace(metadata, exif=None), form)
        lost = ("EXIF, which is damaged", *lost)  # and costs no picture
    lost = (*left_out, *lost)
    if not lost:
        return data, ()
    return data, (LossWarning(f".{ending} is written without {', '.join(lost)}"),)


def _check_plugin(pillow_name: str) -> None:
    Image.preinit()
    if pillow_name not in Image.SAVE:  # most plugins are seldom needed
        Image.init()
    if pillow_name not in Image.SAVE:
        raise SystemFailure(f"this Pillow was built without {pillow_name}")


def _save(image: Image.Image, metadata: Metadata, form: Format) -> tuple[bytes, tuple[str, ...]]:
    stream = io.BytesIO()
    metadata_options, lost = _metadata_options(metadata, form)
    image.save(stream, form.pillow_name, **{**form.options, **metadata_options})
    return stream.getvalue(), lost


def _endings() -> str:
    return ", ".join(f".{ending}" for ending in FORMATS)


def _on_white(image: Image.Image) -> Image.Image:
    colour_mode = image.mode.removesuffix("A")
    white = Image.new(colour_mode, image.size, "white")
    white.paste(image.convert(colour_mode), mask=image.getchannel("A"))
    return white


def _metadata_options(metadata: Metadata, form: Format) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the options that make Pillow write metadata, and what the format cannot hold."""
    parts: dict[str, Any] = {}
    if metadata.icc:
        parts["icc_profile"] = metadata.icc
    if metadata.exif:
        parts["exif"] = _EXIF_PREFIX + metadata.exif
    if metadata.xmp:
        parts["xmp"] = metadata.xmp
    longest = form.longest_metadata
    extra = _split_xmp(parts, longest["xmp"]) if form is _JPEG else b""
    lost = [name for name, part in parts.items() if len(part) > longest.get(name, _ANY_SIZE)]
    words = tuple(_words_for(name, len(parts.pop(name)), longest.get(name, 0)) for name in lost)
    resolution = resolution_of(metadata.exif) if metadata.exif and form.resolution else None
    if form is _TIFF:
        parts = _as_tiff_tags(parts)
    elif form.pillow_name == "PNG" and "xmp" in parts:
        parts = _with_png_text(parts)
    if resolution is not None and form is not _TIFF:
        parts["dpi"] = resolution
    return ({**parts, "extra": extra} if extra else parts), words


def _split_xmp(parts: dict[str, Any], longest: int) -> bytes:
    """Shorten XMP to what fits into one JPEG segment; return the segments with the rest."""
    is_long = len(parts.get("xmp", b"")) > longest
    if not is_long or (split := extended_xmp.split(parts["xmp"], longest)) is None:
        return b""
    parts["xmp"], payloads = split
    return b"".join(_APP1 + (2 + len(payload)).to_bytes(2, "big") + payload for payload in payloads)


def _words_for(name: str, n_bytes: int, longest: int) -> str:
    what = {"icc_profile": "its ICC profile", "exif": "EXIF", "xmp": "XMP"}[name]
    return f"{what} of {n_bytes:,} bytes, legal: {longest:,}" if longest else what


def _with_png_text(parts: dict[str, Any]) -> dict[str, Any]:
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", parts.pop("xmp").decode("utf-8", "replace"))
    return {**parts, "pnginfo": text}


def _as_tiff_tags(parts: dict[str, Any]) -> dict[str, Any]:
    tags = Image.Exif()
    if "exif" in parts:
        described = description_of(parts.pop("exif"))
        tags.load(described)
        if has_directories(tags):
            parts["compression"] = "raw"  # libtiff, which compresses, cannot write directories
    if "xmp" in parts:
        tags[700] = parts.pop("xmp")
    return {**parts, "exif": tags} if len(tags) else parts
