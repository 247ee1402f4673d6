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
    """What a voice's file holds that its codes depend on; quality in hundredths."""

    fingerprint: bytes
    n_frames: int
    channels: int
    quality: int
    coder: int
    codes: tuple[bytes, ...]


@dataclass(frozen=True)
class Picture:
    """What a picture's file holds that its codes depend on; quality in hundredths.

    `tune` is 1 for the eye, `bands` are the rows of cells of each band, and `parts` their payloads
    by section.
    """

    model: int
    fingerprint: bytes
    width: int
    height: int
    quality: int
    tune: int
    coder: int
    joined: bool
    bands: tuple[range, ...]
    parts: tuple[dict[int, bytes], ...]


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
    """Read the container; a cut file gives its whole parts."""
    if len(data) < 6 and b"\x89LVX\1\1".startswith(data):
        raise Cut("the file ends inside the header")
    if data[:6] != b"\x89LVX\1\1":
        raise Refused("not a picture of format version 1")
    source = Bytes(data)
    source.take(6)
    model, print_ = source.number(2), source.take(4)
    width, height = source.varint(), source.varint()
    flags = source.number(1)
    n_others = source.number(1) if flags & 32 else 0
    quality, band_rows = source.number(2), source.varint()
    if zlib.crc32(data[: source.offset]) != source.number(4):
        raise Refused("the header was altered")
    if flags > 127 or flags >> 3 & 3 == 3 or not 100 <= quality <= 10000:
        raise Refused("a header field is out of range")
    if flags & 32 and not n_others:
        raise Refused("a number of sections that is 0")
    if not 1 <= width * height <= 2**30:
        raise Refused("no pixels, or too many")
    bands = bands_of(-(-height // 64), band_rows)
    parts, is_cut = read_parts(source, len(bands), 6 if band_rows else 1)
    check_sections(source, flags, n_others, any(parts), is_cut)
    coder = 1 + (flags >> 2 & 1)
    return Picture(
        model,
        print_,
        width,
        height,
        quality,
        1 - (flags >> 6),
        coder,
        not band_rows,
        tuple(bands),
        tuple(parts),
    )


def check_sections(source: Bytes, flags: int, n_others: int, has_codes: bool, is_cut: bool) -> None:
    """Refuse a file whose alpha or metadata is not legal, or in which nothing is whole."""
    kinds: list[int] = []
    try:
        if is_cut:
            raise Cut("the file ends inside the codes")
        for _ in range((flags >> 1 & 1) + n_others):
            kinds.append(read_section(source)[0])
            if 65 <= kinds[-1] <= 127:
                raise Refused("a section of a newer format")
    except Cut:
        if not kinds and not has_codes:
            raise
        is_cut = True
    if kinds != sorted(set(kinds)) or any(kind < 64 for kind in kinds):
        raise Refused("sections out of order")
    if (64 in kinds) != bool(flags & 2) and (kinds or not is_cut):
        raise Refused("alpha without its flag, or the flag without alpha")
    if not is_cut and source.offset < len(source.data):
        raise Refused("bytes after the end")


def bands_of(n_rows: int, band_rows: int) -> list[range]:
    if band_rows == 0:
        return [range(n_rows)]
    if not -(-n_rows // 1024) <= band_rows <= n_rows:
        raise Refused("bands too high, or too many")
    rows = range(n_rows)
    return [rows[first : first + band_rows] for first in range(0, n_rows, band_rows)]


def read_parts(source: Bytes, n_bands: int, n_sections: int) -> tuple[list[dict[int, bytes]], bool]:
    """Return the payloads of each band by section, and whether the file ends inside them."""
    start = source.offset
    names = [(section, band) for section in range(1, n_sections + 1) for band in range(n_bands)]
    lengths = [source.varint() for _ in names]
    if crc16(source.data[start : source.offset]) != source.number(2):
        raise Refused("the table was altered")
    parts: list[dict[int, bytes]] = [{} for _ in range(n_bands)]
    for (section, band), length in zip(names, lengths, strict=True):
        if not length:
            continue
        try:
            checksum, payload = source.number(2), source.take(length)
        except Cut:
            return parts, True
        if crc16(bytes([section]) + spell(band) + payload) != checksum:
            raise Refused("a part was altered")
        parts[band][section] = payload
    return parts, False


def spell(number: int) -> bytes:
    """Return a number as a varint."""
    low, high = number % 128, number // 128
    return bytes([low | 128]) + spell(high) if high else bytes([low])


RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


def read_voice(data: bytes) -> Voice:
    """Read the container of a voice; a cut file gives its whole sections."""
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
    channels = 1 + (kind >> 4) % 2
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
    if kind > 127 or kind >> 5 not in ((0, 1, 2) if kind & 16 else (0,)):
        raise Refused("channels that are coded in an unknown way")
    if coder not in (1, 2) or not 100 <= quality <= 10000 or not n_samples:
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
