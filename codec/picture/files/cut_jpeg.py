"""JPEG files without all of their data: read if little is missing, refused if much is.

libjpeg draws grey or nonsense where data is missing, and Pillow does not report it.
"""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from luxvox.codec.notes import PartNote
from luxvox.codec.picture.files.jpeg_markers import Markers
from luxvox.codec.picture.files.missing import NOTE_ON_CUT, check_missing

END_MARKER: Final = b"\xff\xd9"
_BLOCK: Final = 8
_UNWRITTEN: Final = 128  # the grey that libjpeg leaves where there is no data
_FILLING: Final = bytes(range(1, 255)) * 16  # anything that a decoder takes for data


def note_on_cut(image: Image.Image) -> str:
    """Say what a cut JPEG lacks that was read with an end marker added at the cut.

    Args:
        image: the picture, loaded.

    Raises:
        InputError: more than a fiftieth of it is missing.
    """
    check_missing(_missing_share(np.asarray(image.convert("RGB"))))
    return NOTE_ON_CUT


def notes_on_gaps(data: bytes, markers: Markers, image: Image.Image) -> tuple[str, ...]:
    """Say what is missing from a JPEG that its decoder read without complaint.

    Args:
        data: the file.
        markers: of the file.
        image: the picture in it, loaded.

    Raises:
        InputError: more than a fiftieth of it is missing.
    """
    if markers.end is None:
        n_written = len(data.rstrip(data[-1:]))
        if not markers.is_progressive:
            check_missing(1 - n_written / len(data))
        return (NOTE_ON_CUT,)
    if not markers.has_all_scans:
        return (NOTE_ON_CUT,)
    if not markers.has_all_restarts:
        return (PartNote("the file is damaged; a part of the picture may be wrong or missing"),)
    return (note_on_cut(image),) if _ends_early(data, markers, image) else ()


def _ends_early(data: bytes, markers: Markers, image: Image.Image) -> bool:
    """Return whether the end marker stands before the last block.

    Grey blocks at the end may be in the picture; then bytes in front of the marker change nothing.
    """
    end = markers.end
    if end is None or markers.is_progressive or not _missing_share(_corner(image)):
        return False  # the last block holds something, which is true of nearly all
    pixels = np.asarray(image.convert("RGB"))
    if not _missing_share(pixels):
        return False
    longer = data[: end - len(END_MARKER)] + _FILLING + END_MARKER
    with JpegImagePlugin.JpegImageFile(io.BytesIO(longer)) as extended:
        return not np.array_equal(pixels, np.asarray(extended.convert("RGB")))


def _corner(image: Image.Image) -> NDArray[np.uint8]:
    """Return the last whole block of a picture [8, 8, 3]; black if it has none."""
    right, bottom = (size // _BLOCK * _BLOCK for size in image.size)
    return np.asarray(image.crop((right - _BLOCK, bottom - _BLOCK, right, bottom)).convert("RGB"))


def _missing_share(pixels: NDArray[np.uint8]) -> float:
    """Return the share of the picture that follows the last block with any content."""
    height, width = (size // _BLOCK * _BLOCK for size in pixels.shape[:2])
    if (pixels[height - _BLOCK : height, width - _BLOCK : width] != _UNWRITTEN).any():
        return 0.0
    # [H, W, 3] -> [rows, 8, columns, 8, 3] -> [rows, columns]
    blocks = pixels[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
    is_written = (blocks != _UNWRITTEN).any(axis=(1, 3, 4)).ravel()
    if not is_written.size:
        return 0.0
    if not is_written.any():
        return 1.0
    return float(np.argmax(is_written[::-1]) / is_written.size)
