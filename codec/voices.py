"""Voices to `.lvx` bytes and back."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.container import Container, Header, Section, VoiceHeader
from luxvox.codec.timeline import (
    CODED_RATE_HZ,
    FRAME_SAMPLES,
    PARTS,
    SEGMENT_FRAMES,
    coded_length,
    n_frames,
    n_segments,
)
from luxvox.entropy.walk import Codes
from luxvox.errors import TruncatedWarning, UnsupportedError, UsageError

if TYPE_CHECKING:
    from luxvox.codec.recordings import OpenRecording
    from luxvox.models.speech_weights import VoiceCodec

Progress = Callable[[float], None]
Samples = NDArray[np.float32]

BANDWIDTH_HZ = CODED_RATE_HZ // 2
MIN_BITRATE_KBPS, MAX_BITRATE_KBPS = 0.3, 12.0
_GAIN_ZERO = 128
_GAIN_STEPS = 40.0  # a decade of amplitude
_TOLERANCE = 0.015  # of the bitrate, where the search stops
_MAX_TRIES = 7
_TYPICAL_RATIO = 0.85  # bytes of a file over what the static tables think they would be
_SAMPLED_EVERY = 4  # segments; long recordings are tried on a sample first
_SECTION_BYTES = 5  # around a payload
_ALL = slice(None)
_ANALYSIS_SHARE = 0.5
_DECODED_SHARE = 0.4


@dataclass(frozen=True)
class VoicePart:
    """What the sections of one type take together.

    Attributes:
        name: what they hold.
        sections: how many they are; one a segment if they are codes.
        bytes: of their payloads.
        rate_kbps: kbit/s, averaged over the recording.
    """

    name: str
    sections: int
    bytes: int
    rate_kbps: float


@dataclass(frozen=True)
class VoiceInfo:
    """What a voice's file says of itself, without decoding it.

    Attributes:
        kind: `voice`.
        duration_s: of the recording.
        sample_rate_hz: of the recording; what is above 8 kHz is not kept.
        channels: 1 or 2.
        samples: a channel.
        quality: 1 … 100.
        model: id number of the weights.
        fingerprint: of the model's integer tables, hexadecimal.
        coder: name of the range coder.
        bytes: length of the file.
        rate_kbps: kbit/s of the whole file.
        segments: how many stretches of 15 s it has.
        parts: what the sections hold, by type.
        damage: one line on what is cut or altered, empty if nothing is.
    """

    kind: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    samples: int
    quality: float
    model: int
    fingerprint: str
    coder: str
    bytes: int
    rate_kbps: float
    segments: int
    parts: tuple[VoicePart, ...]
    damage: str


def compress_speech(
    samples: NDArray[Any],
    sample_rate: int,
    bitrate: float = 3.0,
    *,
    quality: float | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Compress a voice.

    Args:
        samples: float32 or float64 of about −1 … 1, or int16; [T], or [T, C] with 1 or 2 channels.
        sample_rate: 8000 … 96000 Hz; what lies above 8 kHz in the recording is not kept.
        bitrate: kbit/s of the whole file, on average, 0.3 … 12. A bitrate beyond what the model
            reaches for this recording gives the nearest it can.
        quality: 1 … 100 instead of a bitrate.
        progress: called with the share of the work done, 0 … 1.

    Returns:
        The bytes of a `.lvx` file.

    Raises:
        UsageError: if the bitrate, the quality or the array's shape or type is not legal.
        InputError: if there are no samples, some are NaN or infinite, or rate or number of
            channels cannot be coded.
        ModelError: if no intact weights are installed.
    """
    from luxvox.codec.recordings import recording_of

    recording = recording_of(samples, sample_rate)
    rate = None if quality is not None else bitrate
    return compress_recording(recording, bitrate=rate, quality=quality, progress=progress)


def compress_recording(
    recording: OpenRecording,
    *,
    bitrate: float | None = None,
    quality: float | None = None,
    progress: Progress | None = None,
) -> bytes:
    """Compress an opened recording, which is read twice, in blocks; see `compress_speech`."""
    from luxvox.codec.rate import quality_to_centi

    if bitrate is not None and not MIN_BITRATE_KBPS <= bitrate <= MAX_BITRATE_KBPS:
        legal = f"{MIN_BITRATE_KBPS:g}..{MAX_BITRATE_KBPS:g}"
        raise UsageError(f"bitrate {bitrate:g} kbit/s is out of range, legal: {legal}")
    centi = None if quality is None else quality_to_centi(quality)
    advance = progress or _silent
    codec = _codec(None)
    take = _Take.of(codec, recording, lambda done: advance(_ANALYSIS_SHARE * done))
    if centi is None:
        data = take.at_bitrate(3.0 if bitrate is None else bitrate)
    else:
        data = take.at_quality(centi)
    advance(1.0)
    return data


def decompress_speech(
    data: bytes, sections: int | None = None, *, progress: Progress | None = None
) -> tuple[Samples, int]:
    """Decompress a voice.

    Args:
        data: the bytes of a `.lvx` file; one that is cut gives its whole sections, and a
            `TruncatedWarning`.
        sections: decode only the first so many code sections of each segment (1 is the coarsest).
        progress: called with the share of the work done, 0 … 1.

    Returns:
        Samples float32 [T] (mono) or [T, 2], T as in the recording unless the file is cut, and
        the sample rate in Hz.

    Raises:
        FormatError: if the file is malformed; `ChecksumError` if altered, `TruncatedError` if cut
            before the first section's end.
        UnsupportedError: if it is a picture, or needs another luxvox or other weights.
    """
    rate_hz, channels, _, blocks = decompress_blocks(data, sections, progress)
    samples = np.concatenate(list(blocks))
    return (samples[:, 0] if channels == 1 else samples), rate_hz


def decode_chunks(file: bytes | str | Path, sections: int | None = None) -> Iterator[Samples]:
    """Yield the samples of a file as float32 [n, C], stretch after stretch, for players.

    Args:
        file: a path, or the bytes of a `.lvx` file.
        sections: as in `decompress_speech`.

    Raises:
        As `decompress_speech`, at the first stretch or before; OSError if the file cannot be read.
    """
    data = file if isinstance(file, bytes) else Path(file).read_bytes()
    return decompress_blocks(data, sections)[3]


def decompress_blocks(
    data: bytes, sections: int | None = None, progress: Progress | None = None
) -> tuple[int, int, int, Iterator[Samples]]:
    """Return rate in Hz, channels, samples a channel, and the iterator of float32 [n, C]."""
    from luxvox.codec.recordings import resample_blocks
    from luxvox.models.speech_chunks import synthesise

    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    content, header, codec = _opened(data)
    n_coded = coded_length(header.n_samples, header.sample_rate_hz)
    whole = _whole_segments(content, header)
    advance = progress or _silent
    streams = [
        synthesise(codec.model, _latents(codec, content, header, channel, sections), n_coded)
        for channel in range(header.channels)
    ]
    total = n_segments(header.n_samples, header.sample_rate_hz)
    n_samples, n_reached = header.n_samples, n_coded
    if whole < total:
        n_reached = min((whole * SEGMENT_FRAMES - 1) * FRAME_SAMPLES, n_coded)
        n_samples = min(n_reached * header.sample_rate_hz // CODED_RATE_HZ, n_samples)
    blocks = _watched(_joined(streams, header), n_reached, advance)
    out = resample_blocks(blocks, CODED_RATE_HZ, header.sample_rate_hz, n_samples)
    return header.sample_rate_hz, header.channels, n_samples, out


def inspect(data: bytes) -> VoiceInfo:
    """Describe a voice's file; see `luxvox.inspect`."""
    listing = container.list_sections(data)
    header = _voice_header(listing.header)
    duration_s = header.n_samples / header.sample_rate_hz
    parts = []
    for number in sorted({entry.type for entry in listing.entries}):
        lengths = [entry.length for entry in listing.entries if entry.type == number]
        rate_kbps = sum(lengths) * 8.0 / 1000.0 / duration_s
        name = container.section_name(number)
        parts.append(VoicePart(name, len(lengths), sum(lengths), rate_kbps))
    return VoiceInfo(
        kind="voice",
        duration_s=duration_s,
        sample_rate_hz=header.sample_rate_hz,
        channels=header.channels,
        samples=header.n_samples,
        quality=header.quality_centi / 100.0,
        model=header.model_number,
        fingerprint=header.fingerprint.hex(),
        coder=container.CODERS[header.coder],
        bytes=len(data),
        rate_kbps=len(data) * 8.0 / 1000.0 / duration_s,
        segments=n_segments(header.n_samples, header.sample_rate_hz),
        parts=tuple(parts),
        damage=listing.damage or "",
    )


def voice_codes(data: bytes) -> Codes:
    """Return the codes of a file, uint16 [stages, frames] (mono) or [2, stages, frames].

    Raises:
        As `decompress_speech`.
    """
    content, header, codec = _opened(data)
    channels = [
        np.concatenate(list(_segment_codes(codec, content, header, channel, None)), axis=1)
        for channel in range(header.channels)
    ]
    codes: Codes = channels[0] if len(channels) == 1 else np.stack(channels)
    return codes


def from_codes(codes: NDArray[Any], model: int | None = None) -> Samples:
    """Return the samples float32 [T] at 16 kHz and the common level that codes stand for.

    Args:
        codes: whole numbers [stages, frames], 0 … 1023; 0 is null, and ends its frame. Fewer
            stages than the model has are taken for a prefix.
        model: number of the voice model; the newest by default.

    Raises:
        UsageError: if the shape or a code is not legal.
    """
    from luxvox.models.speech_chunks import synthesise

    codec = _codec(model)
    config = codec.model.config
    array = np.asarray(codes)
    if array.ndim != 2 or not array.shape[1] or array.shape[0] > config.n_stages:
        raise UsageError(
            f"codes of shape {array.shape}, legal: [1..{config.n_stages}, 1 or more frames]"
        )
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= config.codebook_size:
        raise UsageError(f"codes are whole numbers, legal: 0..{config.codebook_size - 1}")
    whole = np.zeros((config.n_stages, array.shape[1]), np.uint16)
    whole[: len(array)] = array * np.cumprod(array != 0, axis=0)
    blocks = synthesise(
        codec.model, [_dequantised(codec, whole)], (array.shape[1] - 1) * FRAME_SAMPLES
    )
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _silent(share: float) -> None:
    """Ignore progress."""


@functools.lru_cache(maxsize=4)
def _codec(number: int | None) -> VoiceCodec:
    from luxvox.models.speech_weights import voice_codec

    return voice_codec(number)


@dataclass(frozen=True)
class _Take:
    """A recording analysed once: its codes at full depth, from which every rate is cut."""

    codec: VoiceCodec
    header: VoiceHeader
    codes: tuple[Codes, ...]
    power_db: tuple[NDArray[np.float32], ...]
    static_bits: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, codec: VoiceCodec, recording: OpenRecording, advance: Progress) -> _Take:
        """Read and analyse a recording."""
        from luxvox.codec.levels import measure

        channels = recording.channels
        n_coded = coded_length(recording.n_samples, recording.sample_rate_hz)
        level = measure(_coded_blocks(recording))
        exponent = -_GAIN_STEPS * math.log10(level.active)
        gain = min(max(_GAIN_ZERO + math.floor(exponent + 0.5), 0), 255)
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
        scale = np.float32(_amplitude(gain))
        parts = []
        for channel in range(channels):
            blocks = (
                (block[:, channel] - level.mean[channel]) * scale
                for block in _coded_blocks(recording)
            )
            done = functools.partial(_part_done, advance, channel, channels)
            parts.append(_coded_at_full_depth(codec, blocks, n_coded, done))
        codes, power, bits = zip(*parts, strict=True)
        return cls(codec, header, codes, power, bits)

    def at_quality(self, centi: int) -> bytes:
        """Return the file at a quality in hundredths."""
        import dataclasses

        header = dataclasses.replace(self.header, quality_centi=centi)
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
    codec: VoiceCodec, blocks: Iterable[Samples], n_coded: int, advance: Progress
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


def _amplitude(gain: int) -> float:
    return float(10.0 ** ((gain - _GAIN_ZERO) / _GAIN_STEPS))


def _part_done(advance: Progress, channel: int, channels: int, done: float) -> None:
    advance((channel + done) / channels)


def _opened(data: bytes) -> tuple[Container, VoiceHeader, VoiceCodec]:
    """Read a container and find its weights."""
    header = _voice_header(container.read_header(data)[0])
    content = container.read(data)
    if content.truncated:
        warnings.warn(
            "the file is cut; decoding its whole sections", TruncatedWarning, stacklevel=4
        )
    codec = _codec(header.model_number)
    if codec.fingerprint != header.fingerprint:
        raise UnsupportedError(
            f"the file was made with weights {header.fingerprint.hex()} of voice model "
            f"{header.model_number}; installed are {codec.fingerprint.hex()}"
        )
    return content, header, codec


def _voice_header(header: Header) -> VoiceHeader:
    if not isinstance(header, VoiceHeader):
        raise UnsupportedError("this file holds a picture, not a voice")
    return header


def _whole_segments(content: Container, header: VoiceHeader) -> int:
    """Return how many segments have at least the first section of every channel."""
    period = PARTS * header.channels
    n_codes = len(content.codes)
    return n_codes // period + (n_codes % period > period - PARTS)


def _segment_codes(
    codec: VoiceCodec, content: Container, header: VoiceHeader, channel: int, sections: int | None
) -> Iterator[Codes]:
    """Yield the codes [stages, frames] of each segment of a channel."""
    from luxvox.codec.rate import centi_to_position
    from luxvox.entropy.walk import CodesDecoder, walk

    level = codec.context.plan[0].name
    total = n_frames(header.n_samples, header.sample_rate_hz)
    payloads = content.codes
    for segment in range(_whole_segments(content, header)):
        first = PARTS * (segment * header.channels + channel)
        parts = payloads[first : first + min(PARTS, sections or PARTS)]
        decoder = CodesDecoder(dict(enumerate(parts, start=1)), header.coder)
        width = min(SEGMENT_FRAMES, total - segment * SEGMENT_FRAMES)
        shape = {level: (1, width)}
        codes = walk(codec.context, shape, centi_to_position(header.quality_centi), decoder)
        decoder.finish()
        yield codes[level][:, 0, 0]


def _latents(
    codec: VoiceCodec, content: Container, header: VoiceHeader, channel: int, sections: int | None
) -> Iterator[Any]:
    for codes in _segment_codes(codec, content, header, channel, sections):
        yield _dequantised(codec, codes)


def _dequantised(codec: VoiceCodec, codes: Codes) -> Any:
    """Turn codes [stages, F] into latents [n_channels, 1, F] in steps."""
    import torch

    array = torch.from_numpy(codes.astype(np.int64))[None, :, None, None]
    return codec.model.vq.decode(array)[0]


def _joined(streams: list[Iterator[Samples]], header: VoiceHeader) -> Iterator[Samples]:
    """Yield float32 [n, C] at 16 kHz and the level of the recording."""
    scale = np.float32(1.0 / _amplitude(header.gain))
    for blocks in zip(*streams, strict=True):
        if len(blocks) == 1:
            yield blocks[0][:, None] * scale
        else:
            mid, side = blocks
            yield np.stack([mid + side, mid - side], axis=1) * scale


def _watched(blocks: Iterable[Samples], n_coded: int, advance: Progress) -> Iterator[Samples]:
    n_done = 0
    for block in blocks:
        yield block
        n_done += len(block)
        advance(min(n_done / max(n_coded, 1), 1.0))
