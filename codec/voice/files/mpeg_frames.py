"""The frames of an MP3 or MP2 file, found one by one, since its headers only estimate its length.

A file may begin and end with tags, which are left out. Each frame states its own length, so walking
from one to the next finds all of them. Source: ISO/IEC 11172-3 and 13818-3, clause 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from luxvox.errors import InputError

_HEADER_BYTES: Final = 4
# kbit/s by the index of the header: MPEG-1 layer II, MPEG-1 layer III, MPEG-2 and 2.5.
_RATES_KBPS: Final = {
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES_HZ: Final = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000)}
_LAYERS: Final = {1: 3, 2: 2}
_MONO: Final = 3
_CERTAIN_RUN: Final = 4  # frames in a row that cannot be an accident


class Kind(NamedTuple):
    """The properties that all frames of a recording share."""

    version: int
    layer: int
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class MpegAudio:
    """The frames of a file.

    Attributes:
        kind: of all frames.
        spans: ranges of bytes with frames; adjacent frames are joined.
        n_frames: number of frames, without those that only describe the others.
        n_described: number of frames by the header in the first one; None without such a header.
        n_skipped: bytes between frames.
    """

    kind: Kind
    spans: tuple[range, ...]
    n_frames: int
    n_described: int | None
    n_skipped: int

    def samples_in(self, n_frames: int) -> int:
        """Return how many samples per channel are in n frames."""
        is_short = self.kind.layer == 3 and self.kind.version != 1
        return n_frames * (576 if is_short else 1152)


def find_frames(data: bytes) -> MpegAudio | None:
    """Find the frames of a file.

    Returns:
        The frames; None if no two are in a row, or if their bit rate is free.

    Raises:
        InputError: frames of different sample rates or channels are joined.
    """
    position = first = _first_frame(data, _end_of_tags(data))
    if first is None or position is None:
        return None
    kind, _ = _frame_at(data, first) or (None, 0)
    assert kind is not None
    n_described = _read_frame_count(data, first, kind)
    spans: list[range] = []
    n_frames = n_skipped = 0
    while True:
        found = _frame_at(data, position)
        if found is None or found[0] != kind or position + found[1] > len(data):
            following = _first_frame(data, position + 1)
            if following is None:
                break
            _check_kind(data, following, kind)
            n_skipped += following - position
            position = following
            continue
        end = position + found[1]
        # A frame that counts the others holds silence, and is kept only at the start.
        if _read_frame_count(data, position, kind) is None:
            n_frames += 1
            _append(spans, range(position, end))
        elif position == first:
            _append(spans, range(position, end))
        position = end
    return MpegAudio(kind, tuple(spans), n_frames, n_described, n_skipped)


def without_description(audio: MpegAudio, data: bytes) -> tuple[range, ...]:
    """Return the spans of the frames without the one in front that describes them."""
    if audio.n_described is None:
        return audio.spans
    start = audio.spans[0].start
    _, size = _frame_at(data, start) or (None, 0)
    return (range(start + size, audio.spans[0].stop), *audio.spans[1:])


def _append(spans: list[range], span: range) -> None:
    if spans and spans[-1].stop == span.start:
        spans[-1] = range(spans[-1].start, span.stop)
    else:
        spans.append(span)


def _check_kind(data: bytes, position: int, kind: Kind) -> None:
    """Refuse a run of frames of another kind, which the library would not decode with the rest."""
    found_kind, size = _frame_at(data, position) or (kind, 0)
    if found_kind[2:] == kind[2:]:
        return
    for _ in range(_CERTAIN_RUN):
        found = _frame_at(data, position)
        if found is None or found[0] != found_kind:
            return  # other bytes that look like frames
        position += found[1]
    raise InputError(
        f"parts of {kind.sample_rate_hz} Hz, {kind.channels} channel(s) and of "
        f"{found_kind.sample_rate_hz} Hz, {found_kind.channels} channel(s) are joined in it"
    )


def _frame_at(data: bytes, position: int) -> tuple[Kind, int] | None:
    """Read the header of a frame: its kind, and its length in bytes."""
    if position + _HEADER_BYTES > len(data):
        return None
    sync, second, third, fourth = data[position : position + _HEADER_BYTES]
    code, layer = (second >> 3) & 3, _LAYERS.get((second >> 1) & 3)
    if sync != 0xFF or second < 0xE0 or code == 1 or layer is None:
        return None
    rate_index, frequency = third >> 4, (third >> 2) & 3
    if not 0 < rate_index < 15 or frequency == 3:
        return None
    version = 1 if code == 3 else 2
    # MPEG-2.5 has half the sample rates of MPEG-2.
    sample_rate_hz = _SAMPLE_RATES_HZ[max(code, 2)][frequency] // (1 if code else 2)
    bits_per_second = 1000 * _RATES_KBPS[version, layer][rate_index - 1]
    slots = 72 if layer == 3 and version == 2 else 144
    size = slots * bits_per_second // sample_rate_hz + ((third >> 1) & 1)
    channels = 1 if fourth >> 6 == _MONO else 2
    return Kind(version, layer, sample_rate_hz, channels), size


def _first_frame(data: bytes, position: int) -> int | None:
    """Find a frame, from a position on, that precedes another of its kind or the file's end."""
    while (position := data.find(b"\xff", position)) >= 0:
        found = _frame_at(data, position)
        if found is not None:
            end = position + found[1]
            following = _frame_at(data, end)
            if end == len(data) or (following is not None and following[0] == found[0]):
                return position
        position += 1
    return None


def _end_of_tags(data: bytes) -> int:
    position = 0
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        size = 0
        for byte in data[position + 6 : position + 10]:
            size = size << 7 | byte & 0x7F
        has_footer = data[position + 5] & 0x10
        position += 10 + size + (10 if has_footer else 0)
    return position


def _read_frame_count(data: bytes, position: int, kind: Kind) -> int | None:
    """Return the number of frames in a Xing, Info or VBRI header; None without such a header."""
    if kind.layer != 3:
        return None
    if data[position + 36 : position + 40] == b"VBRI":
        return int.from_bytes(data[position + 50 : position + 54], "big")
    side = {(1, 1): 17, (1, 2): 32, (2, 1): 9, (2, 2): 17}[kind.version, kind.channels]
    start = position + _HEADER_BYTES + side
    if data[start : start + 4] not in (b"Xing", b"Info"):
        return None
    has_count = data[start + 7 : start + 8] != b"" and data[start + 7] & 1
    return int.from_bytes(data[start + 8 : start + 12], "big") if has_count else 0
