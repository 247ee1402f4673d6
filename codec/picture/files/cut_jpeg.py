"""JPEG files without their end: read if little is missing, refused if much is."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luxvox.codec.notes import PartNote
from luxvox.errors import InputError

END_MARKER: Final = b"\xff\xd9"
_BLOCK: Final = 8
_UNWRITTEN: Final = 128  # the grey that libjpeg leaves where there is no data
_MAX_MISSING_SHARE: Final = 0.02


def note_on_cut(image: Image.Image) -> str:
    """Say what a JPEG lacks that was read with an end marker put where it was cut.

    Args:
        image: the picture, loaded.

    Raises:
        InputError: more than a fiftieth of it is missing.
    """
    share = _missing_share(np.asarray(image.convert("RGB")))
    if share > _MAX_MISSING_SHARE:
        raise InputError(f"damaged picture: the file is cut, and {share:.0%} of it is missing")
    return PartNote("the file is cut; the end of the picture may be missing or coarse")


def _missing_share(pixels: NDArray[np.uint8]) -> float:
    """Return the share of the picture from the last block that holds anything to its end."""
    height, width = (size // _BLOCK * _BLOCK for size in pixels.shape[:2])
    # [H, W, 3] -> [rows, 8, columns, 8, 3] -> [rows, columns]
    blocks = pixels[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
    is_written = (blocks != _UNWRITTEN).any(axis=(1, 3, 4)).ravel()
    if not is_written.size:
        return 0.0
    if not is_written.any():
        return 1.0
    return float(np.argmax(is_written[::-1]) / is_written.size)
