"""The header of a `.lvx` file: which weights decode it, and to what (FORMAT.md, Header).

The fields are declared once, as data (`_BEFORE`, `_KINDS`): those tables read, write,
check and print the header. A new kind of file is a header class and a row of `_KINDS`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Final, Protocol

from luxvox.codec.wire import MAX_VARINT_SIZE, VARINT_LIMIT, Cursor, varint_bytes
from luxvox.errors import ChecksumError, FormatError, InputError, LuxvoxError, UnsupportedError

MAGIC: Final = b"\x89LVX"
FORMAT_VERSION: Final = 1
KIND_PICTURE: Final = 1
KIND_VOICE: Final = 2
MAX_PIXELS: Final = 2**30
CELL: Final = 64  # pixels, the coarsest stride
MAX_BANDS: Final = 1024
RATES_HZ: Final = (
    *(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
)
OTHER_RATE: Final = 15
CODERS: Final[Mapping[int, str]] = {1: "constriction", 2: "torchac"}
OWN_PROFILE: Final = 0
PROFILES: Final[Mapping[int, str]] = {OWN_PROFILE: "none or its own", 1: "sRGB", 2: "Display P3"}


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
        profile: a key of `PROFILES`: a colour profile that needs no section, or none.
        coder: a key of `CODERS`.
        quality_centi: quality in hundredths, 100..10000.
        band_rows: rows of cells of 64 pixels in a band; 0 for one band whose codes are one part.
    """

    kind: ClassVar[int] = KIND_PICTURE

    model_number: int
    fingerprint: bytes
    width: int
    height: int
    colour: bool
    alpha: bool
    profile: int
    coder: int
    quality_centi: int
    band_rows: int


@dataclass(frozen=True)
class VoiceHeader:
    """Describe a voice file.

    Attributes:
        model_number: number of the weights among the voice models, 0..65535.
        fingerprint: first 4 bytes of the SHA-256 of the model's integer tables.
        n_samples: a channel, at `sample_rate_hz`, 1..2³²−1.
        sample_rate_hz: 8000..96000.
        stereo: True for two channels, coded as mid and side; False for one.
        gain: the coded signal is the recording times 10^((gain − 128) / 40), 0..255.
        quality_centi: quality in hundredths, 100..10000.
        coder: a key of `CODERS`.
    """

    kind: ClassVar[int] = KIND_VOICE

    model_number: int
    fingerprint: bytes
    n_samples: int
    sample_rate_hz: int
    stereo: bool
    gain: int
    quality_centi: int
    coder: int

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
    values = {**asdict(header), "n_sections": n_sections}
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
    if cursor.unsigned(_CRC_SIZE) != computed:
        raise ChecksumError(f"{place}: the checksum does not match, the header was altered")
    if fault := _first_fault(kind, values):
        index, refusal, reason = fault
        raise refusal(f"header, offset {offsets[index]}: {reason}")
    header_type = _KINDS[kind].header_type
    header = header_type(**{field.name: values[field.name] for field in fields(header_type)})
    return header, values["n_sections"], cursor.offset


def describe(header: Header) -> list[tuple[str, str]]:
    """Return the header as (label, text) lines, in the order of the file."""
    values = asdict(header)
    lines = (field.lines(values) for field in _fields(header.kind))
    return [("kind", _KINDS[header.kind].name), *(line for part in lines for line in part)]


_CRC_SIZE: Final = 4
_PREAMBLE_SIZE: Final = len(MAGIC) + 2

_Fault = tuple[type[LuxvoxError], str]


def _parse_preamble(cursor: Cursor) -> int:
    """Check magic, format version and kind, which say how to read on; return the kind."""
    if not MAGIC.startswith(cursor.data[: len(MAGIC)]):
        raise FormatError(f"header, offset 0: not a luxvox file, which begins {MAGIC.hex(' ')}")
    cursor.take(len(MAGIC))
    place, version = cursor.at(), cursor.unsigned(1)
    if version != FORMAT_VERSION:
        raise UnsupportedError(f"{place}: format version {version}, legal: {FORMAT_VERSION}")
    place, kind = cursor.at(), cursor.unsigned(1)
    if kind not in _KINDS:
        known = ", ".join(f"{number} ({row.name})" for number, row in _KINDS.items())
        raise UnsupportedError(f"{place}: kind {kind}, legal: {known}")
    return kind


def _first_fault(kind: int, values: Mapping[str, Any]) -> tuple[int, type[LuxvoxError], str] | None:
    return next(_faults(kind, values), None)


def _faults(kind: int, values: Mapping[str, Any]) -> Iterator[tuple[int, type[LuxvoxError], str]]:
    """Yield what is illegal: the place of the field among all, the error, and the reason."""
    for index, field in enumerate(_fields(kind)):
        if fault := field.fault(values):
            yield index, *fault
    if joint_fault := _KINDS[kind].joint_fault(values):
        yield len(_BEFORE), FormatError, joint_fault


class _Field(Protocol):
    """One field: how it is read, written, checked and printed."""

    @property
    def max_size(self) -> int: ...
    def parse(self, cursor: Cursor) -> dict[str, Any]: ...
    def write(self, values: Mapping[str, Any]) -> bytes: ...
    def fault(self, values: Mapping[str, Any]) -> _Fault | None: ...
    def lines(self, values: Mapping[str, Any]) -> list[tuple[str, str]]: ...


@dataclass(frozen=True)
class _Number:
    """A whole number of `size` bytes, or a varint if `size` is None."""

    name: str
    size: int | None
    legal: range
    show: Callable[[int], str] = str
    refusal: type[LuxvoxError] = FormatError

    @property
    def max_size(self) -> int:
        return self.size or MAX_VARINT_SIZE

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        return {self.name: cursor.varint() if self.size is None else cursor.unsigned(self.size)}

    def write(self, values: Mapping[str, Any]) -> bytes:
        value: int = values[self.name]
        return varint_bytes(value) if self.size is None else value.to_bytes(self.size, "little")

    def fault(self, values: Mapping[str, Any]) -> _Fault | None:
        value = values[self.name]
        if value in self.legal:
            return None
        return self.refusal, f"{self.name} {value}, legal: {self.legal[0]}..{self.legal[-1]}"

    def lines(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        if self.name not in values:  # the number of sections is not the header's own
            return []
        return [(self.name.removesuffix("_centi").replace("_", " "), self.show(values[self.name]))]


@dataclass(frozen=True)
class _Bytes:
    """A string of `max_size` bytes, printed in hexadecimal."""

    name: str
    max_size: int

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        return {self.name: cursor.take(self.max_size)}

    def write(self, values: Mapping[str, Any]) -> bytes:
        return bytes(values[self.name])

    def fault(self, values: Mapping[str, Any]) -> _Fault | None:
        length = len(values[self.name])
        if length == self.max_size:
            return None
        return FormatError, f"{self.name} of {length} bytes, legal: {self.max_size}"

    def lines(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(self.name, values[self.name].hex())]


@dataclass(frozen=True)
class _PictureFlags:
    """One byte of flags, and a byte with the number of sections if there are any but alpha."""

    max_size: int = 2

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        bits = cursor.unsigned(1)
        n_others = cursor.unsigned(1) if bits & _OTHERS else 0
        return {
            "colour": bool(bits & _COLOUR),
            "alpha": bool(bits & _ALPHA),
            "coder": 2 if bits & _SECOND_CODER else 1,
            "profile": bits // _PROFILE % 4,
            "n_sections": bool(bits & _ALPHA) + n_others,
            "counts_none": bool(bits & _OTHERS) and not n_others,
            "reserved_flags": bits // (2 * _OTHERS),
        }

    def write(self, values: Mapping[str, Any]) -> bytes:
        n_others = values["n_sections"] - values["alpha"]
        bits = _COLOUR * values["colour"] + _ALPHA * values["alpha"]
        bits += _SECOND_CODER * (values["coder"] == 2) + _PROFILE * values["profile"]
        return bytes([bits + _OTHERS, n_others]) if n_others else bytes([bits])

    def fault(self, values: Mapping[str, Any]) -> _Fault | None:
        if values.get("reserved_flags", 0):
            return UnsupportedError, "reserved flags are set, legal: bits 0..5"
        if values["coder"] not in CODERS:
            return UnsupportedError, f"coder {values['coder']}, legal: {min(CODERS)}..{max(CODERS)}"
        if values["profile"] not in PROFILES:
            return UnsupportedError, f"profile {values['profile']}, legal: 0..{max(PROFILES)}"
        if values.get("counts_none", False):
            return FormatError, "0 sections are counted, legal: 1..255, or no count"
        if not 0 <= values["n_sections"] - values["alpha"] < 2**8:
            return FormatError, f"{values['n_sections']} sections, legal: 255 and alpha"
        return None

    def lines(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        flags = [(name, "yes" if values[name] else "no") for name in ("colour", "alpha")]
        words = [("profile", PROFILES[values["profile"]]), ("coder", CODERS[values["coder"]])]
        return flags + words


@dataclass(frozen=True)
class _BandRows:
    """Rows of cells in a band, as a varint: 0, or such that there are at most `MAX_BANDS` bands."""

    name: str = "band_rows"
    max_size: int = MAX_VARINT_SIZE

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        return {self.name: cursor.varint()}

    def write(self, values: Mapping[str, Any]) -> bytes:
        return varint_bytes(values[self.name])

    def fault(self, values: Mapping[str, Any]) -> _Fault | None:
        n_cell_rows = -(-values["height"] // CELL)
        least = -(-n_cell_rows // MAX_BANDS)
        if values[self.name] == 0 or least <= values[self.name] <= n_cell_rows:
            return None
        legal = f"0 or {least}..{n_cell_rows} at this height"
        return FormatError, f"bands of {values[self.name]} rows of cells, legal: {legal}"

    def lines(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [("rows of cells in a band", str(values[self.name] or "all, in one part"))]


@dataclass(frozen=True)
class _RateAndChannels:
    """One byte: the rate's place in `RATES_HZ` or `OTHER_RATE` and a varint, and a stereo bit."""

    max_size: int = 1 + MAX_VARINT_SIZE

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        byte = cursor.unsigned(1)
        index = byte % _STEREO
        listed = index < len(RATES_HZ)
        rate_hz = RATES_HZ[index] if listed else cursor.varint() if index == OTHER_RATE else 0
        return {
            "rate_number": index,
            "sample_rate_hz": rate_hz,
            "stereo": bool(byte & _STEREO),
            "reserved_flags": byte // (2 * _STEREO),
        }

    def write(self, values: Mapping[str, Any]) -> bytes:
        rate_hz, stereo = values["sample_rate_hz"], _STEREO * values["stereo"]
        if rate_hz in RATES_HZ:
            return bytes([RATES_HZ.index(rate_hz) + stereo])
        return bytes([OTHER_RATE + stereo]) + varint_bytes(rate_hz)

    def fault(self, values: Mapping[str, Any]) -> _Fault | None:
        rate_hz = values["sample_rate_hz"]
        if values.get("reserved_flags", 0):
            return UnsupportedError, "reserved flags are set beside rate and channels, legal: none"
        number = values.get("rate_number", OTHER_RATE)
        if len(RATES_HZ) <= number < OTHER_RATE:
            return FormatError, (
                f"rate number {number}, legal: 0..{len(RATES_HZ) - 1}, or {OTHER_RATE} and a rate"
            )
        if not RATES_HZ[0] <= rate_hz <= RATES_HZ[-1]:
            return FormatError, f"rate {rate_hz} Hz, legal: {RATES_HZ[0]}..{RATES_HZ[-1]}"
        if rate_hz in RATES_HZ and values.get("rate_number") == OTHER_RATE:
            rule = f"it has number {RATES_HZ.index(rate_hz)}"
            return FormatError, f"rate {rate_hz} Hz is spelt out, though {rule}"
        return None

    def lines(self, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        channels = "2" if values["stereo"] else "1"
        return [("sample rate", f"{values['sample_rate_hz']} Hz"), ("channels", channels)]


@dataclass(frozen=True)
class _Kind:
    """What one kind of file has in its header behind the common fields, and its joint limits."""

    name: str
    header_type: type[Header]
    fields: tuple[_Field, ...]
    joint_fault: Callable[[Mapping[str, Any]], str | None]


def _too_many_pixels(values: Mapping[str, Any]) -> str | None:
    width, height = values["width"], values["height"]
    if width * height <= MAX_PIXELS:
        return None
    return f"{width}x{height} pixels, legal: at most {MAX_PIXELS} in all"


def _no_joint_fault(values: Mapping[str, Any]) -> str | None:
    """Find nothing: the fields of this kind do not limit one another."""
    return None


_COLOUR, _ALPHA, _SECOND_CODER, _PROFILE, _OTHERS = 1, 2, 4, 8, 32
_STEREO: Final = 16
_BEFORE: Final[tuple[_Field, ...]] = (
    _Number("model_number", 2, range(2**16)),
    _Bytes("fingerprint", 4),
)
_QUALITY: Final = _Number("quality_centi", 2, range(100, 10001), lambda centi: f"{centi / 100:g}")
_CODER: Final = _Number("coder", 1, range(1, 3), lambda coder: CODERS[coder], UnsupportedError)
_KINDS: Final[Mapping[int, _Kind]] = {
    KIND_PICTURE: _Kind(
        "picture",
        PictureHeader,
        (
            _Number("width", None, range(1, MAX_PIXELS + 1)),
            _Number("height", None, range(1, MAX_PIXELS + 1)),
            _PictureFlags(),
            _QUALITY,
            _BandRows(),
        ),
        _too_many_pixels,
    ),
    KIND_VOICE: _Kind(
        "voice",
        VoiceHeader,
        (
            _Number("n_samples", None, range(1, VARINT_LIMIT)),
            _RateAndChannels(),
            _Number("gain", 1, range(2**8)),
            _QUALITY,
            _CODER,
            _Number("n_sections", None, range(VARINT_LIMIT)),
        ),
        _no_joint_fault,
    ),
}


def _fields(kind: int) -> tuple[_Field, ...]:
    return (*_BEFORE, *_KINDS[kind].fields)


MAX_HEADER_SIZE: Final = (
    _PREAMBLE_SIZE
    + max(sum(field.max_size for field in _fields(kind)) for kind in _KINDS)
    + _CRC_SIZE
)
