"""A voice on its way to a file: analysed once, and coded from there at any rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.advance import Advance, part_of
from luxvox.codec.container import Section, VoiceHeader
from luxvox.codec.timeline import (
    CODED_RATE_HZ,
    FRAME_SAMPLES,
    PARTS,
    SEGMENT_FRAMES,
    coded_length,
    n_segments,
)
from luxvox.entropy.walk import Codes

if TYPE_CHECKING:
    from luxvox.codec.recordings import OpenRecording
    from luxvox.models.speech_weights import VoiceCodec

Samples = NDArray[np.float32]

_TOLERANCE = 0.015  # of the bitrate, where the search stops
_MAX_TRIES = 7
_TYPICAL_RATIO = 0.85  # bytes of a file over what the static tables think they would be
_SAMPLED_EVERY = 4  # segments; long recordings are tried on a sample first
_SECTION_BYTES = 5  # around a payload
_ALL = slice(None)


@dataclass(frozen=True)
class Take:
    """A recording analysed once: its codes at full depth, from which every rate is cut."""

    codec: VoiceCodec
    header: VoiceHeader
    codes: tuple[Codes, ...]
    power_db: tuple[NDArray[np.float32], ...]
    static_bits: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, codec: VoiceCodec, recording: OpenRecording, advance: Advance) -> Take:
        """Read and analyse a recording."""
        from luxvox.codec.levels import amplitude_of, gain_of, measure

        channels = recording.channels
        n_coded = coded_length(recording.n_samples, recording.sample_rate_hz)
        level = measure(_coded_blocks(recording))
        gain = gain_of(level)
        header = VoiceHeader(
            model_number=codec.card.number,
            fingerprint=codec.fingerprint,
            n_samples=recording.n_samples,
            sample_rate_hz=recording.sample_rate_hz,
            stereo=channels == 2,
            gain=gain,
            quality_centi=10000,
            coder=1,
        )
        scale = np.float32(amplitude_of(gain))
        parts = []
        for channel in range(channels):
            blocks = (
                (block[:, channel] - level.mean[channel]) * scale
                for block in _coded_blocks(recording)
            )
            done = part_of(advance, channel / channels, 1.0 / channels)
            parts.append(_coded_at_full_depth(codec, blocks, n_coded, done))
        codes, power, bits = zip(*parts, strict=True)
        return cls(codec, header, codes, power, bits)

    def at_quality(self, centi: int) -> bytes:
        """Return the file at a quality in hundredths."""
        header = replace(self.header, quality_centi=centi)
        sections = [
            section
            for segment in range(n_segments(header.n_samples, header.sample_rate_hz))
            for channel in range(header.channels)
            for section in self._segment(segment, channel, centi)
        ]
        return container.write(header, sections)

    def at_bitrate(self, bitrate: float) -> bytes:
        """Return the file that comes nearest to a bitrate in kbit/s; bits rise with quality."""
        seconds = self.header.n_samples / self.header.sample_rate_hz
        target = bitrate * 1000.0 * seconds
        low, high = 100, 10000
        ratio, best, best_miss = _TYPICAL_RATIO, b"", math.inf
        n = n_segments(self.header.n_samples, self.header.sample_rate_hz)
        if n >= 2 * _SAMPLED_EVERY:
            ratio = self._sampled_ratio(
                target / ratio, range(_SAMPLED_EVERY // 2, n, _SAMPLED_EVERY)
            )
        for _ in range(_MAX_TRIES):
            centi = self._centi_for_static_bits(target / ratio, low, high)
            data = self.at_quality(centi)
            miss = len(data) * 8.0 / target - 1.0
            if abs(miss) < best_miss:
                best, best_miss = data, abs(miss)
            if (
                best_miss < _TOLERANCE
                or (centi == low and miss > 0)
                or (centi == high and miss < 0)
            ):
                break
            low, high = (low, centi - 1) if miss > 0 else (centi + 1, high)
            if low > high:
                break
            ratio = len(data) * 8.0 / max(self._static_total(centi), 1.0)
        return best

    def _sampled_ratio(self, bits: float, segments: range) -> float:
        """Return what some segments take, over what the static tables think they take."""
        centi = self._centi_for_static_bits(bits, 100, 10000)
        taken = static = 0.0
        for segment in segments:
            frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES)
            static += self._static_total(centi, frames)
            for channel in range(self.header.channels):
                sections = self._segment(segment, channel, centi)
                taken += sum(8.0 * (len(one.payload) + _SECTION_BYTES) for one in sections)
        return taken / max(static, 1.0)

    def _centi_for_static_bits(self, bits: float, low: int, high: int) -> int:
        while low < high:
            middle = (low + high) // 2
            if self._static_total(middle) < bits:
                low = middle + 1
            else:
                high = middle
        return low

    def _static_total(self, centi: int, frames: slice = _ALL) -> float:
        total = 0.0
        for power, bits in zip(self.power_db, self.static_bits, strict=True):
            depths = self._depths(power[frames], centi)
            total += float(bits[:, frames][np.arange(bits.shape[0])[:, None] < depths].sum())
        return total

    def _depths(self, power_db: NDArray[np.float32], centi: int) -> NDArray[np.int64]:
        from luxvox.codec.rate import centi_to_share

        return self.codec.model.depths_of_powers(power_db, centi_to_share(centi))

    def _segment(self, segment: int, channel: int, centi: int) -> list[Section]:
        from luxvox.codec.rate import centi_to_position
        from luxvox.entropy.walk import CodesEncoder, known, walk

        frames = slice(segment * SEGMENT_FRAMES, (segment + 1) * SEGMENT_FRAMES)
        codes = self.codes[channel][:, frames]
        depths = self._depths(self.power_db[channel][frames], centi)
        cut = codes * (np.arange(len(codes))[:, None] < depths).astype(np.uint16)
        level = self.codec.context.plan[0].name
        encoder = CodesEncoder(known({level: cut[:, None, None]}), self.header.coder)
        shape = {level: (1, cut.shape[1])}
        walk(self.codec.context, shape, centi_to_position(centi), encoder)
        coded = encoder.sections()
        return [Section(PARTS * channel + n, coded.get(n, b"")) for n in range(1, PARTS + 1)]


def _coded_at_full_depth(
    codec: VoiceCodec, blocks: Iterable[Samples], n_coded: int, advance: Advance
) -> tuple[Codes, NDArray[np.float32], NDArray[np.float32]]:
    """Return codes [stages, F], power of the latents in dB [F], and static bits [stages, F]."""
    from luxvox.models.speech import power_db
    from luxvox.models.speech_chunks import analyse

    parts: list[tuple[Codes, NDArray[np.float32], NDArray[np.float32]]] = []
    total = -(-n_coded // FRAME_SAMPLES) + 1
    n_done = 0
    for latents in analyse(codec.model, blocks, n_coded):
        codes, bits = codec.model.choose(latents[None])
        parts.append((codes, power_db(latents[None])[0, 0].numpy(), bits))
        n_done += codes.shape[1]
        advance(n_done / total)
    columns = list(zip(*parts, strict=True))
    return (
        np.concatenate(columns[0], axis=1),
        np.concatenate(columns[1]),
        np.concatenate(columns[2], axis=1),
    )


def _coded_blocks(recording: OpenRecording) -> Iterator[Samples]:
    """Yield the recording at 16 kHz, float32 [n, C]; two channels as mid and side."""
    from luxvox.codec.recordings import resample_blocks

    n_coded = coded_length(recording.n_samples, recording.sample_rate_hz)
    blocks = resample_blocks(recording.blocks(), recording.sample_rate_hz, CODED_RATE_HZ, n_coded)
    for block in blocks:
        yield _mid_and_side(block) if recording.channels == 2 else block


def _mid_and_side(block: Samples) -> Samples:
    left, right = block[:, 0], block[:, 1]
    return np.stack([(left + right) * np.float32(0.5), (left - right) * np.float32(0.5)], axis=1)
