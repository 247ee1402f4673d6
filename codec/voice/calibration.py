"""The gain of a file, set so that the voice comes back as loud as it was.

Decoded voices can be up to 2 dB too loud. The gain in the header, by which a decoder divides,
corrects that in steps of half a decibel.
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

_MAX_SEGMENTS: Final = 2  # half a minute is enough to measure the level
_MAX_STEPS: Final = 12  # 6 dB: anything that differs by more is a different sound
_LOUD_SHARE: Final = 0.25  # of the energy of the loudest segment; pauses would mislead


def with_level_of(codec: VoiceCodec, data: bytes, level: Level) -> bytes:
    """Return the file with the gain that makes it decode to the level of its recording."""
    content = container.read(data)
    header = content.header
    if not isinstance(header, VoiceHeader):
        return data
    voice = OpenedVoice(header, content, codec)
    energies = [_recorded_energy(level, segment) for segment in range(voice.n_whole_segments)]
    floor = _LOUD_SHARE * max(energies)
    loud = [segment for segment, energy in enumerate(energies) if energy >= floor]
    n_chosen = min(len(loud), _MAX_SEGMENTS)
    # The chosen segments are spread evenly.
    chosen = [loud[(2 * n + 1) * len(loud) // (2 * n_chosen)] for n in range(n_chosen)]
    cells = [(segment, channel) for segment in chosen for channel in range(header.channels)]
    decoded = sum(side_by_side(lambda cell: _decoded_energy(voice, *cell), cells, len(cells)))
    recorded = sum(energies[segment] for segment in chosen)
    if not decoded or not recorded:
        return data

    low, high = max(header.gain - _MAX_STEPS, 0), min(header.gain + _MAX_STEPS, 255)
    gain = min(max(gain_between(decoded, recorded), low), high)
    return container.write(replace(header, gain=gain), content.sections)


def _recorded_energy(level: Level, segment: int) -> float:
    """Return the energy of a segment of the recording, all channels together."""
    frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES - 1)
    return float(level.powers[frames].sum()) * FRAME_SAMPLES


def _decoded_energy(voice: OpenedVoice, segment: int, channel: int) -> float:
    """Return the energy of a decoded segment of a channel, before the gain."""
    codes = codes_of_segment(voice, segment, channel)
    n_samples = (codes.shape[1] - 1) * FRAME_SAMPLES
    if not n_samples:
        return 0.0
    blocks = channel_blocks(voice.codec, [codes], n_samples, voice.header.quality)
    return sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
