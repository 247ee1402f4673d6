"""Colour profiles that a file names by a number instead of holding them: sRGB and Display P3.

Such profiles take a few kilobytes, and there are dozens that mean the same colours. A profile is
tested on a few hundred colours, so that any of them is recognised.
"""

from __future__ import annotations

import functools
import io

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.container.header_fields import OWN_PROFILE, PROFILES
from luxvox.codec.picture.files.colour import DISPLAY_P3, SRGB, Colours, icc_profile

_COLOURS = {1: SRGB, 2: DISPLAY_P3}
_SAME_COLOUR = 1  # levels
_LARGEST = 1 << 20  # bytes of a profile that is tested


def profile_number(icc: bytes | None) -> int:
    """Return the number of the named profile that means the same colours, or 0."""
    if icc is None or len(icc) > _LARGEST or icc[16:20] != b"RGB ":
        return OWN_PROFILE
    for number in _COLOURS:
        converted = _convert(icc, load_profile(number) or b"")
        if converted is not None:
            difference = np.abs(converted.astype(np.int16) - _samples())
            if difference.max() <= _SAME_COLOUR:
                return number
    return OWN_PROFILE


@functools.cache
def load_profile(number: int) -> bytes | None:
    """Return the ICC profile of a number; None for 0."""
    if number == OWN_PROFILE:
        return None
    colours: Colours = _COLOURS[number]
    return icc_profile(colours, is_grey=False, name=PROFILES[number].encode("ascii"))


def _samples() -> NDArray[np.uint8]:
    """Return colours uint8 [8, 128, 3]: all greys, and 8×8×8 colours across the cube."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    steps = np.linspace(0, 255, 8).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    return np.concatenate([greys, greys, grid]).reshape(8, 128, 3)


def _convert(icc: bytes, target: bytes) -> NDArray[np.uint8] | None:
    """Return the samples converted from one profile to another, or None if that is impossible."""
    from PIL import Image, ImageCms

    try:
        source, wanted = (ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (icc, target))
        image = Image.fromarray(_samples())
        converted = ImageCms.profileToProfile(image, source, wanted, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if converted is None else np.asarray(converted)
