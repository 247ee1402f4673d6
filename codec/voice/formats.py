"""The common audio formats that decompressed voices are written in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from typing import IO, BinaryIO, Final

import soundfile

from luxvox import cautions
from luxvox.codec.files import write_all
from luxvox.codec.voice.files.readers import Samples
from luxvox.codec.voice.limiter import limit_blocks
from luxvox.codec.voice.recordings import resample_blocks, to_pcm16, wav_header
from luxvox.errors import LossWarning, UsageError

# Container and coding in libsndfile's terms; WAV is written without libsndfile, for pipes.
FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aif": ("AIFF", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
}

# The sample rates of codings that do not support all rates.
_RATES_HZ: Final[Mapping[str, tuple[int, ...]]] = {
    "OPUS": (8_000, 12_000, 16_000, 24_000, 48_000),
    "MPEG_LAYER_III": (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
}
# libvorbis puts each block on the stack, which may be small.
_SAMPLES_AT_ONCE: Final = 4096


def find_format(ending: str) -> tuple[str, str]:
    """Return the container and coding for a file extension without its dot.

    Raises:
        UsageError: if it is not one of `FORMATS`.
    """
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        raise UsageError(f"voices are not written as {ending!r}; write one of {known}")
    return FORMATS[ending]


def write_blocks(
    stream: BinaryIO,
    ending: str,
    shape: tuple[int, int],
    sample_rate_hz: int,
    blocks: Iterable[Samples],
) -> int:
    """Write float32 blocks [n, C], limited to −1 … 1, as an audio file.

    Args:
        stream: to write to; need not be seekable.
        ending: one of `FORMATS`.
        shape: samples per channel in all blocks together, and channels.
        sample_rate_hz: of the blocks, and of the file if the format supports it; otherwise the
            samples are written at the next rate that it supports.
        blocks: the samples.

    Returns:
        How many bytes were written.

    Raises:
        UsageError: if the format cannot hold such samples.
    """
    container, coding = find_format(ending)
    if container == "WAV":
        return _write_wav(stream, shape, sample_rate_hz, limit_blocks(blocks))
    if not soundfile.check_format(container, coding):
        raise UsageError(f"the installed libsndfile cannot write {ending}")
    rate_hz = _rate_in(coding, sample_rate_hz)
    if rate_hz != sample_rate_hz:
        note = f".{ending} cannot hold {sample_rate_hz} Hz and is written at {rate_hz} Hz"
        cautions.warn(LossWarning(note), stacklevel=2)
    n_samples = -(-shape[0] * rate_hz // sample_rate_hz)
    there = resample_blocks(blocks, sample_rate_hz, rate_hz, n_samples)
    with tempfile.SpooledTemporaryFile(max_size=1 << 26) as whole:
        try:
            _write_all_of(limit_blocks(there), whole, (rate_hz, shape[1], coding, container))
        except soundfile.LibsndfileError as error:
            reason = error.error_string.rstrip(".")
            raise UsageError(
                f"{ending} cannot hold {shape[1]} channel(s) at {rate_hz} Hz: {reason}"
            ) from None
        n_bytes = whole.seek(0, 2)
        whole.seek(0)
        while part := whole.read(1 << 20):
            write_all(stream, part)
    return n_bytes


def _write_all_of(
    blocks: Iterable[Samples], whole: IO[bytes], form: tuple[int, int, str, str]
) -> None:
    """Write blocks as a file of a rate, a number of channels, a coding and a container."""
    rate_hz, channels, coding, container = form
    with soundfile.SoundFile(whole, "w", rate_hz, channels, coding, format=container) as file:
        for block in blocks:
            for start in range(0, len(block), _SAMPLES_AT_ONCE):
                file.write(block[start : start + _SAMPLES_AT_ONCE])


def _rate_in(coding: str, sample_rate_hz: int) -> int:
    """Return the lowest rate of a coding that loses nothing, or its highest if there is none."""
    rates_hz = _RATES_HZ.get(coding, (sample_rate_hz,))
    return next((rate_hz for rate_hz in rates_hz if rate_hz >= sample_rate_hz), rates_hz[-1])


def _write_wav(
    stream: BinaryIO, shape: tuple[int, int], sample_rate_hz: int, blocks: Iterable[Samples]
) -> int:
    front = wav_header(sample_rate_hz, shape[1], shape[0])
    write_all(stream, front)
    n_bytes = len(front)
    for block in blocks:
        data = to_pcm16(block).astype("<i2").tobytes()
        write_all(stream, data)
        n_bytes += len(data)
    return n_bytes
