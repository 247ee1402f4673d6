"""Bytes made hostile: blindly, or field by field with the checksums put right again.

Knows the layout of a file only as far as FORMAT.md has it, and shares no code with the reader.
"""

from __future__ import annotations

import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

_INTERESTING = (0, 1, 2, 15, 31, 63, 64, 65, 127, 128, 129, 130, 131, 200, 254, 255)
_NUMBERS = (0, 1, 2, 31, 32, 33, 64, 127, 128, 255, 256, 319, 320, 321, 8000, 16_000, 239_681)
_HUGE = (2**14, 2**15, 2**16, 2**28, 2**30, 2**30 + 1, 2**31, 2**32 - 1)
_SPECIAL_PAYLOADS = (b"", b"\0", b"\xff", b"RIFF", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")


@dataclass(frozen=True)
class Parts:
    """A file taken apart: header without checksum, sections, and what follows them."""

    header: bytes
    sections: tuple[tuple[int, bytes], ...]
    rest: bytes = b""


def blind(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change bytes of a file without regard to what they mean."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        random.choice(_BLIND)(out, others, random)
    return bytes(out)


def structured(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change fields, sections and payloads of a file, and put checksums right (mostly)."""
    parts = taken_apart(data)
    if parts is None:
        return blind(data, others, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        parts = random.choice(_STRUCTURED)(parts, others, random)
    spelt = put_together(parts)
    return spelt[: random.randrange(len(spelt) + 1)] if random.random() < 0.1 else spelt


def damaged(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change bytes behind the header of a file, and leave its checksums as they were."""
    parts = taken_apart(data)
    if parts is None:
        return blind(data, others, random)
    front = len(parts.header) + 4
    body = bytearray(data[front:])
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        random.choice((*4 * (_flip,), *4 * (_set,), _insert, _remove))(body, others, random)
    return data[:front] + body


def taken_apart(data: bytes) -> Parts | None:
    """Split a file into its parts; None if it cannot be followed."""
    try:
        end = _header_end(data)
        offset, sections = end + 4, []
        while offset < len(data):
            length, front_end = _varint(data, offset + 1)
            start = front_end + 2
            if start + length > len(data):
                break
            sections.append((data[offset], data[start : start + length]))
            offset = start + length
    except IndexError:
        return None
    return Parts(data[:end], tuple(sections), data[offset:])


def put_together(parts: Parts) -> bytes:
    """Spell a file from its parts, with right checksums; the number of sections is set to fit."""
    header = parts.header
    if len(header) > 6 and header[5] == 1:
        header = header[:-1] + bytes([len(parts.sections) % 256])
    spelt = header + zlib.crc32(header).to_bytes(4, "little")
    for number, payload in parts.sections:
        front = bytes([number]) + _spelt_varint(len(payload))
        crc = binascii.crc_hqx(front + payload, 0xFFFF)
        spelt += front + crc.to_bytes(2, "little") + payload
    return spelt + parts.rest


# --- blind -----------------------------------------------------------------------------------


def _flip(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    if out:
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)


def _set(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    if out:
        out[random.randrange(len(out))] = random.choice((*_INTERESTING, random.randrange(256)))


def _insert(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    at = random.randrange(len(out) + 1)
    out[at:at] = random.randbytes(random.choice((1, 2, 4, 16)))


def _remove(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    at = random.randrange(len(out) + 1)
    del out[at : at + random.choice((1, 2, 4, 16, 64))]


def _cut(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    del out[random.randrange(len(out) + 1) :]


def _repeat(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    start = random.randrange(len(out) + 1)
    piece = out[start : start + random.choice((1, 4, 20))]
    out[start:start] = piece * random.choice((1, 2, 10))


def _splice(out: bytearray, others: Sequence[bytes], random: Random) -> None:
    other = random.choice(others)
    at = random.randrange(len(out) + 1)
    out[at:] = other[random.randrange(len(other) + 1) :]


_BLIND = (_flip, _flip, _set, _set, _insert, _remove, _cut, _repeat, _splice)


# --- field by field --------------------------------------------------------------------------


def _field(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Set one byte of the header behind the fingerprint."""
    header = bytearray(parts.header)
    if len(header) > 12:
        at = random.randrange(12, len(header))
        header[at] = random.choice((*_INTERESTING, random.randrange(256)))
    return replace(parts, header=bytes(header))


def _size(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Set width, height or the number of samples."""
    header = parts.header
    try:
        _, first_end = _varint(header, 12)
        start, end = 12, first_end
        if header[5] == 1 and random.random() < 0.5:
            start, (_, end) = first_end, _varint(header, first_end)
    except IndexError:
        return parts
    number = random.choice((*_NUMBERS, *_NUMBERS, *_HUGE, random.randrange(1, 400)))
    return replace(parts, header=header[:start] + _spelt_varint(number) + header[end:])


def _quality(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Set the quality, which steers every prediction."""
    header = bytearray(parts.header)
    back = 4 if header[5:6] == b"\1" else 3 + len(_spelt_varint(len(parts.sections)))
    if len(header) > 12 + back:
        centi = random.choice((100, 10000, random.randrange(100, 10001), random.randrange(2**16)))
        start = len(header) - back
        header[start : start + 2] = centi.to_bytes(2, "little")
    return replace(parts, header=bytes(header))


def _payload(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Change one payload blindly."""
    sections = list(parts.sections)
    if sections:
        at = random.randrange(len(sections))
        number, payload = sections[at]
        pieces = [p for _, p in sections] or [b"\1"]
        changed = blind(payload, [*pieces, *_SPECIAL_PAYLOADS], random)
        sections[at] = number, changed
    return replace(parts, sections=tuple(sections))


def _random_payload(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Put junk, or one of the payloads that begin like something, into one section."""
    sections = list(parts.sections)
    if sections:
        at = random.randrange(len(sections))
        junk = random.randbytes(random.choice((1, 2, 3, 4, 8, 40, 200)))
        start = random.choice(_SPECIAL_PAYLOADS)
        sections[at] = sections[at][0], random.choice((junk, start, start + junk))
    return replace(parts, sections=tuple(sections))


def _foreign_section(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Take a section of another file in."""
    other = taken_apart(random.choice(others))
    sections = list(parts.sections)
    if other and other.sections:
        sections.insert(random.randrange(len(sections) + 1), random.choice(other.sections))
    return replace(parts, sections=tuple(sections))


def _order(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Drop, double, swap or renumber a section, or add one."""
    sections = list(parts.sections)
    at = random.randrange(len(sections) + 1)
    choice = random.randrange(5)
    if choice == 0 or not sections:
        sections.insert(at, (random.choice(_INTERESTING), random.randbytes(random.randrange(9))))
    else:
        at = min(at, len(sections) - 1)
        if choice == 1:
            del sections[at]
        elif choice == 2:
            sections.insert(at, sections[at])
        elif choice == 3:
            sections[at] = random.choice(_INTERESTING), sections[at][1]
        else:
            sections[at], sections[-1] = sections[-1], sections[at]
    return replace(parts, sections=tuple(sections))


def _many(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Repeat all sections many times, as the segments of a long voice are."""
    return replace(parts, sections=parts.sections * random.choice((2, 3, 20)))


def _behind(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    return replace(parts, rest=random.randbytes(random.choice((0, 1, 8))))


_STRUCTURED = (
    *(_payload, _payload, _payload, _random_payload, _random_payload),
    *(_field, _size, _quality, _foreign_section, _order, _many, _behind),
)


# --- layout ----------------------------------------------------------------------------------


def _header_end(data: bytes) -> int:
    """Return where the checksum of a header stands."""
    _, offset = _varint(data, 12)
    if data[5] == 1:
        _, offset = _varint(data, offset)
        return offset + 5
    spelt = data[offset] & 15 == 15
    offset += 1
    if spelt:
        _, offset = _varint(data, offset)
    return _varint(data, offset + 4)[1]


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while data[offset] & 128:
        value |= (data[offset] & 127) << shift
        offset, shift = offset + 1, shift + 7
    return value | data[offset] << shift, offset + 1


def _spelt_varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value % 128 | 128])
        value //= 128
    return out + bytes([value])
