"""Folders of lossless pictures, as the benchmarks read them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LOSSLESS_SUFFIXES = (".png", ".ppm", ".bmp", ".tif", ".tiff")


def picture_paths(folder: Path) -> list[Path]:
    """List the lossless pictures of a folder by name; raises ValueError where there are none."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in LOSSLESS_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: holds no picture ({', '.join(LOSSLESS_SUFFIXES)})")
    return paths


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, uint8 [H, W, 3]."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def mosaic(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Grow or cut a picture [H, W, C] to any size by mirroring it at its borders."""
    rows = _mirrored_indices(pixels.shape[0], height)
    columns = _mirrored_indices(pixels.shape[1], width)
    return np.ascontiguousarray(pixels[rows[:, None], columns[None, :]])


def _mirrored_indices(length: int, wanted: int) -> NDArray[np.int64]:
    there_and_back = np.arange(2 * length)
    there_and_back[length:] = np.arange(length)[::-1]
    return np.resize(there_and_back, wanted)
