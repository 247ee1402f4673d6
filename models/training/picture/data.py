"""Training pictures: loaded once, cropped, flipped, enlarged and made noisy at random."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from luxvox.errors import InputError
from luxvox.models.picture.conditions import PIXELS_PER_UNIT
from luxvox.models.training.picture.drawings import drawing

log = logging.getLogger(__name__)

SUFFIXES = (".avif", ".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm")
MIN_SIDE = 256
N_DRAWINGS = 128  # of rendered text, flat graphics and shades, added to the training pictures
DRAWING_SHARE = 0.065  # of all crops

# Camera pictures are not sharp: some of the crops are enlarged, and some get noise.
ENLARGED_SHARE, MAX_ENLARGEMENT = 0.3, 2.2
NOISY_SHARE, MAX_NOISE = 0.25, 4.0


class Pictures:
    """The pictures of folders in memory, as uint8 [3, H, W] tensors.

    Raises:
        InputError: if the folders hold no picture with both sides of at least 256 pixels, or a file
            that is named like a picture but is not one.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        paths = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in SUFFIXES)
        log.info("reading %d pictures", len(paths))

        # Pillow's decoders run in parallel threads.
        with ThreadPoolExecutor(2) as pool:
            loaded = list(pool.map(_load, paths))

        self.pictures = [p for p in loaded if min(p.shape[1:]) >= MIN_SIDE]
        self.drawings: list[Tensor] = []
        if not self.pictures:
            names = ", ".join(map(str, folders))
            raise InputError(f"no picture of at least {MIN_SIDE}×{MIN_SIDE} pixels in {names}")

    def split(self, every: int) -> tuple[Pictures, Pictures]:
        """Return all but every n-th picture, with drawings added, and every n-th.

        Raises:
            InputError: if there is only one picture.
        """
        if len(self) < 2:
            raise InputError("one picture is not enough: training needs 2 or more")
        training = copy.copy(self)
        training.pictures = [p for n, p in enumerate(self.pictures) if n % every]
        training.drawings = [drawing(seed) for seed in range(N_DRAWINGS)]

        held_back = copy.copy(self)
        held_back.pictures = self.pictures[::every]
        return training, held_back

    def __len__(self) -> int:
        return len(self.pictures)

    def crops(self, n: int, size: int, generator: torch.Generator) -> Tensor:
        """Return random crops [n, 3, size, size] in units."""
        return torch.stack([self._crop(size, generator) for _ in range(n)])

    def _crop(self, size: int, generator: torch.Generator) -> Tensor:
        # In order: whether a drawing, enlarged, by how much, flipped, noisy, how much.
        chances = torch.rand(6, generator=generator).tolist()
        is_drawing = bool(self.drawings) and chances[0] < DRAWING_SHARE
        source = self.drawings if is_drawing else self.pictures
        picture = source[int(torch.randint(len(source), (1,), generator=generator))]

        # Drawings stay as sharp and clean as they are rendered.
        enlarged = not is_drawing and chances[1] < ENLARGED_SHARE
        factor = 1.2 + (MAX_ENLARGEMENT - 1.2) * chances[2] if enlarged else 1.0

        # [3, H, W] -> [3, part, part]
        part = math.ceil(size / factor)
        height, width = picture.shape[1:]
        top = int(torch.randint(height - part + 1, (1,), generator=generator))
        left = int(torch.randint(width - part + 1, (1,), generator=generator))
        crop = picture[:, top : top + part, left : left + part].float()

        # [3, part, part] -> [3, size, size]; bicubic curves may overshoot the legal range.
        if enlarged:
            crop = F.interpolate(crop[None], (size, size), mode="bicubic")[0].clamp(0.0, 255.0)
        if chances[3] < 0.5:
            crop = crop.flip(2)

        # The square makes faint noise more frequent than strong noise.
        if not is_drawing and chances[4] < NOISY_SHARE:
            noise = torch.randn(crop.shape, generator=generator)
            noise = noise * (0.5 + MAX_NOISE * chances[5] ** 2)
            crop = (crop + noise).clamp(0.0, 255.0)
        return to_units(crop)


def to_units(pixels: Tensor) -> Tensor:
    """Map 8-bit levels to units around zero."""
    return (pixels.float() - 128.0) / PIXELS_PER_UNIT


def _load(path: Path) -> Tensor:
    try:
        with Image.open(path) as image:
            pixels: NDArray[np.uint8] = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise InputError(f"{path}: not a picture: {error}") from None

    # [H, W, 3] -> [3, H, W]; a copy, since Pillow's array cannot be written to.
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
