"""TIFF files: which page is the picture, and what its samples mean.

Pillow reads most kinds of samples and scales some of them wrong. Kinds that it reads are put right
here by their tags; the others are read by tifffile where that is installed. Source: TIFF 6.0.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
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
from luxvox.errors import InputError, SystemFailure

_ORIENTATION = 274
_SUBFILE, _OLD_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 258, 259, 262
_PLANES, _SUB_DIRECTORIES, _INK_SET, _EXTRA, _FORMAT = 284, 330, 332, 338, 339
_SUBSAMPLING, _DNG_VERSION = 530, 50706
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_READ = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB)
_SENSOR = (32_803, 34_892)  # colour filter array, linear raw
_REDUCED, _MASK = 1, 4
_OLD_REDUCED = 2
_APART = 2
_UNSIGNED, _REAL = 1, 3
_ASSOCIATED, _UNASSOCIATED = 1, 2
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
        What the file has that is left out.

    Raises:
        InputError: it is a camera raw file.
    """
    tags = image.tag_v2
    if _DNG_VERSION in tags or is_canon_raw(head) or tags.get(_PHOTOMETRIC) in _SENSOR:
        raise InputError(camera_raw())
    inner = list(_photometrics_inside(image))
    if any(photometric in _SENSOR for photometric in inner):
        raise InputError(camera_raw())
    pages = list(_pages(image))
    pictures = [page for page in pages if not page.is_reduced and not page.is_mask]
    if not pictures:
        if inner:
            raise InputError("a TIFF whose pages are thumbnails; the picture itself is not read")
        pictures = pages
    chosen = pictures[0]
    largest = max(pictures, key=lambda page: page.size[0] * page.size[1])
    if _is_thumbnail_of(chosen, largest):
        chosen, pictures = largest, pictures[1:]
    image.seek(chosen.number)
    if len(pictures) == 1:
        return ()
    return (PartNote(f"only page {chosen.number + 1} of {len(pages)} is kept"),)


def note_on_pages(image: Image.Image) -> tuple[str, ...]:
    """Say that a TIFF file that somebody else has opened has other pages than the one it is at."""
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
    """Return the bytes of a file that somebody else has opened, at the position where it was."""
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
        SystemFailure: they take tifffile, which is not installed.
    """
    layout = _Layout.of(image.tag_v2)
    layout.check()
    if layout.needs_tifffile:
        samples, notes = _read_with_tifffile(source, image.tell())
        return turn_upright(samples, _legal(image.tag_v2.get(_ORIENTATION))), notes
    if layout.bits == 12 and image.mode == "I;16":
        values = _stretch(np.asarray(image), 12)
    elif layout.bits == 16 and image.mode == "I;16":
        values = np.asarray(image)
    elif layout.sample_format == _REAL and image.mode == "F":
        reals, notes = samples_of_reals(np.asarray(image))
        return _positive(reals, layout.photometric), notes
    else:
        return None, ()
    return _positive(values, layout.photometric), ()


def read_unknown(source: Source, max_pixels: int) -> tuple[Samples, Any, tuple[str, ...]]:
    """Read a TIFF file that Pillow does not know at all.

    Returns:
        The samples, the tags of its page as tifffile has them, and notes.

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
        orientation = page.tags.valueof(_ORIENTATION)
        return turn_upright(samples, _legal(orientation)), page.tags, (*notes, *dropped)


@dataclass(frozen=True)
class _Layout:
    """How the samples of a page lie in the file."""

    photometric: int
    bits: int
    sample_format: int
    n_samples: int
    is_apart: bool
    is_swapped: bool  # compressed, in another byte order than this machine's
    problem: str | None

    @classmethod
    def of(cls, tags: Any) -> _Layout:
        all_bits = tuple(tags.get(_BITS, (1,)))
        formats = tuple(tags.get(_FORMAT, (_UNSIGNED,)))
        photometric = int(tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO))
        problem = None
        if len(set(all_bits)) > 1 or len(set(formats)) > 1:
            problem = "samples of several kinds"
        elif formats[0] not in (_UNSIGNED, _REAL, 4):
            problem = "signed or complex samples"
        elif photometric not in _READ:
            problem = f"colours of the kind {photometric}"
        elif photometric == _CMYK and tags.get(_INK_SET, 1) != 1:
            problem = "inks other than cyan, magenta, yellow and black"
        elif photometric == _YCBCR and tags.get(_COMPRESSION, 1) == 1:
            if tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1):
                problem = "uncompressed YCbCr with fewer samples of colour"
        is_apart = len(all_bits) > 1 and tags.get(_PLANES, 1) == _APART
        is_native = tags.prefix == (b"II" if sys.byteorder == "little" else b"MM")
        is_swapped = tags.get(_COMPRESSION, 1) != 1 and not is_native
        return cls(
            photometric, all_bits[0], formats[0], len(all_bits), is_apart, is_swapped, problem
        )

    def check(self) -> None:
        """Raise InputError for samples that nothing reads as a picture."""
        if self.problem is not None:
            raise InputError(f"a TIFF with {self.problem}, which is not read")
        if self.sample_format != _REAL and self.bits > 16:
            raise InputError(f"a TIFF with integers of {self.bits} bits, which is not read")
        if self.photometric == _PALETTE and self.bits > 8:
            raise InputError(f"a TIFF with a palette of {self.bits} bits, which is not read")

    @property
    def needs_tifffile(self) -> bool:
        """Return whether Pillow does not read such samples, or reads them wrong."""
        if self.sample_format == _REAL:
            return self.n_samples > 1 or self.bits != 32 or self.is_swapped
        is_plain = self.bits == 8 and self.photometric != _BLACK_IS_ZERO and self.n_samples == 3
        return self.is_apart and not is_plain


def _pages(image: TiffImagePlugin.TiffImageFile) -> Iterator[_Page]:
    for number in range(_MAX_PAGES):
        try:
            image.seek(number)
        except (EOFError, SyntaxError, InputError):
            return
        subfile = int(image.tag_v2.get(_SUBFILE, 0))
        is_reduced = bool(subfile & _REDUCED) or image.tag_v2.get(_OLD_SUBFILE) == _OLD_REDUCED
        yield _Page(number, image.size, is_reduced, bool(subfile & _MASK))


def _photometrics_inside(image: TiffImagePlugin.TiffImageFile) -> Iterator[int | None]:
    """Yield the kind of colours of each directory inside the first page."""
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
            yield directory.get(_PHOTOMETRIC)
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


def _is_thumbnail_of(page: _Page, other: _Page) -> bool:
    (width, height), (full_width, full_height) = page.size, other.size
    is_small = 2 * width <= full_width and 2 * height <= full_height
    ratio = (width * full_height) / max(1, height * full_width)
    return is_small and abs(ratio - 1) < _SAME_SHAPE


def _legal(orientation: Any) -> int:
    return orientation if orientation in range(1, 9) else 1


def _positive(samples: NDArray[Any], photometric: int) -> Samples:
    if photometric != _WHITE_IS_ZERO:
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
    # Without a handler of anybody, what it logs about damaged files goes to standard error.
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    return tifffile.TiffFile(stream)


def _read_with_tifffile(source: Source, number: int) -> tuple[Samples, tuple[str, ...]]:
    with stream_of(source) as stream, _open_with_tifffile(stream) as file:
        return _samples_of_page(file.pages[number])


def _samples_of_page(page: Any) -> tuple[Samples, tuple[str, ...]]:
    """Return what tifffile reads of a page, as uint8 or uint16 [H, W, C]."""
    _check_extent(page)
    photometric, bits = int(page.photometric), int(page.bitspersample)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB):
        raise InputError(f"a TIFF with colours of the kind {photometric}, which is not read")
    values = page.asarray()
    if page.axes.startswith("S"):
        values = np.moveaxis(values, 0, -1)  # [C, H, W] -> [H, W, C]
    if values.ndim == 2:
        values = values[:, :, None]
    if values.ndim != 3:
        raise InputError(f"a TIFF with axes {page.axes}, which is not read")
    n_colours = 3 if photometric == _RGB else 1
    extra = tuple(int(kind) for kind in page.extrasamples)
    has_alpha = bool(extra) and extra[0] in (_ASSOCIATED, _UNASSOCIATED)
    values = values[:, :, : n_colours + has_alpha]
    samples, notes = _as_integers(values, bits)
    colours = _positive(samples[:, :, :n_colours], photometric)
    if not has_alpha:
        return colours, notes
    alpha = samples[:, :, n_colours:]
    if extra[0] == _ASSOCIATED:
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
    """Take out of colours the alpha that they were multiplied by."""
    top = np.iinfo(colours.dtype).max
    opaque = np.maximum(alpha, 1).astype(np.uint64)
    divided = (colours.astype(np.uint64) * top * 2 + opaque) // (2 * opaque)
    limited: Samples = np.minimum(divided, top).astype(colours.dtype)
    return limited


def is_tiff(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a TIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def as_tiff(image: Image.Image) -> TiffImagePlugin.TiffImageFile | None:
    """Return an image as a TIFF file if it is one whose pixels are not loaded yet."""
    is_open = isinstance(image, TiffImagePlugin.TiffImageFile) and bool(image.tile)
    return image if is_open and isinstance(image, TiffImagePlugin.TiffImageFile) else None
