"""What is asked of a file: a quality, a size, a rate or a PSNR."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from luxvox.codec.arguments import plain_number
from luxvox.errors import UsageError

DEFAULT_QUALITY: Final = 50.0
DEFAULT_BITRATE_KBPS: Final = 3.0
MIN_BITRATE_KBPS, MAX_BITRATE_KBPS = 0.3, 12.0
SIZE_TOLERANCE: Final = 0.02
SIZE_STEP: Final = 4  # bytes: range coders write words of 32 bits
PSNR_TOLERANCE_DB: Final = 0.1


@dataclass(frozen=True)
class Target:
    """What is asked for.

    Attributes:
        what: `quality`, `bpp`, `size`, `psnr` or `bitrate`.
        value: 1 … 100; bits a pixel; bytes; decibels; kbit/s.
    """

    what: str
    value: float


def picture_target(
    quality: float | None, bpp: float | None, size: float | None, psnr: float | None
) -> Target:
    """Return the target of a picture; quality 50 by default.

    Raises:
        UsageError: if more than one thing is asked for, or a value is not above 0.
    """
    target = _only({"quality": quality, "bpp": bpp, "size": size, "psnr": psnr})
    return target or Target("quality", DEFAULT_QUALITY)


def voice_target(quality: float | None, bitrate: float | None, size: float | None) -> Target:
    """Return the target of a voice; 3 kbit/s by default.

    Raises:
        UsageError: if more than one thing is asked for, or a value is out of range.
    """
    target = _only({"quality": quality, "bitrate": bitrate, "size": size})
    target = target or Target("bitrate", DEFAULT_BITRATE_KBPS)
    if target.what == "bitrate" and not MIN_BITRATE_KBPS <= target.value <= MAX_BITRATE_KBPS:
        legal = f"{MIN_BITRATE_KBPS:g}..{MAX_BITRATE_KBPS:g}"
        raise UsageError(f"bitrate {target.value:g} kbit/s is out of range, legal: {legal}")
    return target


def _only(asked: dict[str, float | None]) -> Target | None:
    """Return the only target that is given, if any; quality has a range of its own."""
    given = [
        Target(what, plain_number(value)) for what, value in asked.items() if value is not None
    ]
    if len(given) > 1:
        names = " and ".join(target.what for target in given)
        raise UsageError(f"{names} cannot be combined")
    for target in given:
        if target.what != "quality" and not 0.0 < target.value < math.inf:
            raise UsageError(f"{target.what} {target.value:g} is out of range, legal: above 0")
    return given[0] if given else None
