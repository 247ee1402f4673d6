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
    """A file taken apart: header without checksum, sections, and what follows them.

    `codes` are the payloads of a picture's parts in the order of the file, b"" for null ones.
    """

    header: bytes
    sections: tuple[tuple[int, bytes], ...]
    rest: bytes = b""
    codes: tuple[bytes, ...] = ()


def change_bytes(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change bytes of a file without regard to what they mean."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        random.choice(_BLIND)(out, others, random)
    return bytes(out)


def change_fields(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change fields, sections and payloads of a file, and put checksums right (mostly)."""
    parts = take_apart(data)
    if parts is None:
        return change_bytes(data, others, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        parts = random.choice(_STRUCTURED)(parts, others, random)
    spelt = put_together(parts)
    return spelt[: random.randrange(len(spelt) + 1)] if random.random() < 0.1 else spelt


def damage(data: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change bytes after the header of a file, and leave its checksums as they were."""
    parts = take_apart(data)
    if parts is None:
        return change_bytes(data, others, random)
    front = len(parts.header) + 4
    body = bytearray(data[front:])
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        random.choice((*4 * (_flip,), *4 * (_set,), _insert, _remove))(body, others, random)
    return data[:front] + body


def take_apart(data: bytes) -> Parts | None:
    """Split a file into its parts; None if it cannot be followed."""
    try:
        end = _header_end(data)
        offset, sections, codes = end + 4, [], []
        lengths = []
        for _ in range(_n_parts(data[:end])):
            length, offset = _varint(data, offset)
            lengths.append(length)
        offset += 2 if lengths else 0
        for length in lengths:
            start = offset + 2 if length else offset
            codes.append(data[start : start + length])
            offset = start + length
        while offset < len(data):
            length, front_end = _varint(data, offset + 1)
            start = front_end + 2
            if start + length > len(data):
                break
            sections.append((data[offset], data[start : start + length]))
            offset = start + length
    except IndexError:
        return None
    return Parts(data[:end], tuple(sections), data[offset:], tuple(codes))


def put_together(parts: Parts) -> bytes:
    """Spell a file from its parts, with right checksums; numbers of sections and parts fit."""
    header = parts.header
    spelt_codes = b""
    if header[5:6] == b"\1":
        header = _with_count(header, len(parts.sections))
        spelt_codes = _spell_codes(parts.codes, _n_parts(header))
    data = header + zlib.crc32(header).to_bytes(4, "little") + spelt_codes
    for number, payload in parts.sections:
        front = bytes([number]) + _spell_varint(len(payload))
        data += front + _crc(front + payload) + payload
    return data + parts.rest


def _spell_codes(codes: Sequence[bytes], n_parts: int) -> bytes:
    """Spell the table and the parts of a picture; those that are not given are null."""
    fitted = [*codes, *[b""] * n_parts][:n_parts]
    table = b"".join(_spell_varint(len(payload)) for payload in fitted)
    n_bands = max(n_parts // 6, 1)
    data = table + _crc(table)
    for n, payload in enumerate(fitted):
        name = bytes([n // n_bands + 1]) + _spell_varint(n % n_bands)
        data += _crc(name + payload) + payload if payload else b""
    return data


def _crc(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "little")


def _with_count(header: bytes, n_sections: int) -> bytes:
    """Let a picture's header announce n sections, alpha among them if its flag is set."""
    try:
        flags_at = _varint(header, _varint(header, 12)[1])[1]
        flags = header[flags_at]
    except IndexError:
        return header
    n_others = min(max(n_sections - (flags >> 1 & 1), 0), 255)
    rest = header[flags_at + 1 + (flags >> 5 & 1) :]
    counted = bytes([flags | 32, n_others]) if n_others else bytes([flags & ~32])
    return header[:flags_at] + counted + rest


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
    """Set one byte of the header after the fingerprint."""
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
    return replace(parts, header=header[:start] + _spell_varint(number) + header[end:])


def _quality(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Set the quality, which steers every prediction."""
    header = bytearray(parts.header)
    back = 3 if header[5:6] == b"\1" else 3 + len(_spell_varint(len(parts.sections)))
    if len(header) > 12 + back:
        hundredths = random.choice(
            (100, 10000, random.randrange(100, 10001), random.randrange(2**16))
        )
        start = len(header) - back
        header[start : start + 2] = hundredths.to_bytes(2, "little")
    return replace(parts, header=bytes(header))


def _payload(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Change one payload blindly, of a section or of a part."""
    payloads = [payload for _, payload in parts.sections] + list(parts.codes)
    at = random.randrange(len(payloads)) if payloads else 0
    if payloads:
        payloads[at] = change_bytes(payloads[at], [*payloads, *_SPECIAL_PAYLOADS], random)
    return _with_payloads(parts, payloads)


def _random_payload(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Put junk, or one of the payloads that begin like something, into a section or part."""
    payloads = [payload for _, payload in parts.sections] + list(parts.codes)
    at = random.randrange(len(payloads)) if payloads else 0
    if payloads:
        junk = random.randbytes(random.choice((1, 2, 3, 4, 8, 40, 200)))
        start = random.choice(_SPECIAL_PAYLOADS)
        payloads[at] = random.choice((junk, start, start + junk))
    return _with_payloads(parts, payloads)


def _with_payloads(parts: Parts, payloads: Sequence[bytes]) -> Parts:
    n = len(parts.sections)
    numbers = [number for number, _ in parts.sections]
    sections = tuple(zip(numbers, payloads[:n], strict=True))
    return replace(parts, sections=sections, codes=tuple(payloads[n:]))


def _codes(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Empty, double or swap parts, or take another picture's."""
    codes = list(parts.codes)
    if not codes:
        return parts
    at, other = random.randrange(len(codes)), random.randrange(len(codes))
    choice = random.randrange(4)
    if choice == 0:
        codes[at] = b""
    elif choice == 1:
        codes[at], codes[other] = codes[other], codes[at]
    elif choice == 2:
        codes.insert(at, codes[other])
    else:
        foreign = take_apart(random.choice(others))
        codes[at] = random.choice(foreign.codes) if foreign and foreign.codes else b"\0"
    return replace(parts, codes=tuple(codes))


def _bands(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Set the rows of cells in a band, the last byte of a picture's header."""
    if parts.header[5:6] != b"\1" or len(parts.header) < 18:
        return parts
    number = random.choice((0, 1, 1, 2, 3, 4, 255, 2**14, 2**32 - 1))
    return replace(parts, header=parts.header[:-1] + _spell_varint(number))


def _foreign_section(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    """Take a section of another file in."""
    other = take_apart(random.choice(others))
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


def _trailing(parts: Parts, others: Sequence[bytes], random: Random) -> Parts:
    return replace(parts, rest=random.randbytes(random.choice((0, 1, 8))))


_STRUCTURED = (
    *(_payload, _payload, _payload, _random_payload, _random_payload),
    *(_field, _size, _quality, _foreign_section, _order, _many, _trailing, _codes, _codes, _bands),
)


# --- layout ----------------------------------------------------------------------------------


def _header_end(data: bytes) -> int:
    """Return where the checksum of a header stands."""
    _, offset = _varint(data, 12)
    if data[5] == 1:
        _, offset = _varint(data, offset)
        offset += 2 if data[offset] & 32 else 1
        return _varint(data, offset + 2)[1]
    is_spelt_out = data[offset] & 15 == 15
    offset += 1
    if is_spelt_out:
        _, offset = _varint(data, offset)
    return _varint(data, offset + 4)[1]


def _n_parts(header: bytes) -> int:
    """Return how many parts the codes of a picture have; none if they cannot be counted."""
    if header[5:6] != b"\1":
        return 0
    try:
        height, offset = _varint(header, _varint(header, 12)[1])
        offset += 2 if header[offset] & 32 else 1
        band_rows, _ = _varint(header, offset + 2)
    except IndexError:
        return 0
    n_bands = -(-height // (64 * band_rows)) if band_rows else 1
    return (6 if band_rows else 1) * min(n_bands, 1024)


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while data[offset] & 128:
        value |= (data[offset] & 127) << shift
        offset, shift = offset + 1, shift + 7
    return value | data[offset] << shift, offset + 1


def _spell_varint(value: int) -> bytes:
    out = b""
    while value >= 128:
        out += bytes([value % 128 | 128])
        value //= 128
    return out + bytes([value])
