"""Luxvox: a learned codec for pictures and voices.

This is the public interface and nothing else; torch is loaded by the first call that needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from luxvox import late_imports

if TYPE_CHECKING:
    from luxvox.codec.inspection import FileInfo, VoiceInfo, inspect
    from luxvox.codec.lvx import codes, from_codes
    from luxvox.codec.pictures import compress_image, decompress_image
    from luxvox.codec.sound_file import SpeechFile, open_speech
    from luxvox.codec.truncation import truncate
    from luxvox.codec.voices import (
        compress_speech,
        decompress_speech,
        stream_speech,
    )
    from luxvox.errors import (
        ChecksumError,
        DamageWarning,
        FormatError,
        InputError,
        LossWarning,
        LuxvoxError,
        ModelError,
        PartWarning,
        SystemFailure,
        TargetWarning,
        TruncatedError,
        TruncatedWarning,
        UnsupportedError,
        UsageError,
    )
    from luxvox.models.cards import use_weights

__version__ = "0.1.0"

__all__ = [
    "ChecksumError",
    "DamageWarning",
    "FileInfo",
    "FormatError",
    "InputError",
    "LossWarning",
    "LuxvoxError",
    "ModelError",
    "PartWarning",
    "SpeechFile",
    "SystemFailure",
    "TargetWarning",
    "TruncatedError",
    "TruncatedWarning",
    "UnsupportedError",
    "UsageError",
    "VoiceInfo",
    "__version__",
    "codes",
    "compress_image",
    "compress_speech",
    "stream_speech",
    "decompress_image",
    "decompress_speech",
    "from_codes",
    "inspect",
    "open_speech",
    "use_weights",
    "truncate",
]

_HOMES = {
    "ChecksumError": "luxvox.errors",
    "DamageWarning": "luxvox.errors",
    "FileInfo": "luxvox.codec.inspection",
    "FormatError": "luxvox.errors",
    "InputError": "luxvox.errors",
    "LossWarning": "luxvox.errors",
    "LuxvoxError": "luxvox.errors",
    "ModelError": "luxvox.errors",
    "PartWarning": "luxvox.errors",
    "SpeechFile": "luxvox.codec.sound_file",
    "SystemFailure": "luxvox.errors",
    "TargetWarning": "luxvox.errors",
    "TruncatedError": "luxvox.errors",
    "TruncatedWarning": "luxvox.errors",
    "UnsupportedError": "luxvox.errors",
    "UsageError": "luxvox.errors",
    "VoiceInfo": "luxvox.codec.inspection",
    "codes": "luxvox.codec.lvx",
    "compress_image": "luxvox.codec.pictures",
    "compress_speech": "luxvox.codec.voices",
    "stream_speech": "luxvox.codec.voices",
    "decompress_image": "luxvox.codec.pictures",
    "decompress_speech": "luxvox.codec.voices",
    "from_codes": "luxvox.codec.lvx",
    "inspect": "luxvox.codec.inspection",
    "open_speech": "luxvox.codec.sound_file",
    "use_weights": "luxvox.models.cards",
    "truncate": "luxvox.codec.truncation",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(late_imports.module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
