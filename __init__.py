"""Luxvox: a learned codec for pictures and voices.

This is the public interface and nothing else; torch is loaded by the first call that needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luxvox.codec.inspection import FileInfo, VoiceInfo, inspect
    from luxvox.codec.lvx import codes
    from luxvox.codec.pictures import compress_image, decompress_image
    from luxvox.codec.truncation import truncate
    from luxvox.codec.voices import (
        compress_speech,
        decode_chunks,
        decompress_speech,
        from_codes,
    )
    from luxvox.errors import (
        DamageWarning,
        LossWarning,
        LuxvoxError,
        TargetWarning,
        TruncatedWarning,
    )
    from luxvox.models.cards import preferring

__version__ = "0.1.0"

__all__ = [
    "DamageWarning",
    "FileInfo",
    "LossWarning",
    "LuxvoxError",
    "TargetWarning",
    "TruncatedWarning",
    "VoiceInfo",
    "__version__",
    "codes",
    "compress_image",
    "compress_speech",
    "decode_chunks",
    "decompress_image",
    "decompress_speech",
    "from_codes",
    "inspect",
    "preferring",
    "truncate",
]

_HOMES = {
    "DamageWarning": "luxvox.errors",
    "FileInfo": "luxvox.codec.inspection",
    "LossWarning": "luxvox.errors",
    "LuxvoxError": "luxvox.errors",
    "TargetWarning": "luxvox.errors",
    "TruncatedWarning": "luxvox.errors",
    "VoiceInfo": "luxvox.codec.inspection",
    "codes": "luxvox.codec.lvx",
    "compress_image": "luxvox.codec.pictures",
    "compress_speech": "luxvox.codec.voices",
    "decode_chunks": "luxvox.codec.voices",
    "decompress_image": "luxvox.codec.pictures",
    "decompress_speech": "luxvox.codec.voices",
    "from_codes": "luxvox.codec.voices",
    "inspect": "luxvox.codec.inspection",
    "preferring": "luxvox.models.cards",
    "truncate": "luxvox.codec.truncation",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
