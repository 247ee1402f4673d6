"""The gain of a file, such that the voice comes back as loud as it was.

The networks draw some voices up to 2 dB too loud. The gain of the header, by which a decoder
divides, takes that back, in steps of half a decibel.
"""

from __future__ import annotations

from collections.abc import Container as Some
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from luxvox.codec import container
from luxvox.codec.container import Container, Section, VoiceHeader
from luxvox.codec.voice.decoding import channel_blocks, segment_codes
from luxvox.codec.voice.loudness import Level, gain_between
from luxvox.timeline import FRAME_SAMPLES, PARTS, SEGMENT_FRAMES, whole_segments

if TYPE_CHECKING:
    from luxvox.models.voice.weights import VoiceCodec

_MAX_SEGMENTS: Final = 4  # a minute, spread over the recording, says how loud all of it is
_MAX_STEPS: Final = 12  # 6 dB: what differs by more is another sound


def with_level_of(codec: VoiceCodec, data: bytes, level: Level) -> bytes:
    """Return a file with the gain by which it decodes to the level of its recording."""
    content = container.read(data)
    header = content.header
    if not isinstance(header, VoiceHeader):
        return data
    n_segments = whole_segments(len(content.codes), header.channels)
    chosen = {round(n) for n in np.linspace(0, n_segments - 1, min(n_segments, _MAX_SEGMENTS))}
    some = _with_codes_of(content, header, chosen)

    drawn = recorded = 0.0
    for channel in range(header.channels):
        for segment, codes in enumerate(segment_codes(codec, some, header, channel, None)):
            n_samples = (codes.shape[1] - 1) * FRAME_SAMPLES
            if segment in chosen and n_samples:
                blocks = channel_blocks(codec, [codes], n_samples)
                drawn += sum(float(np.square(one, dtype=np.float64).sum()) for one in blocks)
    for segment in chosen:
        frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES - 1)
        recorded += float(level.powers[frames].sum()) * FRAME_SAMPLES
    if not drawn or not recorded:
        return data

    low, high = max(header.gain - _MAX_STEPS, 0), min(header.gain + _MAX_STEPS, 255)
    gain = min(max(gain_between(drawn, recorded), low), high)
    return container.write(replace(header, gain=gain), content.sections)


def _with_codes_of(content: Container, header: VoiceHeader, segments: Some[int]) -> Container:
    """Empty the code sections of all other segments, which are quickly decoded then."""
    period = PARTS * header.channels
    sections = tuple(
        one if n // period in segments else Section(one.type, b"")
        for n, one in enumerate(content.sections)
    )
    return replace(content, sections=sections)
