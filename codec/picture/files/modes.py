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

ColourKey = tuple[int, ...]
"""The colour that is transparent, a number a channel."""

NOTE_ON_DEPTH = "samples of more than 8 bits are rounded to 8"
"""Notes on what a picture had that its raster cannot hold."""

_SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_REAL_SCALES = (1, 255, 65_535)
_NEARLY_ALL = 0.99
_OVERSHOOT = 1.5
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


def samples_of(image: Image.Image, key: ColourKey | None = None) -> tuple[Samples, tuple[str, ...]]:
    """Convert a picture of any mode to grey or RGB samples.

    CMYK goes through its ICC profile to sRGB where it has one. Mode I is taken as 16 bits, mode F
    as `samples_of_reals` does.

    Args:
        image: a Pillow image.
        key: the colour that is transparent, in the samples of the image, if any.

    Returns:
        uint8 or uint16 `[H, W]`, `[H, W, 2]` (grey and alpha), `[H, W, 3]` or `[H, W, 4]`; and
        what the picture has that they lack.

    Raises:
        InputError: a mode that Pillow's pictures do not have, or reals of an unknown scale.
    """
    if image.mode == "F":
        return samples_of_reals(np.asarray(image))
    if image.mode in _SIXTEEN_BIT_MODES:
        values, notes = _sixteen_bits(np.asarray(image))
        return with_key(values, key), notes
    special = _SPECIAL_MODES.get(image.mode)
    if special is not None:
        return special(image), ()
    target = _PLAIN_MODES.get(image.mode)
    if target is None:
        raise InputError(f"pixels of Pillow's mode {image.mode} cannot be compressed")
    if image.mode == "P" and image.has_transparency_data:
        target = "RGBA"
    samples = np.asarray(image if image.mode == target else image.convert(target))
    return with_key(samples, key), ()


def colour_key(image: Image.Image, raw_mode: str) -> ColourKey | None:
    """Return the colour that is transparent, in the samples of the image; None for none.

    Args:
        image: a Pillow image.
        raw_mode: how its samples lie in the file; empty where that is not known.
    """
    stated = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(stated, tuple) and len(stated) == 3:
        # Pillow keeps the high byte of 16 bits, and leaves the transparent colour as it is.
        return tuple(value >> 8 for value in stated) if max(stated) > 255 else stated
    if not isinstance(stated, int):
        return None
    if image.mode == "L":
        bits = int(raw_mode[2:]) if raw_mode in ("L;2", "L;4") else 8
        top = (1 << bits) - 1
        return ((stated & top) * 255 // top,)
    return (stated,) if image.mode in ("1", *_SIXTEEN_BIT_MODES) else None


def with_key(samples: Samples, key: ColourKey | None) -> Samples:
    """Add an alpha plane that is transparent where samples have the colour of the key."""
    if key is None:
        return samples
    planes = samples[:, :, None] if samples.ndim == 2 else samples
    is_opaque = (planes != np.array(key, samples.dtype)).any(axis=2, keepdims=True)
    alpha = is_opaque.astype(samples.dtype) * np.iinfo(samples.dtype).max
    joined: Samples = np.concatenate([planes, alpha], axis=2)
    return joined


def samples_of_reals(values: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Scale floating-point samples to 16 bits.

    Full scale is 1, 255 or 65535, whichever is the lowest that nearly all samples keep to: a few
    that overshoot must not darken the others. Those are clipped.

    Args:
        values: floats of any shape.

    Returns:
        uint16 of the same shape, and notes.

    Raises:
        InputError: samples far beyond any of these scales.
    """
    finite = np.isfinite(values)
    numbers = np.where(finite, values, np.where(values > 0, np.inf, 0)).astype(np.float64)
    highest = float(np.quantile(numbers[finite], _NEARLY_ALL)) if finite.any() else 0.0
    scale = next((top for top in _REAL_SCALES if highest <= _OVERSHOOT * top), None)
    if scale is None:
        raise InputError(f"floating-point samples reach {highest:g}; legal: 0..1 or 0..255")
    samples: NDArray[np.uint16] = np.rint(np.clip(numbers / scale, 0, 1) * 65_535).astype(np.uint16)
    notes = []
    if scale > 1:
        notes.append(f"floating-point samples are taken as 0..{scale}")
    tolerance = 1e-6 * scale
    n_clipped = int(((numbers < -tolerance) | (numbers > scale + tolerance) | ~finite).sum())
    if n_clipped:
        notes.append(f"{n_clipped:,} samples are beyond 0..{scale} and clipped")
    return samples, tuple(notes)


def _sixteen_bits(values: NDArray[Any]) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    n_clipped = int(((values < 0) | (values > 65_535)).sum())
    samples: NDArray[np.uint16] = np.clip(values, 0, 65_535).astype(np.uint16)
    return samples, (f"{n_clipped:,} samples are beyond 0..65535 and clipped",) if n_clipped else ()


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


_SPECIAL_MODES: dict[str, Callable[[Image.Image], Samples]] = {"CMYK": _inks, "LAB": _lab}
