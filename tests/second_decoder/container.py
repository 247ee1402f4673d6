"""FORMAT.md, Layout: the bytes of a file to its header and sections."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


class Refused(ValueError):
    """The file is not one that can be decoded."""


class Cut(Refused):
    """The file ends too early."""


@dataclass(frozen=True)
class Voice:
    """What a voice's file holds, as far as its codes depend on it; quality in hundredths."""

    fingerprint: bytes
    n_frames: int
    channels: int
    quality: int
    coder: int
    codes: tuple[bytes, ...]


@dataclass(frozen=True)
class Picture:
    """What a file holds, as far as its codes depend on it; quality in hundredths."""

    model: int
    fingerprint: bytes
    width: int
    height: int
    quality: int
    coder: int
    codes: tuple[bytes, ...]


class Bytes:
    """The bytes of a file, taken one field after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int) -> bytes:
        self.offset += size
        if self.offset > len(self.data):
            raise Cut("the file ends inside a field")
        return self.data[self.offset - size : self.offset]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.number(1)
            value |= (byte & 127) << shift
            if byte < 128:
                if (byte == 0 and shift) or value >> 32:
                    break
                return value
        raise Refused("not a varint")


def read_picture(data: bytes) -> Picture:
    """Read the container; a file that was cut gives its whole sections."""
    if len(data) < 6 and b"\x89LVX\1\1".startswith(data):
        raise Cut("the file ends inside the header")
    if data[:6] != b"\x89LVX\1\1":
        raise Refused("not a picture of format version 1")
    source = Bytes(data)
    source.take(6)
    model, print_ = source.number(2), source.take(4)
    width, height = source.varint(), source.varint()
    flags, quality = source.number(1), source.number(2)
    coder, n_sections = source.number(1), source.number(1)
    if zlib.crc32(data[: source.offset]) != source.number(4):
        raise Refused("the header was altered")
    if flags > 3 or coder not in (1, 2) or not 100 <= quality <= 10000:
        raise Refused("a header field is out of range")
    if not 1 <= width * height <= 2**30:
        raise Refused("no pixels, or too many")
    sections: dict[int, bytes] = {}
    try:
        for _ in range(n_sections):
            kind, payload = read_section(source)
            if kind <= max(sections, default=0) or 65 <= kind <= 127:
                raise Refused("sections out of order")
            sections[kind] = payload
    except Cut:
        if not sections:
            raise
    else:
        if source.offset < len(data) or flags >> 1 != (64 in sections):
            raise Refused("too much or too little")
    codes = [payload for kind, payload in sections.items() if kind < 64]
    if any(number not in sections for number in range(1, len(codes) + 1)):
        raise Refused("a gap among the code sections")
    return Picture(model, print_, width, height, quality, coder, tuple(codes))


RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


def read_voice(data: bytes) -> Voice:
    """Read the container of a voice; a file that was cut gives its whole sections."""
    if data[:6] != b"\x89LVX\1\2":
        raise Refused("not a voice of format version 1")
    source = Bytes(data)
    source.take(8)
    print_, n_samples = source.take(4), source.varint()
    kind = source.number(1)
    number = kind & 15
    rate = source.varint() if number == 15 else RATES[number] if number < len(RATES) else 0
    source.number(1)  # gain
    quality, coder, n_sections = source.number(2), source.number(1), source.varint()
    if zlib.crc32(data[: source.offset]) != source.number(4):
        raise Refused("the header was altered")
    check_voice_header(kind, coder, quality, n_samples)
    if not 8000 <= rate <= 96000 or (number == 15 and rate in RATES):
        raise Refused("a rate out of range, or spelt out though it has a number")
    channels = 1 + (kind >> 4)
    n_coded = -(-n_samples * 16000 // rate)
    n_frames = -(-n_coded // 320) + 1
    n_codes = 2 * channels * -(-n_frames // 750)
    if n_sections > n_codes + 128:
        raise Refused("more sections than a voice can have")
    sections: list[tuple[int, bytes]] = []
    try:
        for _ in range(n_sections):
            sections.append(read_section(source))
    except Cut:
        if not sections:
            raise
    else:
        if source.offset < len(data) or len(sections) < n_codes:
            raise Refused("too much or too little")
    for position, (section, _) in enumerate(sections[:n_codes]):
        if section != position % (2 * channels) + 1:
            raise Refused("code sections out of order")
    check_other_sections([section for section, _ in sections[n_codes:]])
    if len(sections) < 2 * channels - 1:
        raise Cut("no segment is whole")
    codes = tuple(payload for _, payload in sections[:n_codes])
    return Voice(print_, n_frames, channels, quality, coder, codes)


def check_other_sections(kinds: list[int]) -> None:
    if any(kind < 128 for kind in kinds) or kinds != sorted(set(kinds)):
        raise Refused("other sections out of order")


def check_voice_header(kind: int, coder: int, quality: int, n_samples: int) -> None:
    if kind > 31 or coder not in (1, 2) or not 100 <= quality <= 10000 or not n_samples:
        raise Refused("a header field is out of range")


def read_section(source: Bytes) -> tuple[int, bytes]:
    start = source.offset
    kind, length = source.number(1), source.varint()
    front = source.data[start : source.offset]
    checksum, payload = source.number(2), source.take(length)
    if crc16(front + payload) != checksum:
        raise Refused("a section was altered")
    return kind, payload


def crc16(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value >> 15 else 0)) & 0xFFFF
    return value
