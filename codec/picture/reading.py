"""Reading picture files into rasters: complete, correctly scaled and upright, or with notes.

Pillow's result is checked where it is known to be wrong: rare kinds of TIFF, transparent colours,
JPEGs without their end, PNGs with long profiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from luxvox.codec.container.limits import DEFAULT_MAX_PIXELS
from luxvox.codec.picture.files import cut_jpeg, jpeg_markers, png, tiff
from luxvox.codec.picture.files.facts import facts_of
from luxvox.codec.picture.files.kinds import HEAD_BYTES
from luxvox.codec.picture.files.metadata import Metadata, exif_of_tags, make_true
from luxvox.codec.picture.files.missing import NOTE_ON_CUT, check_missing
from luxvox.codec.picture.files.modes import Samples, colour_key, samples_of, with_key
from luxvox.codec.picture.files.pillow import (
    Source,
    UnknownFormat,
    deep_pixels,
    open_image,
    stream_of,
)
from luxvox.codec.picture.rasters import Raster, from_array, raster_of
from luxvox.codec.quiet import LIBTIFF, quiet
from luxvox.errors import InputError, SystemFailure

_ICC_TAG, _XMP_TAG = 34_675, 700
_DIRECTORY_TAGS = (34_665, 34_853)  # EXIF, GPS
_OTHERS = ("gain map", "second picture", "film")  # in notes on what XMP says of a file


def from_file(source: Source, max_pixels: int = DEFAULT_MAX_PIXELS) -> Raster:
    """Read a picture in any raster format that Pillow reads; for an animation, the first frame.

    Args:
        source: path of a file, or its bytes.
        max_pixels: the most pixels that are accepted; checked before anything is decoded.

    Returns:
        The raster, upright, with its metadata and with notes of what it lacks of the file.

    Raises:
        InputError: not a picture, damaged, or over the limit.
        SystemFailure: an optional package is needed to read it.
        OSError: the file itself cannot be opened or read.
    """
    with stream_of(source) as stream:
        head = stream.read(HEAD_BYTES)
    try:
        with open_image(source, max_pixels) as image:
            return _with_notes_on_data(_read(image, source, head), image, source)
    except UnknownFormat:
        if not tiff.is_tiff(head):
            raise
        return _read_unknown_tiff(source, max_pixels)
    except InputError as error:
        if _is_cut_jpeg(head, error):
            return _read_cut_jpeg(source, max_pixels)
        if head.startswith(png.MAGIC) and isinstance(error.__cause__, ValueError):
            return _read_long_png(source, max_pixels)
        raise


def _read(image: Image.Image, source: Source, head: bytes) -> Raster:
    tiff_file = tiff.as_tiff(image)
    if tiff_file is None:
        facts = facts_of(image)
        samples, notes = _samples(image, source, facts.raw_mode)
        return raster_of(image, samples, facts, notes)
    with quiet(LIBTIFF):
        notes = tiff.choose_page(tiff_file, head)
        facts = facts_of(image)
        own_samples, own_notes = tiff.read_samples(tiff_file, source)
        if own_samples is not None:
            return raster_of(image, own_samples, facts, (*notes, *own_notes))
        samples, more_notes = _samples(image, source, facts.raw_mode)
        return raster_of(image, samples, facts, (*notes, *own_notes, *more_notes))


def _samples(image: Image.Image, source: Source, raw_mode: str) -> tuple[Samples, tuple[str, ...]]:
    deep = deep_pixels(image, source)
    if deep is not None:
        key = image.info.get("transparency")
        return with_key(deep, key if isinstance(key, tuple) and deep.shape[2] == 3 else None), ()
    image.load()
    if raw_mode == "LA;16B":  # Pillow has no mode for it that is deeper than RGBA
        return samples_of(image.convert("LA"))
    return samples_of(image, colour_key(image, raw_mode))


def _read_unknown_tiff(source: Source, max_pixels: int) -> Raster:
    name = "" if isinstance(source, bytes) else f"{source}: "
    try:
        samples, tags, notes = tiff.read_unknown(source, max_pixels)
    except InputError as error:
        raise InputError(f"{name}{error}") from error
    except SystemFailure as error:
        raise InputError(f"{name}a TIFF that Pillow cannot read ({error})") from error
    except MemoryError:
        raise
    except Exception as error:  # tifffile raises many types of exception on damaged files
        if isinstance(error, OSError) and error.errno is not None:
            raise
        words = " ".join(str(error).split()) if isinstance(error, ValueError) else "it is damaged"
        raise InputError(f"{name}a TIFF that cannot be read: {words}") from error
    plain = from_array(samples)
    height, width = plain.pixels.shape[:2]
    found = Metadata(_bytes_of(tags, _ICC_TAG), exif_of_tags(tags), _bytes_of(tags, _XMP_TAG))
    kept, claims = make_true(found, (width, height), tiff.orientation_in(tags), None)
    if any(tags.get(number) for number in _DIRECTORY_TAGS):
        notes += ("its EXIF is not kept",)
    notes = (*notes, *claims, *plain.notes)
    return replace(plain, icc=kept.icc, exif=kept.exif, xmp=kept.xmp, notes=notes)


def _bytes_of(tags: Mapping[int, Any], number: int) -> bytes | None:
    value = tags.get(number)
    return value if isinstance(value, bytes) and value else None


def _is_cut_jpeg(head: bytes, error: InputError) -> bool:
    return head.startswith(b"\xff\xd8") and "truncated" in str(error.__cause__)


def _with_notes_on_data(raster: Raster, image: Image.Image, source: Source) -> Raster:
    """Add notes that its reader does not give: on missing data, on data after the picture."""
    if image.format == "PNG":
        return replace(raster, notes=(*_notes_on_rows(image, source), *raster.notes))
    if image.format not in ("JPEG", "MPO"):
        return raster
    with stream_of(source) as stream:
        data = stream.read()
    markers = jpeg_markers.read_markers(data)
    notes = (*cut_jpeg.notes_on_gaps(data, markers, image), *raster.notes)
    is_noted = image.format == "MPO" or any(word in " ".join(notes) for word in _OTHERS)
    rest = None
    if markers.end is not None and not is_noted:
        rest = jpeg_markers.note_on_rest(data, markers.end)
    return replace(raster, notes=notes if rest is None else (rest, *notes))


def _notes_on_rows(image: Image.Image, source: Source) -> tuple[str, ...]:
    """Say that the last rows of a PNG are missing; Pillow leaves them black."""
    last_row = image.crop((0, image.height - 1, *image.size))
    if last_row.getbbox(alpha_only=False) is not None:
        return ()
    with stream_of(source) as stream:
        share = 1 - png.share_of_rows(stream)
    check_missing(share)
    return (NOTE_ON_CUT,) if share else ()


def _read_cut_jpeg(source: Source, max_pixels: int) -> Raster:
    name = "" if isinstance(source, bytes) else f"{source}: "
    with stream_of(source) as stream:
        data = stream.read() + cut_jpeg.END_MARKER
    try:
        with open_image(data, max_pixels) as image:
            raster = _read(image, data, data[:HEAD_BYTES])
            note = cut_jpeg.note_on_cut(image)
    except InputError as error:
        raise InputError(f"{name}{error}") from error
    return replace(raster, notes=(note, *raster.notes))


def _read_long_png(source: Source, max_pixels: int) -> Raster:
    with stream_of(source) as stream:
        data, icc, n_texts = png.without_long_chunks(stream)
    name = "" if isinstance(source, bytes) else f"{source}: "
    try:
        with open_image(data, max_pixels) as image:
            raster = _read(image, data, data[:HEAD_BYTES])
    except InputError as error:
        raise InputError(f"{name}{error}") from error
    notes = (f"{n_texts} long texts are left out",) if n_texts else ()
    return replace(raster, icc=icc or raster.icc, notes=(*notes, *raster.notes))
