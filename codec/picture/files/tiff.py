"""TIFF files: which page is the picture, and what its samples mean.

Pillow reads most kinds of samples and scales some of them wrong. Kinds that it reads are put right
here by their tags; the others are read by tifffile where that is installed. Source: TIFF 6.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from luxvox.codec.notes import PartNote
from luxvox.codec.picture.files.kinds import EXTRA, camera_raw, is_canon_raw
from luxvox.codec.picture.files.metadata import turn_upright
from luxvox.codec.picture.files.modes import NOTE_ON_DEPTH, Samples, samples_of_reals
from luxvox.codec.picture.files.pillow import Source, stream_of
from luxvox.codec.picture.files.tiff_layout import (
    ASSOCIATED,
    BLACK_IS_ZERO,
    PALETTE,
    REAL,
    RGB,
    WHITE_IS_ZERO,
    Layout,
    has_alpha,
    n_colours,
    notes_on_extra,
)
from luxvox.codec.quiet import quiet_logger
from luxvox.errors import InputError, SystemFailure

_ORIENTATION = 274
_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC = 254, 255, 256, 257, 262
_COLOUR_MAP, _SUB_DIRECTORIES, _DNG_VERSION = 320, 330, 50706
_SENSOR = (32_803, 34_892)  # colour filter array, linear raw
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_MAX_SAMPLES: Final = 8  # of a pixel
_MAX_PAGES: Final = 1000
_SAME_SHAPE: Final = 0.03


@dataclass(frozen=True)
class _Page:
    number: int
    size: tuple[int, int]
    is_reduced: bool
    is_mask: bool


def choose_page(image: TiffImagePlugin.TiffImageFile, head: bytes) -> tuple[str, ...]:
    """Go to the page that is the picture, past thumbnails in front of it.

    Args:
        image: a TIFF file at its first page, its pixels not loaded yet.
        head: its first bytes.

    Returns:
        Notes on what is left out of the file.

    Raises:
        InputError: it is a camera raw file.
    """
    tags = image.tag_v2
    if _DNG_VERSION in tags or is_canon_raw(head) or tags.get(_PHOTOMETRIC) in _SENSOR:
        raise InputError(camera_raw())
    inner = list(_directories_inside(image))
    if any(directory.get(_PHOTOMETRIC) in _SENSOR for directory in inner):
        raise InputError(camera_raw())
    pages = list(_pages(image))
    pictures = [page for page in pages if not page.is_reduced and not page.is_mask]
    if not pictures:
        if inner:
            raise InputError("a TIFF whose pages are thumbnails; the picture itself is not read")
        pictures = pages
    chosen = pictures[0]
    largest = max(pictures, key=lambda page: page.size[0] * page.size[1])
    if _is_thumbnail_of(chosen.size, largest.size):
        chosen, pictures = largest, pictures[1:]
    if any(_is_thumbnail_of(chosen.size, _size_of(directory)) for directory in inner):
        raise InputError("a TIFF whose pages are thumbnails; the picture itself is not read")
    image.seek(chosen.number)
    if len(pictures) == 1:
        return ()
    return (PartNote(f"only page {chosen.number + 1} of {len(pages)} is kept"),)


def note_on_pages(image: Image.Image) -> tuple[str, ...]:
    """Say that a TIFF file opened by the caller has pages other than the current one."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return ()
    if not image.tile:  # loaded, and perhaps changed: going to other pages would undo that
        several = getattr(image, "is_animated", False)
        return (PartNote(f"only page {image.tell() + 1} of several is kept"),) if several else ()
    number = image.tell()
    pages = list(_pages(image))
    image.seek(number)
    others = [page for page in pages if page.number != number]
    if all(page.is_reduced or page.is_mask for page in others):
        return ()
    return (PartNote(f"only page {number + 1} of {len(pages)} is kept"),)


def bytes_of_opened(image: TiffImagePlugin.TiffImageFile) -> bytes:
    """Return the bytes of a file opened by the caller, whose position is left as it was."""
    stream = image.fp
    if stream is None:
        raise InputError("the file of the image is closed")
    position = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(position)
    return data


def read_samples(
    image: TiffImagePlugin.TiffImageFile, source: Source
) -> tuple[Samples | None, tuple[str, ...]]:
    """Read the samples of a page where Pillow would scale them wrong or not at all.

    Args:
        image: a TIFF file at the page, its pixels not loaded yet.
        source: where it came from.

    Returns:
        uint8 or uint16 [H, W] or [H, W, C], turned as the tags of the page say, or None where
        Pillow is right; and what the page has that is left out.

    Raises:
        InputError: samples that cannot be read as a picture.
        SystemFailure: they need tifffile, which is not installed.
    """
    layout = Layout.of(image.tag_v2)
    layout.check()
    if layout.needs_tifffile:
        samples, notes = _read_with_tifffile(source, image.tell())
        return turn_upright(samples, _legal(image.tag_v2.get(_ORIENTATION))), notes
    if _has_map_of_bytes(image, layout):
        return _look_up(image), layout.notes
    if layout.bits == 12 and image.mode == "I;16":
        values = _stretch(np.asarray(image), 12)
    elif layout.bits == 16 and image.mode == "I;16":
        values = np.asarray(image)
    elif layout.sample_format == REAL and image.mode == "F":
        reals, notes = samples_of_reals(np.asarray(image))
        return _positive(reals, layout.photometric), (*notes, *layout.notes)
    else:
        return None, layout.notes
    return _positive(values, layout.photometric), layout.notes


def _has_map_of_bytes(image: TiffImagePlugin.TiffImageFile, layout: Layout) -> bool:
    """Return whether the colours of a palette are of 8 bits, as some writers leave them."""
    colours = image.tag_v2.get(_COLOUR_MAP, ())
    return layout.photometric == PALETTE and image.mode == "P" and max(colours, default=256) < 256


def _look_up(image: TiffImagePlugin.TiffImageFile) -> Samples:
    colours = np.array(image.tag_v2[_COLOUR_MAP], np.uint8).reshape(3, -1).T
    indices = np.minimum(np.asarray(image), len(colours) - 1)
    pixels: Samples = colours[indices]  # [H, W] -> [H, W, 3]
    return pixels


def orientation_in(tags: Mapping[int, Any]) -> int:
    """Return the orientation that the tags of a page say, 1 to 8."""
    return _legal(tags.get(_ORIENTATION))


def read_unknown(
    source: Source, max_pixels: int
) -> tuple[Samples, dict[int, Any], tuple[str, ...]]:
    """Read a TIFF file that Pillow does not know at all.

    Returns:
        The samples, the values of the tags of its page, and notes.

    Raises:
        As `read_samples`.
    """
    if _first_photometric(source) in _SENSOR:
        raise InputError(camera_raw())
    with stream_of(source) as stream, _open_with_tifffile(stream) as file:
        pages = list(file.pages)
        page = next((page for page in pages if not page.is_reduced), pages[0])
        n_pixels = page.imagewidth * page.imagelength
        if n_pixels > max_pixels:
            raise InputError(f"{n_pixels:,} pixels; at most {max_pixels:,} are accepted")
        samples, notes = _samples_of_page(page)
        others = len(pages) - 1
        if samples.dtype == np.uint16:
            notes += (NOTE_ON_DEPTH,)
        dropped = (PartNote(f"only one of {others + 1} pages is kept"),) if others else ()
        tags = {number: page.tags.valueof(number) for number in page.tags.keys()}
        return turn_upright(samples, orientation_in(tags)), tags, (*notes, *dropped)


def _pages(image: TiffImagePlugin.TiffImageFile) -> Iterator[_Page]:
    for number in range(_MAX_PAGES):
        try:
            image.seek(number)
        except (EOFError, SyntaxError, InputError):
            return
        subfile = int(image.tag_v2.get(_SUBFILE, 0))
        is_reduced = bool(subfile & _REDUCED) or image.tag_v2.get(_OLD_SUBFILE) == _OLD_REDUCED
        yield _Page(number, image.size, is_reduced, bool(subfile & _MASK))


def _directories_inside(
    image: TiffImagePlugin.TiffImageFile,
) -> Iterator[TiffImagePlugin.ImageFileDirectory_v2]:
    """Yield the tags of each directory inside the first page."""
    offsets = image.tag_v2.get(_SUB_DIRECTORIES, ())
    stream = image.fp
    if stream is None:
        return
    for offset in offsets if isinstance(offsets, tuple) else (offsets,):
        directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=image.tag_v2.prefix)
        position = stream.tell()
        try:
            stream.seek(int(offset))
            directory.load(stream)
            yield directory
        except Exception:  # a broken one, which Pillow raises many types for, is no picture
            continue
        finally:
            stream.seek(position)


def _first_photometric(source: Source) -> int | None:
    """Return the kind of colours of the first page of a file that Pillow does not read."""
    with stream_of(source) as stream:
        try:
            header = stream.read(8)
            if b"+" in header[2:4]:  # a BigTIFF, whose offsets have 64 bits
                header += stream.read(8)
            directory = TiffImagePlugin.ImageFileDirectory_v2(header)
            stream.seek(directory.next)
            directory.load(stream)
        except Exception:  # Pillow raises many types on a broken one
            return None
        return directory.get(_PHOTOMETRIC)


def _size_of(directory: TiffImagePlugin.ImageFileDirectory_v2) -> tuple[int, int]:
    sizes = directory.get(_WIDTH, 0), directory.get(_HEIGHT, 0)
    return sizes if all(isinstance(size, int) for size in sizes) else (0, 0)


def _is_thumbnail_of(size: tuple[int, int], full_size: tuple[int, int]) -> bool:
    (width, height), (full_width, full_height) = size, full_size
    is_small = 2 * width <= full_width and 2 * height <= full_height
    ratio = (width * full_height) / max(1, height * full_width)
    return is_small and abs(ratio - 1) < _SAME_SHAPE


def _legal(orientation: Any) -> int:
    return orientation if orientation in range(1, 9) else 1


def _positive(samples: NDArray[Any], photometric: int) -> Samples:
    if photometric != WHITE_IS_ZERO:
        return samples
    inverted: Samples = np.iinfo(samples.dtype).max - samples
    return inverted


def _stretch(values: NDArray[Any], bits: int) -> NDArray[np.uint16]:
    """Stretch integers of fewer bits to all of 16, rounded half up."""
    top = (1 << bits) - 1
    wide = np.minimum(values, top).astype(np.uint64)
    stretched: NDArray[np.uint16] = ((wide * 65_535 * 2 + top) // (2 * top)).astype(np.uint16)
    return stretched


def _open_with_tifffile(stream: Any) -> Any:
    try:
        import tifffile
    except ImportError:
        raise SystemFailure(f"a TIFF of a rare kind; to read it: pip install '{EXTRA}'") from None
    quiet_logger("tifffile")
    return tifffile.TiffFile(stream)


def _read_with_tifffile(source: Source, number: int) -> tuple[Samples, tuple[str, ...]]:
    with stream_of(source) as stream, _open_with_tifffile(stream) as file:
        return _samples_of_page(file.pages[number])


def _samples_of_page(page: Any) -> tuple[Samples, tuple[str, ...]]:
    """Return what tifffile reads of a page, as uint8 or uint16 [H, W, C]."""
    _check_extent(page)
    photometric, bits = int(page.photometric), int(page.bitspersample)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise InputError(f"a TIFF with colours of the kind {photometric}, which is not read")
    values = page.asarray()
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)  # [C, H, W] -> [H, W, C]
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3:
        raise InputError(f"a TIFF with axes {page.axes}, which is not read")
    n, extra = n_colours(photometric), tuple(page.extrasamples)
    is_transparent = has_alpha(extra)
    notes = notes_on_extra(photometric, values.shape[2], extra)
    samples, own_notes = _as_integers(values[:, :, : n + is_transparent], bits)
    notes = (*own_notes, *notes)
    colours = _positive(samples[:, :, :n], photometric)
    if not is_transparent:
        return colours, notes
    alpha = samples[:, :, n:]
    if extra[0] == ASSOCIATED:
        colours = _divide(colours, alpha)
    return np.concatenate([colours, alpha], axis=2), notes


def _check_extent(page: Any) -> None:
    """Refuse a page that tifffile would allocate more for than its width and height say."""
    is_flat = page.imagedepth == 1 and 1 <= page.samplesperpixel <= _MAX_SAMPLES
    if not is_flat or sum(page.databytecounts) > page.parent.filehandle.size:
        raise InputError("damaged picture: a TIFF with more samples than it can hold")


def _as_integers(values: NDArray[Any], bits: int) -> tuple[Samples, tuple[str, ...]]:
    if values.dtype.kind == "f":
        return samples_of_reals(values)
    if values.dtype.kind != "u" or bits > 16:
        raise InputError(f"a TIFF with samples of type {values.dtype}, which is not read")
    return (values if values.dtype == np.uint8 and bits == 8 else _stretch(values, bits)), ()


def _divide(colours: Samples, alpha: Samples) -> Samples:
    """Undo the multiplication of colours by alpha."""
    top = np.iinfo(colours.dtype).max
    opaque = np.maximum(alpha, 1).astype(np.uint64)
    divided = (colours.astype(np.uint64) * top * 2 + opaque) // (2 * opaque)
    limited: Samples = np.minimum(divided, top).astype(colours.dtype)
    return limited


def is_tiff(head: bytes) -> bool:
    """Return whether a file is a TIFF, by its first bytes."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def as_tiff(image: Image.Image) -> TiffImagePlugin.TiffImageFile | None:
    """Return an image as a TIFF file if it is one whose pixels are not loaded yet."""
    is_open = isinstance(image, TiffImagePlugin.TiffImageFile) and bool(image.tile)
    return image if is_open and isinstance(image, TiffImagePlugin.TiffImageFile) else None
