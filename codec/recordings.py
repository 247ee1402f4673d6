"""Recordings in and out: audio files, arrays, sample rates; no model.

Everything goes in blocks, so that hours need little memory.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from luxvox.errors import InputError, UsageError

Samples = NDArray[np.float32]

MIN_RATE_HZ: Final = 8_000
MAX_RATE_HZ: Final = 96_000
MAX_CHANNELS: Final = 2
BLOCK_SAMPLES: Final = 1 << 18


@dataclass(frozen=True)
class OpenRecording:
    """A recording that can be read in blocks, as often as is needed.

    Attributes:
        sample_rate_hz: 8000 … 96000.
        channels: 1 or 2.
        n_samples: a channel.
        blocks: returns an iterator of float32 [n, C] of about −1 … 1.
        n_bytes: of the file it comes from, or of the array.
    """

    sample_rate_hz: int
    channels: int
    n_samples: int
    blocks: Callable[[], Iterator[Samples]]
    n_bytes: int = 0


def open_recording(source: bytes | str | Path) -> OpenRecording:
    """Open an audio file, or the bytes of one, that soundfile reads.

    The file is read through once: lengths in MP3 headers are estimates.

    Raises:
        InputError: if it is no such file, is empty, has samples that are no numbers, or a rate
            or a number of channels that cannot be coded.
    """

    def blocks() -> Iterator[Samples]:
        with _opened(source) as file:
            while True:
                block: Samples = file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)
                if not len(block):
                    return
                yield block

    try:
        with _opened(source) as file:
            rate_hz, channels = int(file.samplerate), int(file.channels)
        check_format(rate_hz, channels)
        n_samples = sum(map(_checked_length, blocks()))
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise InputError(f"not a recording that can be read: {error}") from None
    if not n_samples:
        raise InputError("the recording is empty")
    n_bytes = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    return OpenRecording(rate_hz, channels, n_samples, blocks, n_bytes)


def recording_of(samples: NDArray[Any], sample_rate_hz: int) -> OpenRecording:
    """Take an array as a recording.

    Args:
        samples: float32 or float64 of about −1 … 1, or int16; [T] or [T, C].
        sample_rate_hz: 8000 … 96000.

    Raises:
        UsageError: if it is no such array.
        InputError: as `open_recording`.
    """
    array = np.asarray(samples)
    if array.dtype not in (np.float32, np.float64, np.int16) or array.ndim not in (1, 2):
        raise UsageError(
            f"samples of type {array.dtype} and shape {array.shape}, "
            "legal: float32, float64 or int16, [T] or [T, C]"
        )
    scale = np.float32(1 / 32768 if array.dtype == np.int16 else 1)
    matrix: Samples = (array if array.ndim == 2 else array[:, None]).astype(np.float32) * scale
    check_format(sample_rate_hz, matrix.shape[1])
    if not len(matrix):
        raise InputError("the recording is empty")
    _checked_length(matrix)

    def blocks() -> Iterator[Samples]:
        for start in range(0, len(matrix), BLOCK_SAMPLES):
            yield matrix[start : start + BLOCK_SAMPLES]

    rate_hz, channels = int(sample_rate_hz), matrix.shape[1]
    return OpenRecording(rate_hz, channels, len(matrix), blocks, array.nbytes)


def check_format(sample_rate_hz: float, channels: int) -> None:
    """Check that a rate and a number of channels can be coded.

    Raises:
        InputError: if not.
    """
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ or sample_rate_hz != int(sample_rate_hz):
        legal = f"{MIN_RATE_HZ}..{MAX_RATE_HZ}"
        raise InputError(f"a sample rate of {sample_rate_hz} Hz, legal: whole numbers {legal}")
    if not 1 <= channels <= MAX_CHANNELS:
        raise InputError(f"{channels} channels, legal: 1..{MAX_CHANNELS}")


def resample_blocks(
    blocks: Iterable[Samples], from_hz: int, to_hz: int, n_out: int
) -> Iterator[Samples]:
    """Yield blocks at another rate, `n_out` samples in all: trimmed, or padded with silence."""
    n_left, channels = n_out, 1
    for block in blocks if from_hz == to_hz else _resampled(blocks, from_hz, to_hz):
        channels = block.shape[1]
        some = block[:n_left]
        n_left -= len(some)
        if len(some):
            yield some
    while n_left:
        n = min(n_left, BLOCK_SAMPLES)
        n_left -= n
        yield np.zeros((n, channels), np.float32)


def _resampled(blocks: Iterable[Samples], from_hz: int, to_hz: int) -> Iterator[Samples]:
    stream, channels = None, 1
    for block in blocks:
        channels = block.shape[1]
        if stream is None:
            stream = soxr.ResampleStream(from_hz, to_hz, channels, dtype="float32")
        yield _matrix(stream.resample_chunk(np.ascontiguousarray(block)), channels)
    if stream is not None:
        rest = np.zeros((0, channels), np.float32)
        yield _matrix(stream.resample_chunk(rest, last=True), channels)


def _matrix(samples: NDArray[Any], channels: int) -> Samples:
    return samples.reshape(-1, channels).astype(np.float32, copy=False)


def _opened(source: bytes | str | Path) -> soundfile.SoundFile:
    return soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source))


def _checked_length(block: Samples) -> int:
    if not np.isfinite(block).all():
        raise InputError("the recording has samples that are NaN or infinite")
    return len(block)


def is_recording(head: bytes) -> bool:
    """Return whether the first bytes of a file (16 are enough) are those of an audio file."""
    riff = head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE"
    aiff = head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")
    mpeg = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
    return riff or aiff or mpeg or head.startswith((b"fLaC", b"OggS", b"ID3", b"caff", b".snd"))


def to_pcm16(samples: Samples) -> NDArray[np.int16]:
    """Round samples to 16 bits: clip, then round half up."""
    scaled = np.floor(samples.astype(np.float64) * 32768.0 + 0.5)
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def wav_header(sample_rate_hz: int, channels: int, n_samples: int) -> bytes:
    """Return the 44 bytes before the 16-bit samples of a WAV file.

    Raises:
        InputError: if the samples do not fit the format's 4 GiB.
    """
    n_bytes = 2 * channels * n_samples
    if n_bytes > 0xFFFFFFFF - 36:
        raise InputError(f"{n_bytes} bytes of samples do not fit a WAV file")
    per_frame = 2 * channels
    fields = (1, channels, sample_rate_hz, sample_rate_hz * per_frame, per_frame, 16)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16, *fields, b"data", n_bytes
    )
