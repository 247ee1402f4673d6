"""A voice on its way out of a file: segment after segment, stretch after stretch."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import container
from luxvox.codec.container import CUT, Container, Header, Lost, Section, VoiceHeader
from luxvox.codec.container.limits import DEFAULT_MAX_SECONDS
from luxvox.codec.voice.loudness import amplitude_of
from luxvox.codec.voice.silence import FrameStream, min_silent_frames, with_silence
from luxvox.codec.voice.stereo import from_coded
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
from luxvox.progress import Advance, silent
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
    from luxvox.models.voice.weights import VoiceCodec

Samples = NDArray[np.float32]


def decompress_blocks(
    data: bytes,
    sections: int | None = None,
    progress: Advance | None = None,
    *,
    strict: bool = False,
    conceal: bool = False,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> tuple[int, int, int, Iterator[Samples]]:
    """Return rate in Hz, channels, samples a channel, and the iterator of float32 [n, C]."""
    from luxvox.codec.voice.recordings import resample_blocks

    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    content, header, codec = open_voice_file(data, max_seconds, strict, conceal)
    n_coded = coded_length(header.n_samples, header.sample_rate_hz)
    whole = whole_segments(len(content.codes), header.channels)
    advance = progress or silent
    streams = [
        channel_blocks(
            codec,
            segment_codes(codec, content, header, channel, sections),
            n_coded,
            header.quality_centi,
        )
        for channel in range(header.channels)
    ]
    total = n_segments(header.n_samples, header.sample_rate_hz)
    n_samples, n_reached = header.n_samples, n_coded
    if whole < total:
        n_reached = min((whole * SEGMENT_FRAMES - 1) * FRAME_SAMPLES, n_coded)
        n_samples = min(samples_of_segments(whole, header.sample_rate_hz), n_samples)
    blocks = _watched(_joined(streams, header), n_reached, advance)
    out = resample_blocks(blocks, CODED_RATE_HZ, header.sample_rate_hz, n_samples)
    return header.sample_rate_hz, header.channels, n_samples, out


def open_voice_file(
    data: bytes, max_seconds: float, strict: bool = False, conceal: bool = False
) -> tuple[Container, VoiceHeader, VoiceCodec]:
    """Read a container and find its weights; check all that can be checked before the work.

    A cut file is refused if `strict`, or warned of. An altered one is refused unless `conceal`;
    then sections of a segment are empty from the first altered one on.
    """
    from luxvox.models.voice.weights import voice_codec

    header = _voice_header(container.read_header(data)[0])
    seconds = header.n_samples / header.sample_rate_hz
    if not seconds <= max_seconds:
        raise InputError(
            f"{seconds:.1f} s of sound are over the limit of {max_seconds:g} s (max_seconds)"
        )
    content, lost = container.salvage(data) if conceal else (container.read(data), Lost())
    if altered := lost.sections:
        message = f"{len(altered)} sections are altered; what they held is left out"
        warnings.warn(message, DamageWarning, stacklevel=4)
        content = replace(content, sections=_without_lost(content, altered))
    if content.truncated:
        if strict:
            raise TruncatedError(CUT)
        if not whole_segments(len(content.codes), header.channels):
            raise TruncatedError("the file is cut before its first segment is whole")
        warnings.warn(f"{CUT}; decoding its whole sections", TruncatedWarning, stacklevel=4)
    return content, header, voice_codec(header.model_number, header.fingerprint)


def _without_lost(content: Container, altered: frozenset[int]) -> tuple[Section, ...]:
    """Empty the second sections whose first is altered, for they were predicted from it."""
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


def segment_codes(
    codec: VoiceCodec, content: Container, header: VoiceHeader, channel: int, sections: int | None
) -> Iterator[Codes]:
    """Yield the codes [stages, frames] of each segment of a channel."""
    for segment in range(whole_segments(len(content.codes), header.channels)):
        yield codes_of_segment(codec, content, header, (segment, channel), sections)


def codes_of_segment(
    codec: VoiceCodec,
    content: Container,
    header: VoiceHeader,
    cell: tuple[int, int],
    sections: int | None = None,
) -> Codes:
    """Return the codes [stages, frames] of a segment of a channel, both numbers in `cell`."""
    from luxvox.codec.quality import centi_to_position
    from luxvox.entropy.voice.visitors import CodesDecoder
    from luxvox.entropy.voice.walk import walk

    segment, channel = cell
    level = codec.context.plan[0].name
    total = n_frames(header.n_samples, header.sample_rate_hz)
    first = PARTS * (segment * header.channels + channel)
    parts = content.codes[first : first + min(PARTS, sections or PARTS)]
    width = min(SEGMENT_FRAMES, total - segment * SEGMENT_FRAMES)
    shape = {level: (1, width)}
    try:
        decoder = CodesDecoder(dict(enumerate(parts, start=1)), header.coder)
        codes = walk(codec.context, shape, centi_to_position(header.quality_centi), decoder)
        decoder.finish()
    except FormatError as error:
        where = f"segment {segment}, channel {channel}"
        raise FormatError(f"{where}, {error}") from None
    return codes[level][:, 0, 0]


def channel_blocks(
    codec: VoiceCodec, stretches: Iterable[Codes], n_samples: int, quality_centi: int
) -> Iterator[Samples]:
    """Yield the samples [n] of a channel, from its codes [stages, frames] stretch after stretch."""
    from luxvox.models.voice.tiling import synthesise

    total = -(-n_samples // FRAME_SAMPLES) + 1
    drawn = (
        (np.logical_and.reduce(codes == 0, axis=0), dequantised(codec, codes))
        for codes in stretches
    )
    frames = FrameStream(drawn, total, min_silent_frames(quality_centi, total))
    return with_silence(synthesise(codec.model, frames.latents(), n_samples), frames)


def dequantised(codec: VoiceCodec, codes: Codes) -> Any:
    """Turn codes [stages, F] into latents [n_channels, 1, F] in steps."""
    import torch

    array = torch.from_numpy(codes.astype(np.int64))[None, :, None, None]
    return codec.model.vq.decode(array)[0]


def _joined(streams: list[Iterator[Samples]], header: VoiceHeader) -> Iterator[Samples]:
    """Yield float32 [n, C] at 16 kHz and the level of the recording."""
    scale = np.float32(1.0 / amplitude_of(header.gain))
    for blocks in zip(*streams, strict=True):
        if len(blocks) == 1:
            yield blocks[0][:, None] * scale
        else:
            first, second = blocks
            yield from_coded(first, second, header.stereo_mode) * scale


def _watched(blocks: Iterable[Samples], n_coded: int, advance: Advance) -> Iterator[Samples]:
    n_done = 0
    for block in blocks:
        yield block
        n_done += len(block)
        advance(min(n_done / max(n_coded, 1), 1.0))
