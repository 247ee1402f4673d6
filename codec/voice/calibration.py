"""The gain of a file, set so that the voice comes back as loud as it was.

Decoded voices can be up to 2 dB too loud. The gain in the header, by which a decoder divides,
corrects that in steps of half a decibel.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from luxvox.codec import container
from luxvox.codec.container import VoiceHeader
from luxvox.codec.voice.decoding import dequantise
from luxvox.codec.voice.loudness import energy_of_segment, gain_between
from luxvox.codec.workers import side_by_side
from luxvox.entropy.voice.plan import Codes
from luxvox.models.processor import has_bfloat16

if TYPE_CHECKING:
    from luxvox.codec.voice.encoding import VoiceEncoder
    from luxvox.models.voice.weights import VoiceCodec

_MAX_STEPS: Final = 12  # 6 dB: anything that differs by more is a different sound


def with_level_of(encoder: VoiceEncoder, data: bytes) -> bytes:
    """Return a file of the encoder with the gain that makes it decode to the recording's level."""
    content = container.read(data)
    header = content.header
    if not isinstance(header, VoiceHeader):
        return data
    segments = encoder.measured_codes(data)
    energies = side_by_side(
        lambda codes: _decoded_energy(encoder.codec, codes), segments, len(segments)
    )
    decoded = sum(energies)
    recorded = sum(energy_of_segment(encoder.level, segment) for segment in encoder.measured)
    if not decoded or not recorded:
        return data

    low, high = max(header.gain - _MAX_STEPS, 0), min(header.gain + _MAX_STEPS, 255)
    gain = min(max(gain_between(decoded, recorded), low), high)
    return container.write(replace(header, gain=gain), content.sections)


@torch.no_grad()
def _decoded_energy(codec: VoiceCodec, codes: Codes) -> float:
    """Return the energy of a decoded segment of a channel [stages, frames], before the gain."""
    if codes.shape[1] < 2 or not codes.any():
        return 0.0
    samples = codec.model.samples(dequantise(codec, codes)[None], has_bfloat16())
    return float(samples.square().sum(dtype=torch.float64))
