"""How a report names and prints what results.json holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]

RATE_DIGITS = {"pictures": 3, "voices": 2}


def number(value: float, digits: int) -> str:
    """Print a number with a true minus."""
    return f"{value:.{digits}f}".replace("-", "−")


def format_signed(value: float, digits: int = 1) -> str:
    """Print a number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "−")


def labels_of(record: Record) -> dict[str, str]:
    """Return what each codec and each curve from elsewhere is called."""
    labels = {codec["name"]: str(codec["label"]) for codec in record["codecs"]}
    return {**labels, **{curve["name"]: curve["name"] for curve in record["against"]}}


def styles_of(record: Record) -> dict[str, int]:
    """Return the style of each curve; negative for those from elsewhere."""
    styles = {codec["name"]: number for number, codec in enumerate(record["codecs"])}
    return {**styles, **{curve["name"]: -1 - k for k, curve in enumerate(record["against"])}}


def scale_label(scale: Record) -> str:
    """Name a scale and its unit."""
    return f"{scale['label']}, {scale['unit']}" if scale["unit"] else str(scale["label"])


def short_unit(record: Record) -> str:
    """Name the unit of rates in a word."""
    return "bpp" if record["kind"] == "pictures" else str(record["rate_unit"])
