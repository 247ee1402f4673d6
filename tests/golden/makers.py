"""Parts of files with one error, written byte by byte."""

from __future__ import annotations

import binascii
import io
import zlib
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luxvox.codec import container
from luxvox.codec.container import Part, Section
from luxvox.codec.container.bands import Bands
from luxvox.codec.container.packed import pack
from luxvox.codec.container.parts import list_parts
from luxvox.codec.container.wire import varint_bytes
from luxvox.entropy import coders
from luxvox.entropy.picture import symbols
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.visitors import Source
from luxvox.models.cards import find_card, use_weights
from luxvox.tests.golden.changes import Make
from luxvox.tests.golden.files import coded_picture
from luxvox.tests.golden.tiny_weights import TINY


def raw(data: bytes) -> Make:
    """Give these bytes."""
    return lambda: data


def seal(front: bytes, rest: bytes = b"") -> bytes:
    """Add the right checksum to a header, and then the rest."""
    return front + zlib.crc32(front).to_bytes(4, "little") + rest


def print_of(kind: str) -> bytes:
    """Return the fingerprint of the tiny weights."""
    with use_weights(TINY):
        return bytes.fromhex(find_card(kind).fingerprint)


def picture_header(
    *,
    width: bytes = b"\x20",
    height: bytes = b"\x20",
    flags: bytes = b"\1",
    quality: int = 5000,
    bands: bytes = b"\1",
    model: int = 0,
    fingerprint: bytes | None = None,
    rest: bytes | None = None,
) -> Make:
    """Write a picture's header, legal or not, with the right checksum and no codes after it."""

    def make() -> bytes:
        front = b"\x89LVX\1\1" + model.to_bytes(2, "little")
        front += print_of("picture") if fingerprint is None else fingerprint
        front += width + height + flags + quality.to_bytes(2, "little") + bands
        return seal(front, table() if rest is None else rest)

    return make


def table(*lengths: int) -> bytes:
    """Write a table of six or more parts with the right checksum; missing lengths are 0."""
    entries = b"".join(map(varint_bytes, lengths)) + bytes(6 - len(lengths))
    return entries + binascii.crc_hqx(entries, 0xFFFF).to_bytes(2, "little")


def part(number: int, payload: bytes) -> bytes:
    """Write a part of the first band with the right checksum."""
    crc = binascii.crc_hqx(bytes([number, 0]) + payload, 0xFFFF)
    return crc.to_bytes(2, "little") + payload


def voice_header(
    samples: bytes = b"\x64", rate: bytes = b"\x03", quality: int = 5000, n_sections: int = 2
) -> Make:
    """Write a voice's header, legal or not, with the right checksum, and two empty sections."""

    def make() -> bytes:
        front = b"\x89LVX\1\2\0\0" + print_of("voice") + samples + rate + b"\x80"
        front += quality.to_bytes(2, "little") + b"\1" + varint_bytes(n_sections)
        return seal(front, section(1, b"") + section(2, b""))

    return make


def section(number: int, payload: bytes) -> bytes:
    """Write a section with the right checksum."""
    front = bytes([number]) + varint_bytes(len(payload))
    return front + binascii.crc_hqx(front + payload, 0xFFFF).to_bytes(2, "little") + payload


def with_types(make: Make, *sections: tuple[int, bytes], alpha: bool = False) -> Make:
    """Add sections, legal or not, after the codes of a picture."""

    def make_changed() -> bytes:
        content = container.read(make())
        flags = 1 + 2 * alpha + 32 * (len(sections) > alpha)
        counts = [flags, len(sections) - alpha][: 1 + (len(sections) > alpha)]
        data = container.write(content.header, [], content.parts)
        codes = data[container.read_header(data)[1] :]
        added = b"".join(section(*fields) for fields in sections)
        return picture_header(flags=bytes(counts), rest=codes + added)()

    return make_changed


def with_voice_sections(make: Make, *sections: tuple[int, bytes]) -> Make:
    """Add sections, legal or not, after the header of a voice."""

    def make_changed() -> bytes:
        data = make()
        header = bytearray(data[: container.read_header(data)[1] - 4])
        header[-1] = len(sections)
        return seal(bytes(header), b"".join(section(*fields) for fields in sections))

    return make_changed


def recode(make: Make, number: int, change: Callable[[bytes], bytes]) -> Make:
    """Change the payload of the code section with this number, and its checksum."""

    def make_changed() -> bytes:
        content = container.read(make())
        if isinstance(content.header, container.PictureHeader):
            parts = dict(content.parts)
            parts[Part(number, 0)] = change(parts[Part(number, 0)])
            return container.write(content.header, content.sections, parts)
        sections = list(content.sections)
        old = sections[number - 1]
        sections[number - 1] = Section(old.type, change(old.payload))
        return container.write(content.header, sections)

    return make_changed


def escaping(n_bits: int) -> Make:
    """Write escapes of n bits, all zero, instead of the escapes of the largest codes."""

    def push(coder: coders.Encoder, _: int) -> None:
        parts = [(n_bits, 5)] + [(0, min(8, n_bits - start)) for start in range(0, n_bits, 8)]
        for value, width in parts:
            counts = np.full((1, 1 << width), 1 << 16 - width, np.int64)
            coder.push_tables(np.array([value]), np.zeros(1, np.int64), counts)

    def make() -> bytes:
        with mock.patch.object(symbols, "_push_escape", push):
            return coded_picture((32, 32), 5000, lambda _: first_code_is(CODE_MAX))()

    return make


def first_code_is(value: int) -> Source:
    """Return a source of rounded means, except for the first code."""

    def source(prediction: Prediction) -> NDArray[np.int32]:
        codes = (prediction.mean + 4) >> 3
        rows, columns = np.nonzero(~prediction.coding.silent)
        if prediction.section == 1 and len(rows):
            codes[rows[0], columns[0]] = value
        return codes

    return source


def alter(make: Make, offset: int) -> Make:
    """Flip a bit."""

    def make_changed() -> bytes:
        data = bytearray(make())
        data[offset] ^= 1
        return bytes(data)

    return make_changed


def longer(n: int) -> bytes:
    """Pack text that is n bytes longer than its stated size."""
    packed = pack(b"some text" * 9)
    return varint_bytes(81 - n) + packed[1:]


def swap_bands(make: Make) -> Make:
    """Swap section 1 of two bands, with its checksums."""

    def make_changed() -> bytes:
        data = make()
        entries = list_parts(data, container.read_header(data)[1], Bands(70, 32, 1, False)).entries
        first, second = entries[:2]
        assert first.size == second.size
        middle, end = second.offset, second.offset + second.size
        return data[: first.offset] + data[middle:end] + data[first.offset : middle] + data[end:]

    return make_changed


def save(pixels: Any, format: str, **options: Any) -> bytes:
    """Return pixels as a file of a common format."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()
