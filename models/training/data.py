"""Training pictures: loaded once, cropped and flipped at random."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from luxvox.errors import InputError
from luxvox.models.image import PIXELS_PER_UNIT

SUFFIXES = (".avif", ".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm")


class Pictures:
    """The pictures of some folders in memory, as uint8 [3, H, W] tensors.

    Raises:
        InputError: if the folders hold no picture with both sides of at least 256 pixels, or a
            file that is named like one and is none.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in SUFFIXES)
        self.pictures = [p for p in map(_load, paths) if min(p.shape[1:]) >= 256]
        if not self.pictures:
            names = ", ".join(map(str, folders))
            raise InputError(f"no picture of at least 256×256 pixels in {names}")

    def split(self, every: int) -> tuple[Pictures, Pictures]:
        """Return all but every n-th picture, and every n-th.

        Raises:
            InputError: if one picture alone cannot be split.
        """
        if len(self) < 2:
            raise InputError("one picture is not enough: training needs 2 or more")
        parts = copy.copy(self), copy.copy(self)
        parts[0].pictures = [p for n, p in enumerate(self.pictures) if n % every]
        parts[1].pictures = self.pictures[::every]
        return parts

    def __len__(self) -> int:
        return len(self.pictures)

    def crops(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        """Return random crops [n, 3, size, size] in units, half of them mirrored."""
        picks = torch.randint(len(self), (n,), generator=generator)
        return torch.stack([crop(self.pictures[int(i)], size, size, generator) for i in picks])


def crop(picture: Tensor, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Cut a random part [3, height, width] in units out of a uint8 picture [3, H, W]."""
    top, left = (
        int(torch.randint(full - part + 1, (1,), generator=generator))
        for full, part in zip(picture.shape[1:], (height, width), strict=True)
    )
    part = picture[:, top : top + height, left : left + width]
    if bool(torch.randint(2, (1,), generator=generator)):
        part = part.flip(2)
    return to_units(part)


def to_units(pixels: Tensor) -> Tensor:
    """Map 8-bit levels to units around zero."""
    return (pixels.float() - 128.0) / PIXELS_PER_UNIT


def _load(path: Path) -> Tensor:
    try:
        with Image.open(path) as image:
            pixels: NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"{path}: not a picture: {error}") from None
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
