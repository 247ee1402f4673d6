"""Which single altered byte explains a CRC-16 that does not match.

A CRC is linear: an altered byte changes it by a value, the syndrome, that depends on the change and
on how many bytes follow, but on no byte of the message. Undoing one following byte after the other
leaves the syndrome of a change in the last byte, which names the change.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from typing import Final

from luxvox.codec.container.wire import CRC_SIZE, crc16

_OF_CHANGE: Final = [binascii.crc_hqx(bytes([change]), 0) for change in range(256)]
_CHANGE_OF: Final = {syndrome: change for change, syndrome in enumerate(_OF_CHANGE)}
_TOP_OF_LOW: Final = {syndrome & 0xFF: top for top, syndrome in enumerate(_OF_CHANGE)}


def single_changes(message: bytes, crc: bytes) -> Iterator[bytes]:
    """Yield every message with a CRC-16 that matches, in a row, one byte away from the given ones.

    Messages keep their length. There are none if message and CRC match as they are.
    """
    computed = crc16(message)
    difference = bytes(a ^ b for a, b in zip(computed, crc, strict=True))
    if sum(byte != 0 for byte in difference) == 1:
        yield message + computed

    # CRCs are stored in little-endian order. A syndrome of zero is no change.
    syndrome = int.from_bytes(difference, "little")
    for offset in reversed(range(len(message) if syndrome else 0)):
        change = _CHANGE_OF.get(syndrome)
        if change is not None:
            sound = bytes([message[offset] ^ change])
            yield message[:offset] + sound + message[offset + 1 :] + crc
        syndrome = _without_a_zero_byte(syndrome)


def _without_a_zero_byte(crc: int) -> int:
    """Return the CRC, of CRC_SIZE bytes, that a zero byte turns into this one."""
    top = _TOP_OF_LOW[crc & 0xFF]
    low = (crc ^ _OF_CHANGE[top]) >> 8 * (CRC_SIZE - 1)
    return top << 8 | low
