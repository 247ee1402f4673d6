"""Pictures of any size, made of one picture."""

import numpy as np
from numpy.typing import NDArray


def mosaic(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Grow or cut a picture [H, W, C] to any size by mirroring it at its borders."""
    rows = _mirror_indices(pixels.shape[0], height)
    columns = _mirror_indices(pixels.shape[1], width)
    return np.ascontiguousarray(pixels[rows[:, None], columns[None, :]])


def _mirror_indices(length: int, wanted: int) -> NDArray[np.int64]:
    there_and_back = np.arange(2 * length)
    there_and_back[length:] = np.arange(length)[::-1]
    return np.resize(there_and_back, wanted)
