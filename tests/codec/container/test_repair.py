"""Headers and tables with one altered byte are repaired."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luxvox
from luxvox.codec import container
from luxvox.codec.container import PictureHeader, VoiceHeader, repair
from luxvox.codec.container.bands import bands_of
from luxvox.codec.container.header import parse_header
from luxvox.codec.container.parts import list_parts as parse_parts
from luxvox.codec.container.repair import repair_front
from luxvox.codec.quality import Quality
from luxvox.tests.golden.files import waves

HEADER = PictureHeader(1, b"\1\2\3\4", 700, 900, True, False, True, 0, 1, Quality(5000), 3)
PARTS = {part: bytes([n] * (30 * n + 1)) for n, part in enumerate(bands_of(HEADER).parts())}
FILE = container.write(HEADER, [], PARTS)
FRONT = container.list_sections(FILE).entries[0].offset


@settings(max_examples=60, deadline=None)
@given(st.integers(0, FRONT - 1), st.integers(1, 255))
def test_any_byte_before_the_parts(offset, change):
    altered = bytearray(FILE)
    altered[offset] ^= change
    assert repair_front(bytes(altered)) == FILE


def test_sound_and_hopeless_files_are_unchanged():
    assert repair_front(FILE) == FILE
    for hopeless in (b"", b"junk", FILE[:20], bytes(99), FILE[:30] + bytes(20) + FILE[50:]):
        assert repair_front(hopeless) == hopeless


def test_a_table_short_of_several_numbers_is_not_searched(monkeypatch):
    monkeypatch.setattr(repair, "single_changes", lambda *_: pytest.fail("a search"))
    cut = FILE[: FRONT - 12]
    assert repair_front(cut) == cut


def test_a_long_table_is_parsed_a_few_times(monkeypatch):
    """For 125 bands, trying each value of each byte of the table took 20 seconds."""
    header = replace(HEADER, width=32, height=8000, band_rows=1)
    parts = {part: bytes(n % 300) for n, part in enumerate(bands_of(header).parts())}
    data = container.write(header, [], parts)
    start, end = parse_header(data)[2], container.list_sections(data).entries[0].offset
    tries = []

    def list_parts(*arguments):
        tries.append(arguments)
        return parse_parts(*arguments)

    monkeypatch.setattr(repair, "list_parts", list_parts)
    for offset in (start, (start + end) // 2, end - 3, end - 1):
        altered = bytearray(data)
        altered[offset] ^= 0x81
        assert repair_front(bytes(altered)) == data
    assert end - start > 800 and len(tries) < 100


def test_a_voice():
    header = VoiceHeader(1, bytes(4), 4000, 16_000, False, 128, Quality(5000), 1)
    data = container.write(header, [container.Section(1, b"x"), container.Section(2, b"y")])
    altered = bytearray(data)
    altered[14] ^= 0x40
    assert repair_front(bytes(altered)) == data


@pytest.mark.parametrize("offset", [13, 25])
def test_concealing_repairs(offset):
    data = luxvox.compress_image(waves(140, 90), 40)
    altered = bytearray(data)
    altered[offset] ^= 0x15
    with pytest.raises(luxvox.LuxvoxError):
        luxvox.decompress_image(bytes(altered))
    with pytest.warns(luxvox.DamageWarning, match="and is put right"):
        decoded = luxvox.decompress_image(bytes(altered), conceal=True)
    assert (decoded == luxvox.decompress_image(data)).all()
