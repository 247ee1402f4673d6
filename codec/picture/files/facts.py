"""Facts about a Pillow image that must be read before its pixels are loaded."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Final, TypeVar

from PIL import Image, ImageFile

from luxvox.codec.notes import PartNote
from luxvox.codec.picture.files import colour, jpeg2000, png
from luxvox.codec.picture.files.exif import ORIENTATION, Resolution
from luxvox.codec.picture.files.metadata import exif_directory, orientation_of
from luxvox.codec.picture.files.modes import NOTE_ON_DEPTH
from luxvox.codec.picture.files.pillow import is_deep, raw_mode
from luxvox.codec.picture.files.texts import notes_on_texts
from luxvox.codec.picture.files.tiff import as_tiff

Answer = TypeVar("Answer")

_BITS_TAG: Final = 258
_PROFILE_IN_JPEG: Final = b"ICC_PROFILE\0"
_MAP: Final = re.compile(rb"P[1-7]\s")
_USUAL_DPI: Final = 72.0  # what writers put where they know nothing
_CM_PER_INCH: Final = 2.54
_HEAD_OF_AVIF: Final = 4096
_GREY_MODES: Final = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_MODES_WITHOUT_PROFILE: Final = ("CMYK", "LAB", "YCbCr")
_AVIF_HIGH_BIT_DEPTH: Final = 0x40
_NAMES_OF_FRAMES: Final = {"MPO": "picture", "PSD": "layer", "TIFF": "page"}


@dataclass(frozen=True)
class Facts:
    """What is known about a picture before its pixels are loaded.

    Attributes:
        orientation: of the picture in the file, 1 to 8; None if it must be read after the pixels
            are loaded.
        is_turned_when_loaded: whether its reader turns it upright by itself.
        raw_mode: Pillow's name for the layout of its samples in the file; empty if unknown.
        icc: a profile made from what else the file says about its colours, or None.
        resolution: pixels an inch, across and down, or None.
        notes: what is left out of the file.
    """

    orientation: int | None
    is_turned_when_loaded: bool
    raw_mode: str
    icc: bytes | None
    resolution: Resolution | None
    notes: tuple[str, ...]


def facts_of(image: Image.Image) -> Facts:
    """Collect the facts about an image."""
    icc, colour_notes = _profile(image)
    if image.format == "JPEG2000" and image.mode not in _MODES_WITHOUT_PROFILE:
        icc = _ask(image, jpeg2000.icc_profile)
    notes = (*_notes_on_frames(image), *colour_notes, *_notes_on_depth(image))
    notes += (*_notes_on_damage(image), *_notes_on_others(image))
    if image.format != "PNG":  # which may have texts after its pixels
        notes += notes_on_texts(image)
    orientation, is_turned = _orientation(image)
    return Facts(orientation, is_turned, raw_mode(image), icc, _resolution(image), notes)


def _orientation(image: Image.Image) -> tuple[int | None, bool]:
    if as_tiff(image) is not None and ORIENTATION in exif_directory(image):
        return orientation_of(image), True
    # Decoders of HEIF and of JPEG XL turn the picture; its EXIF may still say how it lay.
    is_turned = image.format == "HEIF" or (image.format == "JXL" and not _is_packed_jpeg(image))
    return (1, True) if is_turned else (None, False)


def _is_packed_jpeg(image: Image.Image) -> bool:
    return bool(getattr(image, "jpeg", False))


def _resolution(image: Image.Image) -> Resolution | None:
    if image.format in ("JPEG", "MPO"):
        scale = {1: 1.0, 2: _CM_PER_INCH}.get(image.info.get("jfif_unit", 0))
        density = image.info.get("jfif_density")
        stated = None
        if scale is not None and density is not None:
            stated = [value * scale for value in density]
    else:
        stated = image.info.get("dpi")
    try:
        across, down = (float(value) for value in stated or ())
    except (TypeError, ValueError):
        return None
    is_legal = all(math.isfinite(value) and 0 < value < 1e6 for value in (across, down))
    is_usual = max(abs(across - _USUAL_DPI), abs(down - _USUAL_DPI)) < 0.5
    return (across, down) if is_legal and not is_usual else None


def _profile(image: Image.Image) -> tuple[bytes | None, tuple[str, ...]]:
    if image.info.get("icc_profile") or image.mode in _MODES_WITHOUT_PROFILE:
        return None, ()
    points = _code_points(image)
    if points is not None and colour.is_hdr(points[1]):
        return None, ("its colours are HDR (PQ or HLG), and will be shown as sRGB",)
    if points is not None:
        colours = colour.colours_of_code_points(*points)
    elif image.format == "PNG" and "srgb" not in image.info:
        info = image.info
        colours = colour.colours_of_png(info.get("gamma"), info.get("chromaticity"))
    else:
        return None, ()
    if colours is None:
        return None, ("what it says about its colours is not understood, and left out",)
    is_grey = image.mode in _GREY_MODES
    if colours.is_srgb or (is_grey and colours.gamma is None):
        return None, ()
    return colour.icc_profile(colours, is_grey), ()


def _code_points(image: Image.Image) -> tuple[int, int] | None:
    """Return the primaries and the transfer of H.273 that a file states, or None."""
    stated = image.info.get("nclx_profile")
    if isinstance(stated, dict):
        points = (stated.get("color_primaries"), stated.get("transfer_characteristics"))
        return None if None in points else (int(points[0] or 2), int(points[1] or 2))
    readers = {"PNG": png.code_points, "AVIF": _avif_code_points}
    reader = readers.get(image.format or "")
    return None if reader is None else _ask(image, reader)


def _ask(image: Image.Image, question: Callable[[BinaryIO], Answer | None]) -> Answer | None:
    """Read something from a picture's file and go back to where it was; None if that fails."""
    stream: Any = image.fp if isinstance(image, ImageFile.ImageFile) else None
    if stream is None:
        return None
    try:
        position = stream.tell()
        try:
            return question(stream)
        finally:
            stream.seek(position)
    except (OSError, ValueError):  # a stream that is closed, or does not seek
        return None


def _avif_code_points(stream: BinaryIO) -> tuple[int, int] | None:
    """Return the code points of the colour box, which is in the first kilobytes of a file."""
    stream.seek(0)
    head = stream.read(_HEAD_OF_AVIF)
    start = head.find(b"colrnclx") + 8
    if start < 8 or start + 4 > len(head):
        return None
    return int.from_bytes(head[start : start + 2], "big"), int.from_bytes(
        head[start + 2 : start + 4], "big"
    )


def _notes_on_frames(image: Image.Image) -> tuple[str, ...]:
    if image.format == "PPM" and _ask(image, partial(_has_more_maps, image)):
        return (PartNote("only the first of several pictures is kept"),)
    if image.format == "TIFF":  # its pages are counted where one is chosen
        return ()
    try:
        n_frames = int(getattr(image, "n_frames", 1))
        number = image.tell() + 1
    except Exception:  # Pillow raises many types on frames that are broken
        return ()
    if n_frames < 2:
        return ()
    if image.format == "PSD":
        return (PartNote(f"only the picture of all {n_frames} layers together is kept"),)
    name = _NAMES_OF_FRAMES.get(image.format or "", "frame")
    return (PartNote(f"only {name} {number} of {n_frames} is kept"),)


def _has_more_maps(image: Image.Image, stream: BinaryIO) -> bool:
    """Return whether another picture follows the packed samples of a PNM file."""
    tile = image.tile[0] if isinstance(image, ImageFile.ImageFile) and image.tile else None
    if tile is None or tile.codec_name not in ("raw", "ppm"):
        return False
    n_bytes = 2 if is_deep(image) else 1
    row = -(-image.width // 8) if image.mode == "1" else image.width * len(image.getbands())
    stream.seek(tile.offset + image.height * row * n_bytes)
    return _MAP.match(stream.read(3)) is not None


def _notes_on_depth(image: Image.Image) -> tuple[str, ...]:
    tiff_file = as_tiff(image)
    stated = (8,) if tiff_file is None else tiff_file.tag_v2.get(_BITS_TAG, (8,))
    bit_depth = image.info.get("bit_depth", 8)
    if image.format == "JPEG2000":
        bit_depth = _ask(image, jpeg2000.bit_depth)
    elif image.format == "AVIF" and _ask(image, _is_deep_avif):
        return (NOTE_ON_DEPTH,)
    if isinstance(bit_depth, int) and bit_depth > 8:
        return (NOTE_ON_DEPTH,)
    return (NOTE_ON_DEPTH,) if max(stated) > 8 or is_deep(image) else ()


def _is_deep_avif(stream: BinaryIO) -> bool:
    """Return whether the configuration says that samples have more than 8 bits."""
    stream.seek(0)
    head = stream.read(_HEAD_OF_AVIF)
    start = head.find(b"av1C")
    return 0 <= start < len(head) - 6 and bool(head[start + 6] & _AVIF_HIGH_BIT_DEPTH)


def _notes_on_damage(image: Image.Image) -> tuple[str, ...]:
    """Say what Pillow leaves out because it is damaged, and what it ignores."""
    notes = []
    info = image.info
    markers = getattr(image, "applist", ())
    has_parts = any(data.startswith(_PROFILE_IN_JPEG) for _, data in markers)
    if not info.get("icc_profile") and ("icc_profile" in info or has_parts):
        notes.append("its ICC profile is damaged and left out, so colours may look different")
    if image.format == "PNG" and _ask(image, png.is_narrow):
        notes.append("its samples have the narrow range of video, and are kept as they are")
    has_credentials = any(name == "APP11" and b"c2pa" in data for name, data in markers)
    if has_credentials or (image.format == "PNG" and _ask(image, png.has_credentials)):
        notes.append("its content credentials (C2PA) are not kept")
    return tuple(notes)


def _notes_on_others(image: Image.Image) -> tuple[str, ...]:
    """Say what other pictures a file holds: gain maps, depth maps, other sizes."""
    notes = []
    kinds = " ".join(map(str, image.info.get("aux") or ())).lower()
    if "gainmap" in kinds:
        notes.append("its gain map (HDR) is not kept")
    elif kinds or any(image.info.get("depth_images") or ()):
        notes.append("its depth map or mattes are not kept")
    sizes = image.info.get("sizes")
    if image.format in ("ICO", "ICNS") and sizes is not None and len(sizes) > 1:
        notes.append(f"only the largest of its {len(sizes)} sizes is kept")
    return tuple(notes)
