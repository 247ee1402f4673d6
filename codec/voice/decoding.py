"""Decoding a voice: segment by segment, stretch by stretch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.container import (
    CUT,
    Container,
    Header,
    Lost,
    OpenFile,
    Section,
    VoiceHeader,
)
from luxvox.codec.quality import Quality
from luxvox.codec.voice.loudness import amplitude_of
from luxvox.codec.voice.silence import (
    FrameStream,
    min_silent_frames,
    noise_numbers,
    with_silence,
)
from luxvox.codec.voice.stereo import LEFT_AND_RIGHT, from_coded
from luxvox.entropy.voice.plan import Codes
from luxvox.errors import (
    DamageWarning,
    FormatError,
    InputError,
    TruncatedError,
    TruncatedWarning,
    UnsupportedError,
    UsageError,
)
from luxvox.progress import Progress, silent
from luxvox.timeline import (
    CODED_RATE_HZ,
    FRAME_SAMPLES,
    PARTS,
    SEGMENT_FRAMES,
    coded_length,
    n_frames,
    n_segments,
    samples_of_segments,
    whole_segments,
)

if TYPE_CHECKING:
    from luxvox.models.voice.pauses import Stretch
    from luxvox.models.voice.weights import VoiceCodec

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class OpenedVoice:
    """A voice file that has been read and checked.

    Attributes:
        header: its header.
        content: its intact parts.
        codec: its weights.
        cautions: warnings for the caller.
    """

    header: VoiceHeader
    content: Container
    codec: VoiceCodec
    cautions: tuple[Warning, ...] = ()

    @property
    def n_whole_segments(self) -> int:
        """Return how many segments are whole."""
        return whole_segments(len(self.content.codes), self.header.channels)


@dataclass(frozen=True)
class VoiceStream:
    """The samples of a voice, decoded on demand.

    Attributes:
        sample_rate_hz, channels, n_samples: of the recording; samples are counted per channel.
        blocks: float32 [n, channels] each.
    """

    sample_rate_hz: int
    channels: int
    n_samples: int
    blocks: Iterator[Samples]


def voice_stream(
    voice: OpenedVoice, sections: int | None = None, progress: Progress = silent
) -> VoiceStream:
    """Decode a voice, or the first n code sections of each of its segments.

    Raises:
        UsageError: if the number of sections is not 1 or more.
    """
    from luxvox.codec.voice.recordings import resample_blocks

    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    header, codec = voice.header, voice.codec
    n_coded = coded_length(header.n_samples, header.sample_rate_hz)
    has_side = header.stereo_mode != LEFT_AND_RIGHT
    streams = []
    for channel in range(header.channels):
        codes = segment_codes(voice, channel, sections)
        is_side = has_side and channel == 1
        streams.append(channel_blocks(codec, codes, n_coded, header.quality, is_side))
    whole = voice.n_whole_segments
    total = n_segments(header.n_samples, header.sample_rate_hz)
    n_samples, n_reached = header.n_samples, n_coded
    if whole < total:
        n_reached = min((whole * SEGMENT_FRAMES - 1) * FRAME_SAMPLES, n_coded)
        n_samples = min(samples_of_segments(whole, header.sample_rate_hz), n_samples)
    blocks = _report_blocks(_join_channels(streams, header), n_reached, progress)
    out = resample_blocks(blocks, CODED_RATE_HZ, header.sample_rate_hz, n_samples)
    return VoiceStream(header.sample_rate_hz, header.channels, n_samples, out)


def open_voice_file(
    file: OpenFile, max_seconds: float, *, strict: bool = False, conceal: bool = False
) -> OpenedVoice:
    """Read a container and find its weights; check everything that can be checked before decoding.

    Args:
        file: with its header already read.
        max_seconds: refuse longer recordings.
        strict: refuse cut files, instead of warning.
        conceal: read altered files, too; the sections of a segment count as empty from the first
            altered one on.
    """
    from luxvox.models.voice.weights import voice_codec

    header = _voice_header(file.header)
    seconds = header.n_samples / header.sample_rate_hz
    if not seconds <= max_seconds:
        raise InputError(
            f"{seconds:.1f} s of sound are over the limit of {float(max_seconds):g} s (max_seconds)"
        )
    content, lost = file.salvage() if conceal else (file.read(), Lost())
    cautions: list[Warning] = []
    if altered := lost.sections:
        message = f"{len(altered)} sections are altered; what they held is left out"
        cautions.append(DamageWarning(message))
        content = replace(content, sections=_without_lost(content, altered))
    if content.truncated:
        if strict:
            raise TruncatedError(CUT)
        if not whole_segments(len(content.codes), header.channels):
            raise TruncatedError("the file is cut before its first segment is whole")
        cautions.append(TruncatedWarning(f"{CUT}; decoding its whole sections"))
    codec = voice_codec(header.model_number, header.fingerprint)
    return OpenedVoice(header, content, codec, tuple(cautions))


def _without_lost(content: Container, altered: frozenset[int]) -> tuple[Section, ...]:
    """Empty second sections if their first section is altered, since they depend on it."""
    n_codes = len(content.codes)
    sections = []
    for n, section in enumerate(content.sections):
        if n < n_codes and n % PARTS and n - 1 in altered:
            sections.append(Section(section.type, b""))
        elif n < n_codes or n not in altered:
            sections.append(section)
    return tuple(sections)


def _voice_header(header: Header) -> VoiceHeader:
    if not isinstance(header, VoiceHeader):
        raise UnsupportedError("this file holds a picture, not a voice")
    return header


def segment_codes(voice: OpenedVoice, channel: int, sections: int | None = None) -> Iterator[Codes]:
    """Yield the codes [stages, frames] of each segment of a channel."""
    for segment in range(voice.n_whole_segments):
        yield codes_of_segment(voice, segment, channel, sections)


def codes_of_segment(
    voice: OpenedVoice, segment: int, channel: int, sections: int | None = None
) -> Codes:
    """Return the codes [stages, frames] of a segment of a channel."""
    from luxvox.entropy.voice.visitors import CodesDecoder
    from luxvox.entropy.voice.walk import walk

    header, context = voice.header, voice.codec.context
    level = context.plan[0].name
    total = n_frames(header.n_samples, header.sample_rate_hz)
    first = PARTS * (segment * header.channels + channel)
    parts = voice.content.codes[first : first + min(PARTS, sections or PARTS)]
    width = min(SEGMENT_FRAMES, total - segment * SEGMENT_FRAMES)
    shape = {level: (1, width)}
    try:
        decoder = CodesDecoder(dict(enumerate(parts, start=1)), header.coder)
        codes = walk(context, shape, header.quality.log_step_int, decoder)
        decoder.finish()
    except FormatError as error:
        where = f"segment {segment + 1}, channel {channel + 1}"
        raise FormatError(f"{where}, {error}") from None
    return codes[level][:, 0, 0]


def channel_blocks(
    codec: VoiceCodec,
    stretches: Iterable[Codes],
    n_samples: int,
    quality: Quality | None,
    is_side: bool = False,
) -> Iterator[Samples]:
    """Yield the samples [n] of a channel from its codes [stages, frames], stretch by stretch.

    Args:
        codec: the networks.
        stretches: of codes.
        n_samples: how many samples there are in all.
        quality: of the file; None if it is not known.
        is_side: whether it is the side of two channels, whose noise is not that of mid.
    """
    from luxvox.models.voice.tiling import synthesise

    total = n_frames(n_samples)
    parts = _parts_of(codec, stretches, quality, is_side)
    frames = FrameStream(parts, total, min_silent_frames(quality, total))
    return with_silence(synthesise(codec.model, frames.stretches(), n_samples), frames)


def _parts_of(
    codec: VoiceCodec, stretches: Iterable[Codes], quality: Quality | None, is_side: bool
) -> Iterator[tuple[NDArray[np.bool_], Stretch]]:
    """Yield which frames of each stretch have no codes, and what is to be decoded."""
    import torch

    from luxvox.models.voice.pauses import Stretch

    first = 0
    for codes in stretches:
        noise = torch.from_numpy(noise_numbers(codes, quality, first, is_side))
        is_empty = np.logical_and.reduce(codes == 0, axis=0)
        yield is_empty, Stretch(dequantise(codec, codes), noise)
        first += codes.shape[1]


def dequantise(codec: VoiceCodec, codes: Codes) -> Any:
    """Turn codes [stages, F] into latents [n_channels, 1, F] in steps."""
    import torch

    array = torch.from_numpy(codes.astype(np.int64))[None, :, None, None]
    return codec.model.vq.decode(array)[0]


def _join_channels(streams: list[Iterator[Samples]], header: VoiceHeader) -> Iterator[Samples]:
    """Yield float32 [n, C] at 16 kHz and the level of the recording."""
    scale = np.float32(1.0 / amplitude_of(header.gain))
    for blocks in zip(*streams, strict=True):
        if len(blocks) == 1:
            yield blocks[0][:, None] * scale
        else:
            first, second = blocks
            yield from_coded(first, second, header.stereo_mode) * scale


def _report_blocks(
    blocks: Iterable[Samples], n_coded: int, progress: Progress
) -> Iterator[Samples]:
    n_done = 0
    for block in blocks:
        yield block
        n_done += len(block)
        progress(min(n_done / max(n_coded, 1), 1.0))
