"""What a picture says about itself: ICC profile, EXIF and XMP, kept, except the orientation.

The orientation is applied to the pixels, so it is removed from the metadata; otherwise a viewer
would turn the picture twice. Everything else stays byte for byte (maker notes hold absolute
offsets).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from luxvox.codec.picture.files import exif as exif_blocks
from luxvox.codec.picture.files import extended_xmp
from luxvox.codec.picture.files import xmp as xmp_packets
from luxvox.codec.picture.files.exif import ORIENTATION, Resolution
from luxvox.codec.picture.files.modes import MODES_THAT_LOSE_THEIR_PROFILE, Samples

_UPRIGHT = 1
_EXIF_PREFIX = b"Exif\x00\x00"
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"

# The tags of a TIFF that describe the picture; the others describe the file it was in.
_DESCRIPTIVE_TAGS = (270, 271, 272, 282, 283, 296, 305, 306, 315, 33432)
_RESOLUTION_UNIT = 296
_DESCRIPTIVE_DIRECTORIES = (0x8769, 0x8825)  # EXIF, GPS


@dataclass(frozen=True)
class Metadata:
    """What is kept next to the pixels; each part as its standard writes it, or None."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def metadata_of(image: Image.Image) -> Metadata:
    """Collect the metadata of a loaded Pillow image, as they stand in it.

    Args:
        image: a Pillow image whose pixels are loaded (PNG keeps its EXIF after them).

    Returns:
        The parts that are there. EXIF begins with its TIFF header (`II` or `MM`).
    """
    icc = image.info.get("icc_profile") or _raw_profile(image, "icc", "icm")
    if image.mode in MODES_THAT_LOSE_THEIR_PROFILE or not isinstance(icc, bytes):
        icc = None
    xmp = _xmp_of(image)
    if xmp is not None and image.format in ("JPEG", "MPO"):
        markers = getattr(image, "applist", ())
        xmp = extended_xmp.join(xmp, (data for name, data in markers if name == "APP1"))
    return Metadata(icc, _exif_of(image), xmp)


def make_true(
    kept: Metadata, size: tuple[int, int], orientation: int, resolution: Resolution | None
) -> tuple[Metadata, tuple[str, ...]]:
    """Correct the metadata for a picture that is now upright and on its own.

    Args:
        kept: as it was in the file.
        size: width and height of the upright picture.
        orientation: of the picture in the file.
        resolution: stated outside the EXIF, in the file's orientation; None for nothing.

    Returns:
        The metadata, and what was taken out because the result does not have it.
    """
    is_turned = orientation >= 5
    exif = None if kept.exif is None else exif_blocks.without_orientation(kept.exif)
    if exif is not None:
        exif = exif_blocks.with_size(exif, *size, orientation)
    if resolution is not None:
        upright = resolution[::-1] if is_turned else resolution
        exif = exif_blocks.with_resolution(exif, upright)
    if kept.xmp is None:
        return Metadata(kept.icc, exif, None), ()
    xmp, claims = xmp_packets.without_claims(xmp_packets.upright(kept.xmp, *size))
    return Metadata(kept.icc, exif, xmp), tuple(f"its {claim} is not kept" for claim in claims)


def orientation_of(image: Image.Image) -> int:
    """Return the orientation of the pixels, 1 (upright) to 8 as in EXIF; 1 if none legal is stated.

    Ask before the pixels of a TIFF are loaded: Pillow turns those, and then they are upright.
    """
    exif = exif_directory(image)
    if not len(exif) and (raw := _of_segment(image, _EXIF_PREFIX)):
        exif = _load(raw)
    if ORIENTATION in exif:
        orientation = exif[ORIENTATION]
    else:
        orientation = xmp_packets.orientation_in(_xmp_of(image) or b"")
    return int(orientation) if orientation in range(1, 9) else _UPRIGHT


def exif_directory(image: Image.Image) -> Image.Exif:
    """Return the first directory of EXIF, or the tags of a TIFF; empty where they are broken."""
    try:
        return image.getexif()
    except Exception:  # Pillow raises many types, and warnings where those are errors
        return Image.Exif()


def exif_of_tags(tags: Mapping[int, Any]) -> bytes | None:
    """Return EXIF made of the texts and the resolution in the tags of a TIFF, or None."""
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        value = tags.get(tag)
        if isinstance(value, str) and value:
            kept[tag] = value
        elif isinstance(value, int) and tag == _RESOLUTION_UNIT:
            kept[tag] = int(value)
        elif isinstance(value, tuple) and len(value) == 2 and value[1]:
            kept[tag] = value[0] / value[1]
    return kept.tobytes().removeprefix(_EXIF_PREFIX) if len(kept) else None


def turn_upright(samples: Samples, orientation: int) -> Samples:
    """Turn samples `[H, W, ...]` so that the picture of that EXIF orientation stands upright."""
    if orientation >= 5:
        samples = samples.swapaxes(0, 1)
    rows, columns = {
        1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1),
        5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1),
    }[orientation]  # fmt: skip
    return samples[::rows, ::columns]


def description_of(exif: bytes) -> bytes:
    """Keep what describes the picture in an EXIF block, and drop how a file lays out its pixels.

    Args:
        exif: EXIF, with or without the `Exif` prefix.

    Returns:
        An EXIF block without the prefix; empty if there is nothing to keep.
    """
    directory = Image.Exif()
    directory.load(exif)
    return _write_exif(directory) or b""


def has_directories(exif: Image.Exif) -> bool:
    """Return whether EXIF has directories of its own next to the tags of the picture."""
    return any(tag in exif for tag in _DESCRIPTIVE_DIRECTORIES)


def _exif_of(image: Image.Image) -> bytes | None:
    raw = image.info.get("exif")
    try:
        if raw is None:
            raw = _raw_profile(image, "exif") or _of_segment(image, _EXIF_PREFIX)
        if raw is None:
            raw = _write_exif(exif_directory(image))
    except Exception:  # broken EXIF must not cost the picture
        return None
    return raw.removeprefix(_EXIF_PREFIX) if isinstance(raw, bytes) else None


def _load(exif: bytes) -> Image.Exif:
    directory = Image.Exif()
    try:
        directory.load(exif)
    except Exception:  # broken EXIF must not cost the picture
        return Image.Exif()
    return directory


def _raw_profile(image: Image.Image, *names: str) -> bytes | None:
    """Return the profile that ImageMagick writes into a PNG's texts under such names, or None.

    PNG had no chunks for EXIF and XMP at first.
    """
    for name in names:
        text = image.info.get(f"Raw profile type {name}")
        if isinstance(text, str):
            try:
                return bytes.fromhex("".join(text.split("\n")[3:]))
            except ValueError:
                continue
    return None


def _of_segment(image: Image.Image, prefix: bytes) -> bytes | None:
    """Return what a text holds that is the first segment of a JPEG with such a prefix, or None."""
    segment = _raw_profile(image, "APP1")
    return segment if segment is not None and segment.startswith(prefix) else None


def _write_exif(directory: Image.Exif) -> bytes | None:
    kept = Image.Exif()
    for tag in _DESCRIPTIVE_TAGS:
        if tag in directory:
            kept[tag] = directory[tag]
    for tag in _DESCRIPTIVE_DIRECTORIES:
        inner = directory.get_ifd(tag)
        if inner:
            kept[tag] = inner
    return kept.tobytes() if len(kept) else None


def _xmp_of(image: Image.Image) -> bytes | None:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode()
    elif xmp is None:
        segment = _of_segment(image, _XMP_PREFIX) or b""
        xmp = _raw_profile(image, "xmp") or segment.removeprefix(_XMP_PREFIX)
    if not isinstance(xmp, bytes) or not xmp:
        return None
    return xmp
