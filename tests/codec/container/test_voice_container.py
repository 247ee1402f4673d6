"""Voice files: their header, the order of their sections, cut and altered files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luxvox.codec.container as box
from luxvox.codec.container import Section, VoiceHeader
from luxvox.codec.container.header import write_header
from luxvox.codec.container.header_fields import OTHER_RATE, RATES_HZ
from luxvox.codec.quality import Quality
from luxvox.errors import FormatError, InputError, LuxvoxError, UnsupportedError
from luxvox.timeline import coded_length, n_frames, n_segments

FORMAT_MD = Path(__file__).parents[3] / "FORMAT.md"
HEADER = VoiceHeader(
    model_number=1,
    fingerprint=bytes.fromhex("01020304"),
    n_samples=160_000,
    sample_rate_hz=16_000,
    stereo=False,
    gain=128,
    quality=Quality(5000),
    coder=1,
)
MONO = [Section(1, b"first"), Section(2, b"other stages")]
STEREO = [Section(n, bytes([n]) * n) for n in (1, 2, 3, 4)]
EXAMPLE = box.write(HEADER, MONO)
TAGS = 131


def test_known_answer() -> None:
    assert EXAMPLE[:21].hex(" ") == "89 4c 56 58 01 02 01 00 01 02 03 04 80 e2 09 03 80 88 13 01 02"
    assert len(EXAMPLE) == 25 + 4 + 5 + 4 + 12


@pytest.mark.parametrize(
    ("n_samples", "rate_hz", "coded", "frames", "segments"),
    [
        (1, 16_000, 1, 2, 1),
        (320, 16_000, 320, 2, 1),
        (321, 16_000, 321, 3, 1),
        (160_000, 16_000, 160_000, 501, 1),
        (749 * 320, 16_000, 749 * 320, 750, 1),
        (749 * 320 + 1, 16_000, 749 * 320 + 1, 751, 2),
        (44_101, 44_100, 16_001, 52, 1),
        (7, 96_000, 2, 2, 1),
    ],
)
def test_timeline(n_samples: int, rate_hz: int, coded: int, frames: int, segments: int) -> None:
    assert coded_length(n_samples, rate_hz) == coded
    assert n_frames(n_samples, rate_hz) == frames
    assert n_segments(n_samples, rate_hz) == segments


@settings(deadline=None)
@given(
    st.integers(1, 2**32 - 1),
    st.one_of(st.sampled_from(RATES_HZ), st.integers(8000, 96_000)),
    st.booleans(),
    st.integers(0, 255),
    st.integers(100, 10_000),
)
def test_headers_come_back(
    n_samples: int, rate_hz: int, stereo: bool, gain: int, hundredths: int
) -> None:
    header = replace(
        HEADER,
        n_samples=n_samples,
        sample_rate_hz=rate_hz,
        stereo=stereo,
        gain=gain,
        quality=Quality(hundredths),
    )
    data = write_header(header, 7)
    assert box.read_header(data) == (header, len(data))
    assert len(data) <= box.MAX_HEADER_SIZE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_samples": 0}, "n_samples 0"),
        ({"n_samples": 2**32}, "n_samples"),
        ({"sample_rate_hz": 7999}, "rate 7999 Hz, legal: 8000..96000"),
        ({"sample_rate_hz": 96_001}, "rate 96001"),
        ({"gain": 256}, "gain 256"),
        ({"quality": Quality(99)}, "quality in hundredths 99"),
    ],
)
def test_illegal_fields_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        box.write(replace(HEADER, **change), MONO)


def test_a_rate_has_one_spelling() -> None:
    spelt = bytearray(write_header(replace(HEADER, sample_rate_hz=16_001), 2)[:-4])
    assert spelt[15] == OTHER_RATE
    spelt[16:18] = bytes([0x80, 0x7D])  # 16000
    with pytest.raises(FormatError, match="spelt out"):
        box.read_header(_with_crc(bytes(spelt)))


@pytest.mark.parametrize("byte", [12, 13, 14])
def test_rates_without_a_number_are_refused(byte: int) -> None:
    front = bytearray(EXAMPLE[:21])
    front[15] = byte
    with pytest.raises(FormatError, match=f"rate number {byte}, legal: 0..11, or 15"):
        box.read_header(_with_crc(bytes(front)))


def test_reserved_bits_are_refused() -> None:
    front = bytearray(EXAMPLE[:21])
    front[15] |= 0x20
    with pytest.raises(UnsupportedError, match="reserved"):
        box.read_header(_with_crc(bytes(front)))


@pytest.mark.parametrize("stereo", [False, True])
def test_sections_come_back(stereo: bool) -> None:
    header = replace(HEADER, stereo=stereo, n_samples=300_000)  # two segments
    sections = (STEREO if stereo else MONO) * 2 + [Section(TAGS, b"{}")]
    content = box.read(box.write(header, sections))
    assert content.sections == tuple(sections)
    assert not content.truncated


@pytest.mark.parametrize(
    "types", [[1], [2, 1], [1, 2, 1, 2], [1, 2, 64], [1, 2, 131, 131], [1, 2, 132, 131], [1, 3]]
)
def test_other_orders_are_refused(types: list[int]) -> None:
    with pytest.raises(LuxvoxError, match="code sections|types"):
        box.write(HEADER, [Section(t, b"x") for t in types])


@pytest.mark.parametrize("n_sections", [131, 2**32 - 1])
def test_more_sections_than_a_voice_has_are_refused_at_once(n_sections: int) -> None:
    """A voice of one segment has 2 sections of codes, and 128 types of others."""
    data = write_header(HEADER, n_sections) + EXAMPLE[25:]
    with pytest.raises(FormatError, match=f"{n_sections} sections, legal: at most 130"):
        box.read(data)
    assert box.list_sections(data).damage is not None
    assert box.read(write_header(HEADER, 130) + EXAMPLE[25:]).truncated


def test_every_cut_gives_whole_sections_or_a_clear_error() -> None:
    header = replace(HEADER, n_samples=300_000)
    data = box.write(header, MONO * 2)
    for length in range(len(data)):
        try:
            content = box.read(data[:length])
        except LuxvoxError:
            continue
        assert content.truncated
        assert content.sections == tuple((MONO * 2)[: len(content.sections)])


def test_every_altered_byte_is_noticed() -> None:
    for offset in range(len(EXAMPLE)):
        for flip in (0x01, 0x80, 0xFF):
            altered = bytearray(EXAMPLE)
            altered[offset] ^= flip
            with pytest.raises(LuxvoxError):
                if box.read(bytes(altered)).truncated:
                    raise LuxvoxError("taken for a cut file, with a warning")


def _with_crc(front: bytes) -> bytes:
    import zlib

    return front + zlib.crc32(front).to_bytes(4, "little")


def test_the_worked_example_of_the_format() -> None:
    text = FORMAT_MD.read_text(encoding="utf-8")
    after = text[text.index("A voice of 10 seconds, 50 bytes") :]
    lines = [line[8:] for line in after.splitlines() if line.startswith("    ")][:4]
    assert bytes.fromhex("".join(lines)) == EXAMPLE
