"""Pictures as the codec sees them: 8-bit grey or RGB, with alpha and metadata kept separately.

Arrays, Pillow images and files go in and come out here. Reading loses only what 8 bits of grey or
RGB cannot hold: 16-bit samples are rounded, inks become sRGB, and an animation becomes its first
frame. Whatever a file had and its raster lacks is noted in the raster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luxvox.cautions import warn_all
from luxvox.codec.picture import formats
from luxvox.codec.picture.files import colour, tiff
from luxvox.codec.picture.files.exif import Resolution, resolution_of
from luxvox.codec.picture.files.facts import Facts, facts_of
from luxvox.codec.picture.files.metadata import (
    Metadata,
    make_true,
    metadata_of,
    orientation_of,
    turn_upright,
)
from luxvox.codec.picture.files.modes import NOTE_ON_DEPTH, Samples, colour_key, samples_of
from luxvox.codec.picture.files.texts import notes_on_texts
from luxvox.errors import InputError, LuxvoxError, UsageError
from luxvox.rounding import round_to_uint8

_RGB = 3
_PLANES_WITH_ALPHA = (2, 4)
_LEVELS_A_LEVEL = 257  # of 16 bits in one of 8: 65535 / 255
_DARK = 4096  # a sixteenth of full scale
_SAME_RESOLUTION = 0.005
_SAME_COLOUR = 2
_FORMATS_WITH_IDLE_ALPHA = ("BMP", "DIB", "TGA", "DDS", "ICO", "CUR", "SGI", "PSD")


@dataclass(frozen=True, eq=False)
class Raster:
    """One picture, upright.

    Attributes:
        pixels: uint8 `[H, W, 3]` (RGB) or `[H, W, 1]` (grey).
        alpha: uint8 `[H, W]`, 0 transparent, 255 opaque; None when the picture has none.
        icc: ICC profile of `pixels`.
        exif: EXIF, starting at its TIFF header, without orientation.
        xmp: XMP packet, with its orientation set to upright.
        notes: what the picture had that is not kept here, one line each.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()


def as_raster(pixels: NDArray[Any] | Image.Image | Raster) -> Raster:
    """Convert an array, a PIL image or a raster to a raster.

    Raises:
        UsageError: if it is something else.
    """
    if isinstance(pixels, Raster):
        return pixels
    if isinstance(pixels, np.ndarray):
        raster = from_array(pixels)
        is_rounded = pixels.dtype != np.uint8 and (pixels % _LEVELS_A_LEVEL).any()
        return replace(raster, notes=(NOTE_ON_DEPTH, *raster.notes)) if is_rounded else raster
    if hasattr(pixels, "getbands"):
        return from_pil(pixels)
    raise UsageError(f"a picture is an array or a PIL image, not {type(pixels).__name__}")


def from_array(array: NDArray[Any]) -> Raster:
    """Convert an array to a raster.

    Args:
        array: uint8 or uint16 `[H, W]` or `[H, W, 1]` (grey), `[H, W, 2]` (grey, alpha),
            `[H, W, 3]` (RGB) or `[H, W, 4]` (RGB, alpha). 16 bits are rounded to 8.

    Returns:
        The raster, which shares memory with `array` where nothing had to change.

    Raises:
        UsageError: any other type or shape, or a side of 0.
    """
    if not isinstance(array, np.ndarray):
        raise UsageError(
            f"a picture is a NumPy array or a Pillow image, not {type(array).__name__}"
        )
    if array.dtype == np.dtype(np.uint16).newbyteorder():
        array = array.astype(np.uint16)
    if array.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"samples of a picture are uint8 or uint16, not {array.dtype}")
    planes = array[:, :, None] if array.ndim == 2 else array
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4) or 0 in planes.shape:
        raise UsageError(
            f"a picture has shape [H, W] or [H, W, 1..4] with sides of at least 1, "
            f"not {list(array.shape)}"
        )
    samples = _to_eight_bits(planes)
    notes = _notes_on_darkness(planes)
    if planes.shape[2] not in _PLANES_WITH_ALPHA:
        return Raster(np.ascontiguousarray(samples), notes=notes)
    pixels = np.ascontiguousarray(samples[:, :, :-1])
    return Raster(pixels, np.ascontiguousarray(samples[:, :, -1]), notes=notes)


def from_pil(image: Image.Image) -> Raster:
    """Convert a Pillow image of any mode to a raster, turned upright, with its metadata.

    Args:
        image: a Pillow image; for an animation, its current frame.

    Returns:
        The raster.

    Raises:
        InputError: a mode that cannot be compressed, or pixels that cannot be loaded.
        UsageError: a side of 0.
        OSError: its file cannot be read.
    """
    try:
        return _from_pil(image)
    except (LuxvoxError, MemoryError):
        raise
    except Exception as error:  # Pillow raises many types where a file is damaged or closed
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"the image cannot be read: {reason}") from error


def _from_pil(image: Image.Image) -> Raster:
    pages = tiff.note_on_pages(image)
    facts = facts_of(image)
    tiff_file = tiff.as_tiff(image)
    if tiff_file is not None:
        source = tiff.bytes_of_opened(tiff_file)
        own_samples, notes = tiff.read_samples(tiff_file, source)
        if own_samples is not None:
            return raster_of(image, own_samples, facts, (*pages, *notes))
        pages += notes
    image.load()
    samples, notes = samples_of(image, colour_key(image, facts.raw_mode))
    return raster_of(image, samples, facts, (*pages, *notes))


def raster_of(
    image: Image.Image, samples: Samples, facts: Facts, notes: tuple[str, ...] = ()
) -> Raster:
    """Make a raster from the samples of an image, upright, with its metadata.

    Args:
        image: the loaded image that `samples` were read from.
        samples: as they are in the file.
        facts: what was known of the image before it was loaded.
        notes: what was noted while it was read.
    """
    orientation = facts.orientation or orientation_of(image)
    left_to_turn = 1 if facts.is_turned_when_loaded else orientation
    plain = from_array(turn_upright(samples, left_to_turn))
    height, width = plain.pixels.shape[:2]
    found = metadata_of(image)
    resolution = _resolution_to_add(facts.resolution, found.exif)
    kept, claims = make_true(found, (width, height), orientation, resolution)
    has_gain_map = any("gain map" in claim for claim in claims)
    before = () if has_gain_map and image.format == "MPO" else facts.notes
    alpha, hiding = _without_idle_alpha(plain.alpha, image.format)
    if image.format == "PNG":
        before = (*before, *notes_on_texts(image))
    return Raster(
        plain.pixels,
        alpha,
        kept.icc or facts.icc,
        kept.exif,
        kept.xmp,
        (*before, *notes, *claims, *hiding, *plain.notes),
    )


def _without_idle_alpha(
    alpha: NDArray[np.uint8] | None, form: str | None
) -> tuple[NDArray[np.uint8] | None, tuple[str, ...]]:
    """Drop an alpha that hides all of a picture, in formats where some writers leave it 0."""
    if alpha is None or alpha.any():
        return alpha, ()
    if form in _FORMATS_WITH_IDLE_ALPHA:
        return None, ("its alpha would hide all of it, and is left out",)
    return alpha, ("it is transparent everywhere, so its colours are not kept",)


def strip_metadata(raster: Raster) -> Raster:
    """Remove all metadata; a picture that looks different without its profile becomes sRGB."""
    plain = Raster(raster.pixels, raster.alpha, notes=raster.notes)
    if raster.icc is None:
        return plain
    converted = colour.to_srgb(raster.pixels, raster.icc)
    if converted is None:
        note = "its profile is left out and cannot be used; colours may look different"
        return replace(plain, notes=(*plain.notes, note))
    difference = np.abs(converted.astype(np.int16) - raster.pixels)
    if difference.max(initial=0) <= _SAME_COLOUR:
        return plain
    note = "its profile is left out, so its colours are converted to sRGB"
    return replace(plain, pixels=converted, notes=(*plain.notes, note))


def to_array(raster: Raster) -> NDArray[np.uint8]:
    """Join pixels and alpha into one array.

    Args:
        raster: a picture.

    Returns:
        uint8 `[H, W]` (grey), `[H, W, 2]` (grey, alpha), `[H, W, 3]` (RGB) or `[H, W, 4]`.
    """
    if raster.alpha is not None:
        return np.concatenate([raster.pixels, raster.alpha[:, :, None]], axis=2)
    return raster.pixels if raster.pixels.shape[2] == _RGB else raster.pixels[:, :, 0]


def to_pil(raster: Raster) -> Image.Image:
    """Make a Pillow image of mode L, LA, RGB or RGBA, with the metadata in its `info`.

    Args:
        raster: a picture.

    Returns:
        The image; `info` holds `icc_profile`, `exif` and `xmp` where the picture has them.
    """
    image = Image.fromarray(to_array(raster))
    parts = {"icc_profile": raster.icc, "exif": raster.exif, "xmp": raster.xmp}
    image.info.update({name: part for name, part in parts.items() if part is not None})
    return image


def to_bytes(raster: Raster, format: str) -> bytes:
    """Return the bytes of a file in a common format, with as much metadata as the format can hold.

    A format without alpha gets the picture on white. JPEG and AVIF are written at high quality, the
    other formats without loss. A `LossWarning` says what is lost.

    Args:
        raster: a picture.
        format: `png`, `jpg`, `webp`, `tiff`, `avif` ...

    Raises:
        UsageError: an unknown format, or a picture too large for it.
        SystemFailure: Pillow was built without the format.
    """
    metadata = Metadata(raster.icc, raster.exif, raster.xmp)
    data, cautions = formats.encode(to_pil(raster), metadata, format)
    warn_all(cautions, stacklevel=2)
    return data


def _to_eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    if samples.dtype == np.uint8:
        return samples
    return round_to_uint8(samples.astype(np.float32) / _LEVELS_A_LEVEL)


def _notes_on_darkness(samples: NDArray[Any]) -> tuple[str, ...]:
    if samples.dtype != np.uint16:
        return ()
    colours = samples[:, :, : max(1, samples.shape[2] // 2 * 2 - 1)]
    brightest = int(colours.max())
    if not 0 < brightest < _DARK:
        return ()
    return (f"its brightest sample is {brightest:,} of 65,535, so the result is dark",)


def _resolution_to_add(resolution: Resolution | None, exif: bytes | None) -> Resolution | None:
    """Return the resolution of a file unless its EXIF says the same."""
    stated = None if resolution is None or exif is None else resolution_of(exif)
    if resolution is None or stated is None:
        return resolution
    is_same = np.allclose(resolution, stated, rtol=_SAME_RESOLUTION)
    return None if is_same else resolution
