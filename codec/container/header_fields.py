"""The fields of a header: how each is read, written and checked (FORMAT.md, Header)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from luxvox.codec.container.wire import MAX_VARINT_SIZE, Cursor, varint_bytes
from luxvox.codec.quality import COARSEST, FINEST, Quality
from luxvox.errors import FormatError, LuxvoxError, UnsupportedError

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
_COLOUR, _ALPHA, _SECOND_CODER, _PROFILE, _OTHERS, _SQUARED_ERROR = 1, 2, 4, 8, 32, 64
_STEREO, _MODE, _MODES = 16, 32, 4  # a bit, and two bits
STEREO_MODES: Final[Mapping[int, str]] = {
    0: "mid and side",
    1: "mid and side, exchanged",
    2: "left and right",
}

Fault = tuple[type[LuxvoxError], str]
"""The error to raise for an illegal value, and the reason."""


class Field(Protocol):
    """One field: how it is read, written and checked."""

    @property
    def max_size(self) -> int:
        """Return how many bytes it takes at most."""

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""


@dataclass(frozen=True)
class Number:
    """A whole number of `size` bytes, or a varint if `size` is None."""

    name: str
    size: int | None
    legal: range
    refusal: type[LuxvoxError] = FormatError

    @property
    def max_size(self) -> int:
        """Return how many bytes it takes at most."""
        return self.size or MAX_VARINT_SIZE

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""
        return {self.name: cursor.varint() if self.size is None else cursor.number(self.size)}

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""
        value: int = values[self.name]
        return varint_bytes(value) if self.size is None else value.to_bytes(self.size, "little")

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""
        value = values[self.name]
        if value in self.legal:
            return None
        return self.refusal, f"{self.name} {value}, legal: {self.legal[0]}..{self.legal[-1]}"


@dataclass(frozen=True)
class Bytes:
    """A string of `max_size` bytes."""

    name: str
    max_size: int

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""
        return {self.name: cursor.take(self.max_size)}

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""
        return bytes(values[self.name])

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""
        length = len(values[self.name])
        if length == self.max_size:
            return None
        return FormatError, f"{self.name} of {length} bytes, legal: {self.max_size}"


@dataclass(frozen=True)
class QualityField:
    """The quality in hundredths, in two bytes."""

    max_size: int = 2

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""
        return {"quality": Quality(cursor.number(2))}

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""
        quality: Quality = values["quality"]
        return quality.hundredths.to_bytes(2, "little")

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""
        quality: Quality = values["quality"]
        if COARSEST <= quality <= FINEST:
            return None
        legal = f"{COARSEST.hundredths}..{FINEST.hundredths}"
        return FormatError, f"quality in hundredths {quality.hundredths}, legal: {legal}"


@dataclass(frozen=True)
class PictureFlags:
    """One byte of flags, and a byte with the number of sections if there are any besides alpha."""

    max_size: int = 2

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""
        bits = cursor.number(1)
        n_others = cursor.number(1) if bits & _OTHERS else 0
        return {
            "colour": bool(bits & _COLOUR),
            "alpha": bool(bits & _ALPHA),
            "coder": 2 if bits & _SECOND_CODER else 1,
            "profile": bits // _PROFILE % 4,
            "n_sections": bool(bits & _ALPHA) + n_others,
            "counts_none": bool(bits & _OTHERS) and not n_others,
            "eye": not bits & _SQUARED_ERROR,
            "reserved_flags": bits // (2 * _SQUARED_ERROR),
        }

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""
        n_others = values["n_sections"] - values["alpha"]
        bits = _COLOUR * values["colour"] + _ALPHA * values["alpha"]
        bits += _SECOND_CODER * (values["coder"] == 2) + _PROFILE * values["profile"]
        bits += _SQUARED_ERROR * (not values["eye"])
        return bytes([bits + _OTHERS, n_others]) if n_others else bytes([bits])

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""
        if values.get("reserved_flags", 0):
            return UnsupportedError, "reserved flags are set, legal: bits 0..6"
        if values["coder"] not in CODERS:
            return UnsupportedError, f"coder {values['coder']}, legal: {min(CODERS)}..{max(CODERS)}"
        if values["profile"] not in PROFILES:
            return UnsupportedError, f"profile {values['profile']}, legal: 0..{max(PROFILES)}"
        if values.get("counts_none", False):
            return FormatError, "0 sections are counted, legal: 1..255, or no count"
        if not 0 <= values["n_sections"] - values["alpha"] < 2**8:
            return FormatError, f"{values['n_sections']} sections, legal: 255 and alpha"
        return None


@dataclass(frozen=True)
class BandRows:
    """Rows of cells in a band, as a varint: 0, or such that there are at most `MAX_BANDS` bands."""

    name: str = "band_rows"
    max_size: int = MAX_VARINT_SIZE

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""
        return {self.name: cursor.varint()}

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""
        return varint_bytes(values[self.name])

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""
        n_cell_rows = -(-values["height"] // CELL)
        min_rows = -(-n_cell_rows // MAX_BANDS)
        if values[self.name] == 0 or min_rows <= values[self.name] <= n_cell_rows:
            return None
        legal = f"0 or {min_rows}..{n_cell_rows} at this height"
        return FormatError, f"bands of {values[self.name]} rows of cells, legal: {legal}"


@dataclass(frozen=True)
class RateAndChannels:
    """One byte: the rate's number, the channels and their mode; then the rate if it has none."""

    max_size: int = 1 + MAX_VARINT_SIZE

    def parse(self, cursor: Cursor) -> dict[str, Any]:
        """Read it."""
        byte = cursor.number(1)
        index = byte % _STEREO
        listed = index < len(RATES_HZ)
        rate_hz = RATES_HZ[index] if listed else cursor.varint() if index == OTHER_RATE else 0
        return {
            "rate_number": index,
            "sample_rate_hz": rate_hz,
            "stereo": bool(byte & _STEREO),
            "stereo_mode": byte // _MODE % _MODES,
            "reserved_flags": byte // (_MODE * _MODES),
        }

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return its bytes."""
        rate_hz = values["sample_rate_hz"]
        stereo = _STEREO * values["stereo"] + _MODE * values["stereo_mode"]
        if rate_hz in RATES_HZ:
            return bytes([RATES_HZ.index(rate_hz) + stereo])
        return bytes([OTHER_RATE + stereo]) + varint_bytes(rate_hz)

    def fault(self, values: Mapping[str, Any]) -> Fault | None:
        """Return what is illegal about it, or None."""
        rate_hz = values["sample_rate_hz"]
        mode = values["stereo_mode"]
        if values.get("reserved_flags", 0) or (mode and not values["stereo"]):
            return UnsupportedError, "reserved flags are set next to rate and channels, legal: none"
        if mode not in STEREO_MODES:
            return UnsupportedError, f"stereo mode {mode}, legal: 0..{max(STEREO_MODES)}"
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
