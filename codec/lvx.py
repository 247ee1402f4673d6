"""Files of either kind: which kind a file is, what it says of itself, its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, file_bytes
from luxvox.codec.container import VoiceHeader
from luxvox.codec.container.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS
from luxvox.errors import LuxvoxError
from luxvox.late_imports import load

if TYPE_CHECKING:
    from luxvox.entropy.picture.prediction import LatticeCodes
    from luxvox.entropy.voice.plan import Codes


HEAD_BYTES = container.MAX_HEADER_SIZE
"""How much of a file `is_voice` needs."""


def is_voice(data: bytes) -> bool:
    """Return whether a `.lvx` file, or its first `MAX_HEADER_SIZE` bytes, holds a voice."""
    try:
        return isinstance(container.read_header(data)[0], VoiceHeader)
    except LuxvoxError:
        return False


def codes(
    data: FileBytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> dict[str, LatticeCodes] | Codes:
    """Return the codes of a file, without running the synthesis network.

    Args:
        data: the bytes of a `.lvx` file, in any object that holds bytes in memory.
        max_pixels, max_seconds: refuse larger pictures, longer recordings.

    Returns:
        Of a picture: by level, uint8 [stages, groups, height, width]. Of a voice: uint16
        [stages, frames], or [2, stages, frames] (mid and side) if it is stereo.

    Raises:
        As `decompress_image` and `decompress_speech` do.
    """
    load("luxvox.codec.pictures", "luxvox.codec.voices")
    from luxvox.codec import pictures, voices

    data = file_bytes(data)
    if is_voice(data):
        return voices.voice_codes(data, max_seconds)
    return pictures.codes(data, max_pixels)
