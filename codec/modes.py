"""Pillow's pixel modes, each turned into grey or RGB of 8 or 16 bits, with alpha or without."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luxvox.errors import InputError

# Their profile describes inks or Lab, not the RGB they are converted to.
MODES_THAT_LOSE_THEIR_PROFILE = frozenset({"CMYK", "LAB"})

Samples = NDArray[np.uint8] | NDArray[np.uint16]

_MODES_WITH_ALPHA = {"P": "RGBA", "RGB": "RGBA", "L": "LA", "1": "LA"}
_PLAIN_MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "HSV": "RGB",
}


def samples_of(image: Image.Image) -> Samples:
    """Convert a picture of any mode to grey or RGB samples.

    CMYK goes through its ICC profile to sRGB where it has one. Mode I is taken as 16 bits, mode F
    as 0..1 when nothing in it is above 1 and as 0..255 otherwise; both are clipped.

    Args:
        image: a Pillow image.

    Returns:
        uint8 or uint16 `[H, W]`, `[H, W, 2]` (grey and alpha), `[H, W, 3]` or `[H, W, 4]`.

    Raises:
        InputError: a mode that is none of Pillow's pictures.
    """
    special = _SPECIAL_MODES.get(image.mode)
    if special is not None:
        return special(image)
    target = _PLAIN_MODES.get(image.mode)
    if target is None:
        raise InputError(f"pixels of Pillow's mode {image.mode} cannot be compressed")
    if image.has_transparency_data:
        target = _MODES_WITH_ALPHA.get(image.mode, target)
    return np.asarray(image if image.mode == target else image.convert(target))


def _sixteen_bits(image: Image.Image) -> Samples:
    samples: NDArray[np.uint16] = np.clip(np.asarray(image), 0, 65535).astype(np.uint16)
    return samples


def _real(image: Image.Image) -> Samples:
    samples: NDArray[np.float64] = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if samples.size == 0 or samples.max() <= 1:
        samples = samples * 255
    sixteen_bits: NDArray[np.uint16] = np.rint(np.clip(samples, 0, 255) * 257).astype(np.uint16)
    return sixteen_bits


def _inks(image: Image.Image) -> Samples:
    profile = image.info.get("icc_profile")
    if profile:
        from PIL import ImageCms

        try:
            inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return np.asarray(_to_srgb(image, inks))
        except (ImageCms.PyCMSError, OSError):  # a broken profile, or one for other inks
            pass
    return np.asarray(image.convert("RGB"))


def _lab(image: Image.Image) -> Samples:
    from PIL import ImageCms

    return np.asarray(_to_srgb(image, ImageCms.createProfile("LAB")))


def _to_srgb(image: Image.Image, profile: Any) -> Image.Image:
    from PIL import ImageCms

    srgb = ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    assert converted is not None
    return converted


_SPECIAL_MODES: dict[str, Callable[[Image.Image], Samples]] = {
    "I": _sixteen_bits,
    "I;16": _sixteen_bits,
    "I;16L": _sixteen_bits,
    "I;16B": _sixteen_bits,
    "I;16N": _sixteen_bits,
    "F": _real,
    "CMYK": _inks,
    "LAB": _lab,
}
