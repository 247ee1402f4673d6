"""Luxvox: a learned codec for pictures and voices.

This is the public interface and nothing else; torch is loaded by the first call that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luxvox.codec.pictures import (
        FileInfo,
        codes,
        compress_image,
        decompress_image,
        inspect,
    )
    from luxvox.errors import LuxvoxError, TruncatedWarning

__version__ = "0.1.0"

__all__ = [
    "FileInfo",
    "LuxvoxError",
    "TruncatedWarning",
    "__version__",
    "codes",
    "compress_image",
    "decompress_image",
    "inspect",
]

_HOMES = {
    "FileInfo": "luxvox.codec.pictures",
    "LuxvoxError": "luxvox.errors",
    "TruncatedWarning": "luxvox.errors",
    "codes": "luxvox.codec.pictures",
    "compress_image": "luxvox.codec.pictures",
    "decompress_image": "luxvox.codec.pictures",
    "inspect": "luxvox.codec.pictures",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
