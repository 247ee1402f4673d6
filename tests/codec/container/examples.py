"""A small picture file, part by part, and the functions that tests of the container share."""

from __future__ import annotations

import binascii
import zlib
from dataclasses import replace

import luxvox.codec.container as box
from luxvox.codec.container import Part, PictureHeader, Section
from luxvox.codec.container.wire import varint_bytes
from luxvox.codec.quality import Quality
from luxvox.errors import LuxvoxError

HEADER = PictureHeader(
    model_number=1,
    fingerprint=bytes.fromhex("5ec0de01"),
    width=300,
    height=200,
    colour=True,
    alpha=True,
    eye=True,
    profile=0,
    coder=1,
    quality=Quality(5000),
    band_rows=2,
)
PARTS = {Part(1, 0): b"\x01\x02\x03", Part(1, 1): b"\x04\x05", Part(2, 0): b"\xaa"}
SECTIONS = (Section(box.ALPHA, b"\x80"), Section(box.EXIF, b"Exif"))
EXAMPLE = bytes.fromhex(
    "894c5658 01 01 0100 5ec0de01 ac02 c801 23 01 8813 02 ebf7afc4"
    "03 02 01 00 00 00 00 00 00 00 00 00 904e"
    "6cda 010203"
    "2559 0405"
    "5cb6 aa"
    "40 01 8873 80"
    "81 04 3408 45786966"
)
BORDERS = (44, 48, 51, 56, 64)  # where parts and sections of the example end
PLAIN = replace(HEADER, alpha=False)


def spell(kind_fields: bytes, *, kind: int = 1) -> bytes:
    """Write a header with a sound checksum, whatever its fields are."""
    head = box.MAGIC + bytes([1, kind]) + bytes(6) + kind_fields
    return head + zlib.crc32(head).to_bytes(4, "little")


def table(*lengths: int) -> bytes:
    """Write a table of parts with a sound checksum."""
    spelt = b"".join(map(varint_bytes, lengths))
    return spelt + binascii.crc_hqx(spelt, 0xFFFF).to_bytes(2, "little")


def section_bytes(section_type: int, payload: bytes) -> bytes:
    """Write a section with a sound checksum, whatever its type."""
    front = bytes([section_type]) + varint_bytes(len(payload))
    crc = binascii.crc_hqx(front + payload, 0xFFFF)
    return front + crc.to_bytes(2, "little") + payload


def with_sections(*sections: tuple[int, bytes], alpha: bool = False) -> bytes:
    """Write a file of one cell without codes, whose sections need not be legal."""
    n_others = len(sections) - alpha
    flags = [32 + 2 * alpha, n_others] if n_others else [2 * alpha]
    fields = bytes([1, 1, *flags]) + (100).to_bytes(2, "little") + b"\1"
    return (
        spell(fields) + table(*6 * [0]) + b"".join(section_bytes(*section) for section in sections)
    )


def assert_refused_or_cut(data: bytes, original: bytes) -> None:
    """Check that a damaged file gives a luxvox error, or the true beginning of what was written."""
    whole = box.read(original)
    try:
        container = box.read(data)
    except LuxvoxError:
        return
    assert container.truncated
    assert container.header == whole.header
    assert container.sections == whole.sections[: len(container.sections)]
    first = sorted(whole.parts)[: len(container.parts)]
    assert container.parts == {part: whole.parts[part] for part in first}
