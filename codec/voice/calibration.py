"""The gain of a file, set so that the voice comes back as loud as it was.

The networks draw some voices up to 2 dB too loud. The gain in the header, by which a decoder
divides, undoes that in steps of half a decibel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from luxvox.codec import container
from luxvox.codec.container import VoiceHeader
from luxvox.codec.voice.decoding import OpenedVoice, channel_blocks, codes_of_segment
from luxvox.codec.voice.loudness import Level, gain_between
from luxvox.codec.workers import side_by_side
from luxvox.timeline import FRAME_SAMPLES, SEGMENT_FRAMES

if TYPE_CHECKING:
    from luxvox.models.voice.weights import VoiceCodec

_MAX_SEGMENTS: Final = 2  # half a minute shows how loud the whole is drawn
_MAX_STEPS: Final = 12  # 6 dB: anything that differs by more is a different sound


def with_level_of(codec: VoiceCodec, data: bytes, level: Level) -> bytes:
    """Return the file with the gain that makes it decode to the level of its recording."""
    content = container.read(data)
    header = content.header
    if not isinstance(header, VoiceHeader):
        return data
    voice = OpenedVoice(header, content, codec)
    n_segments = voice.n_whole_segments
    n_chosen = min(n_segments, _MAX_SEGMENTS)
    chosen = [(2 * n + 1) * n_segments // (2 * n_chosen) for n in range(n_chosen)]  # spread evenly
    cells = [(segment, channel) for segment in chosen for channel in range(header.channels)]
    drawn = sum(side_by_side(lambda cell: _drawn_energy(voice, *cell), cells, len(cells)))
    recorded = 0.0
    for segment in chosen:
        frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES - 1)
        recorded += float(level.powers[frames].sum()) * FRAME_SAMPLES
    if not drawn or not recorded:
        return data

    low, high = max(header.gain - _MAX_STEPS, 0), min(header.gain + _MAX_STEPS, 255)
    gain = min(max(gain_between(drawn, recorded), low), high)
    return container.write(replace(header, gain=gain), content.sections)


def _drawn_energy(voice: OpenedVoice, segment: int, channel: int) -> float:
    """Return the energy of a decoded segment of a channel, before the gain."""
    codes = codes_of_segment(voice, segment, channel)
    n_samples = (codes.shape[1] - 1) * FRAME_SAMPLES
    if not n_samples:
        return 0.0
    blocks = channel_blocks(voice.codec, [codes], n_samples, voice.header.quality)
    return sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
