"""Tell from its first bytes what a file is when no picture can be read from it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Final

from luxvox.codec.kinds import kind_of
from luxvox.codec.picture.files import jpeg_xl
from luxvox.errors import InputError, LuxvoxError, SystemFailure

HEAD_BYTES: Final = 32
EXTRA: Final = "luxvox[formats]"

_HEIF_BRANDS: Final = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
)
_AVIF_BRANDS: Final = (b"avif", b"avis")
_RAW_BEGINNINGS: Final = (
    b"FUJIFILMCCD-RAW",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"FOVb",
    b"\0MRM",
    b"\0\0\0\x18ftypcrx ",
    b"II\x1a\0\0\0HEAPCCDR",
)
_NO_PICTURES: Final = (
    (b"%PDF", "a PDF document"),
    (b"SIMPLE  =", "a FITS file, whose samples have no known scale"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),
    (b"<svg", "an SVG drawing"),
    (b"\x89LVX", "an .lvx file, which is compressed already"),
)
_PICTURES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"8BPS", "PSD"),
)


def add_reader(head: bytes) -> None:
    """Register the optional package that reads a file with Pillow, if it is installed.

    Args:
        head: the first `HEAD_BYTES` of the file.
    """
    try:
        if _is_heif(head):
            importlib.import_module("pillow_heif").register_heif_opener()
        elif _is_jpeg_xl(head):
            importlib.import_module("pillow_jxl")
    except ImportError:
        return  # Pillow may have a reader of its own; if not, `refusal` names the package


def refusal(head: bytes) -> LuxvoxError:
    """Return the error that says why Pillow cannot read a file.

    Args:
        head: the first `HEAD_BYTES` of the file.
    """
    if head.startswith(_RAW_BEGINNINGS) or is_canon_raw(head):
        return InputError(camera_raw())
    kind = "HEIC" if _is_heif(head) else "JPEG XL" if _is_jpeg_xl(head) else None
    if kind is not None:
        package = "pillow_heif" if kind == "HEIC" else "pillow_jxl"
        if importlib.util.find_spec(package) is None:
            return SystemFailure(f"a {kind} picture; to read it: pip install '{EXTRA}'")
        return InputError(f"damaged picture: a {kind} file that cannot be read")
    sound = kind_of(head)
    if sound is not None:
        return InputError(f"a recording ({sound}), which is compressed as a voice")
    for beginning, name in _NO_PICTURES:
        if head.lstrip().startswith(beginning):
            return InputError(f"not a picture but {name}")
    known = _picture_kind(head)
    words = "not a picture in a format that Pillow can read"
    if known is not None:
        words = f"damaged, or a kind of {known} that Pillow cannot read"
    return InputError(words)


def _picture_kind(head: bytes) -> str | None:
    """Return which of the common formats a file is in, or None."""
    if head[4:8] == b"ftyp" and head[8:12] in _AVIF_BRANDS:
        return "AVIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((name for beginning, name in _PICTURES if head.startswith(beginning)), None)


def camera_raw() -> str:
    """Return the message that refuses a camera raw file."""
    return "a camera raw file, of which only a preview could be read; develop it first"


def is_canon_raw(head: bytes) -> bool:
    """Return whether a TIFF file is a Canon raw file of the second version."""
    return head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR"


def _is_heif(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _is_jpeg_xl(head: bytes) -> bool:
    return head.startswith((jpeg_xl.CODESTREAM, jpeg_xl.CONTAINER))
