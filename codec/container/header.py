"""The header of a `.lvx` file: which weights decode it, and to what (FORMAT.md, Header).

The fields are declared once, as data (`_BEFORE`, `_KINDS`): those tables read, write,
check and print the header. A new kind of file is a header class and a row of `_KINDS`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final

from luxvox.codec.container.header_fields import (
    MAX_PIXELS,
    BandRows,
    Bytes,
    Field,
    Number,
    PictureFlags,
    QualityField,
    RateAndChannels,
)
from luxvox.codec.container.wire import VARINT_LIMIT, Cursor
from luxvox.codec.quality import Quality
from luxvox.errors import ChecksumError, FormatError, InputError, LuxvoxError, UnsupportedError

MAGIC: Final = b"\x89LVX"
FORMAT_VERSION: Final = 1
KIND_PICTURE: Final = 1
KIND_VOICE: Final = 2


@dataclass(frozen=True)
class PictureHeader:
    """Describe a picture file.

    Attributes:
        model_number: number of the weights among the picture models, 0..65535.
        fingerprint: first 4 bytes of the SHA-256 of the model's integer tables.
        width: pixels a row, at least 1; width x height is at most `MAX_PIXELS`.
        height: rows, at least 1.
        colour: True for RGB, False for grey.
        alpha: True if an alpha section belongs to the file.
        eye: True if the steps of the codes follow what the eye sees, False for least squared error.
        profile: a key of `PROFILES`: a colour profile that needs no section, or none.
        coder: a key of `CODERS`.
        quality: 1..100, in hundredths.
        band_rows: rows of cells of 64 pixels in a band; 0 for one band whose codes are one part.
    """

    kind: ClassVar[int] = KIND_PICTURE

    model_number: int
    fingerprint: bytes
    width: int
    height: int
    colour: bool
    alpha: bool
    eye: bool
    profile: int
    coder: int
    quality: Quality
    band_rows: int


@dataclass(frozen=True)
class VoiceHeader:
    """Describe a voice file.

    Attributes:
        model_number: number of the weights among the voice models, 0..65535.
        fingerprint: first 4 bytes of the SHA-256 of the model's integer tables.
        n_samples: a channel, at `sample_rate_hz`, 1..2³²−1.
        sample_rate_hz: 8000..96000.
        stereo: True for two channels, False for one.
        gain: what is decoded is divided by 10^((gain − 128) / 40), 0..255.
        quality: 1..100, in hundredths.
        coder: a key of `CODERS`.
        stereo_mode: how two channels are coded, a key of `STEREO_MODES`; 0 for one.
    """

    kind: ClassVar[int] = KIND_VOICE

    model_number: int
    fingerprint: bytes
    n_samples: int
    sample_rate_hz: int
    stereo: bool
    gain: int
    quality: Quality
    coder: int
    stereo_mode: int = 0

    @property
    def channels(self) -> int:
        """Return the number of channels, 1 or 2."""
        return 2 if self.stereo else 1


Header = PictureHeader | VoiceHeader


def write_header(header: Header, n_sections: int) -> bytes:
    """Return the bytes of a header that announces `n_sections` sections.

    Raises:
        InputError: a field is outside its range (picture too large, say).
    """
    values = {**vars(header), "n_sections": n_sections}
    if fault := _first_fault(header.kind, values):
        raise InputError(f"header: {fault[2]}")
    head = MAGIC + bytes([FORMAT_VERSION, header.kind])
    head += b"".join(field.write(values) for field in _fields(header.kind))
    return head + zlib.crc32(head).to_bytes(_CRC_SIZE, "little")


def parse_header(data: bytes) -> tuple[Header, int, int]:
    """Read and check a header; the first `MAX_HEADER_SIZE` bytes of a file are enough.

    Returns:
        The header, the number of sections it announces, and the offset at which they begin.

    Raises:
        FormatError: not a luxvox file, or an illegal value.
        ChecksumError: the header was altered.
        TruncatedError: the data end inside the header.
        UnsupportedError: another format version, kind, coder or flag.
    """
    cursor = Cursor(data, 0, "header")
    kind = _parse_preamble(cursor)
    values: dict[str, Any] = {}
    offsets = []
    for field in _fields(kind):
        offsets.append(cursor.offset)
        values |= field.parse(cursor)
    computed, place = zlib.crc32(data[: cursor.offset]), cursor.at()
    if cursor.number(_CRC_SIZE) != computed:
        raise ChecksumError(f"{place}: the checksum does not match, the header was altered")
    if fault := _first_fault(kind, values):
        index, refusal, reason = fault
        raise refusal(f"header, offset {offsets[index]}: {reason}")
    header_type = _KINDS[kind].header_type
    header = header_type(**{field.name: values[field.name] for field in fields(header_type)})
    return header, values["n_sections"], cursor.offset


_CRC_SIZE: Final = 4
_PREAMBLE_SIZE: Final = len(MAGIC) + 2


def _parse_preamble(cursor: Cursor) -> int:
    """Check magic, format version and kind, which say how to read on; return the kind."""
    if not MAGIC.startswith(cursor.data[: len(MAGIC)]):
        raise FormatError(f"header, offset 0: not a luxvox file, which begins {MAGIC.hex(' ')}")
    cursor.take(len(MAGIC))
    where, version = cursor.at(), cursor.number(1)
    if version != FORMAT_VERSION:
        raise UnsupportedError(f"{where}: format version {version}, legal: {FORMAT_VERSION}")
    where, kind = cursor.at(), cursor.number(1)
    if kind not in _KINDS:
        known = ", ".join(f"{number} ({row.name})" for number, row in _KINDS.items())
        raise UnsupportedError(f"{where}: kind {kind}, legal: {known}")
    return kind


def _first_fault(kind: int, values: Mapping[str, Any]) -> tuple[int, type[LuxvoxError], str] | None:
    return next(_faults(kind, values), None)


def _faults(kind: int, values: Mapping[str, Any]) -> Iterator[tuple[int, type[LuxvoxError], str]]:
    """Yield each illegal value: the index of its field, the error, and the reason."""
    for index, field in enumerate(_fields(kind)):
        if fault := field.fault(values):
            yield index, *fault
    if joint_fault := _KINDS[kind].joint_fault(values):
        yield len(_BEFORE), FormatError, joint_fault


@dataclass(frozen=True)
class _Kind:
    """What one kind of file has in its header after the common fields, and its joint limits."""

    name: str
    header_type: type[Header]
    fields: tuple[Field, ...]
    joint_fault: Callable[[Mapping[str, Any]], str | None]


def _too_many_pixels(values: Mapping[str, Any]) -> str | None:
    width, height = values["width"], values["height"]
    if width * height <= MAX_PIXELS:
        return None
    return f"{width}x{height} pixels, legal: at most {MAX_PIXELS} in all"


def _no_joint_fault(values: Mapping[str, Any]) -> str | None:
    """Find nothing: the fields of this kind do not limit one another."""
    return None


_BEFORE: Final[tuple[Field, ...]] = (
    Number("model_number", 2, range(2**16)),
    Bytes("fingerprint", 4),
)
_CODER: Final = Number("coder", 1, range(1, 3), UnsupportedError)
_KINDS: Final[Mapping[int, _Kind]] = {
    KIND_PICTURE: _Kind(
        "picture",
        PictureHeader,
        (
            Number("width", None, range(1, MAX_PIXELS + 1)),
            Number("height", None, range(1, MAX_PIXELS + 1)),
            PictureFlags(),
            QualityField(),
            BandRows(),
        ),
        _too_many_pixels,
    ),
    KIND_VOICE: _Kind(
        "voice",
        VoiceHeader,
        (
            Number("n_samples", None, range(1, VARINT_LIMIT)),
            RateAndChannels(),
            Number("gain", 1, range(2**8)),
            QualityField(),
            _CODER,
            Number("n_sections", None, range(VARINT_LIMIT)),
        ),
        _no_joint_fault,
    ),
}


def _fields(kind: int) -> tuple[Field, ...]:
    return (*_BEFORE, *_KINDS[kind].fields)


MAX_HEADER_SIZE: Final = (
    _PREAMBLE_SIZE
    + max(sum(field.max_size for field in _fields(kind)) for kind in _KINDS)
    + _CRC_SIZE
)
