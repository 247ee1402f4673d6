"""What salvaging a damaged file must not do."""

from __future__ import annotations

import binascii

import pytest

import luxvox.codec.container as box
from luxvox.errors import FormatError
from luxvox.tests.codec.container.examples import EXAMPLE

SECTIONS, PAYLOAD = 51, 42  # where the sections begin, and a byte of the first part


@pytest.mark.parametrize("types", [(2, 129), (129, 64), (64, 64)])
def test_salvage_refuses_what_no_altered_byte_explains(types: tuple[int, int]) -> None:
    """Sections out of order are malformed, whether or not a part before them is altered."""
    data = bytearray(EXAMPLE[:SECTIONS])
    for number in types:
        front = bytes([number, 1])
        data += front + binascii.crc_hqx(front + b"x", 0xFFFF).to_bytes(2, "little") + b"x"
    for altered in (None, PAYLOAD):
        if altered:
            data[altered] ^= 1
        with pytest.raises(FormatError, match="types"):
            box.salvage(bytes(data))
