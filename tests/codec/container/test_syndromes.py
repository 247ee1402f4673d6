"""Altered bytes are found from the checksum that they break."""

from hypothesis import given
from hypothesis import strategies as st

from luxvox.codec.container.syndromes import single_changes
from luxvox.codec.container.wire import CRC_SIZE, crc16


@given(st.binary(min_size=1, max_size=300), st.data())
def test_an_altered_byte_is_found(message, data):
    """It may be in the message or in its CRC; every candidate has a CRC that matches."""
    sound = message + crc16(message)
    altered = bytearray(sound)
    altered[data.draw(st.integers(0, len(sound) - 1))] ^= data.draw(st.integers(1, 255))
    candidates = list(single_changes(bytes(altered[:-CRC_SIZE]), bytes(altered[-CRC_SIZE:])))
    assert sound in candidates
    for candidate in candidates:
        assert candidate[-CRC_SIZE:] == crc16(candidate[:-CRC_SIZE])
        assert sum(a != b for a, b in zip(candidate, altered, strict=True)) == 1


@given(st.binary(max_size=50))
def test_a_sound_message_needs_no_change(message):
    assert list(single_changes(message, crc16(message))) == []
