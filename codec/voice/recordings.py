"""Recordings in and out: audio files, arrays, sample rates; no model.

Everything is processed in blocks, so that hours of sound need little memory.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from luxvox.codec.kinds import kind_of
from luxvox.codec.notes import PartNote
from luxvox.codec.voice.files.readers import BLOCK_SAMPLES, Samples, Sound, open_sound
from luxvox.codec.voice.files.splicing import SplicedFile
from luxvox.errors import InputError, UsageError
from luxvox.timeline import CODED_RATE_HZ

MIN_RATE_HZ: Final = 8_000
MAX_RATE_HZ: Final = 96_000
MAX_CHANNELS: Final = 2

# Full scale is 1. Floats beyond this have another scale, for example 16-bit integers.
_MAX_PEAK: Final = 16.0
_LOUD_PEAK: Final = 2.0  # clipping of lower peaks is seldom audible
_BAND_FRAME: Final = 1024
_BAND_FRAMES_A_BLOCK: Final = 64
_AUDIBLE_SHARE: Final = 1e-5  # of all power, −50 dB
_MIN_CUT_S: Final = 0.1


@dataclass(frozen=True)
class OpenRecording:
    """A recording that can be read in blocks, as often as needed.

    Attributes:
        sample_rate_hz: 8000 … 96000.
        channels: 1 or 2.
        n_samples: per channel.
        blocks: returns an iterator of float32 [n, C] of about −1 … 1.
        n_bytes: of its file, or of the array.
        notes: on parts that are missing or will not be kept, one line each.
    """

    sample_rate_hz: int
    channels: int
    n_samples: int
    blocks: Callable[[], Iterator[Samples]]
    n_bytes: int = 0
    notes: tuple[str, ...] = ()


def open_recording(source: bytes | str | Path) -> OpenRecording:
    """Open an audio file, or the bytes of one.

    The whole file is read once, since headers may state a wrong length.

    Raises:
        InputError: if it is not such a file, is empty, has samples that are NaN, infinite or of
            another scale, or has a rate or a number of channels that cannot be coded.
        SystemFailure: if an optional package is needed to read it.
        OSError: if the file cannot be opened.
    """
    n_bytes = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if not n_bytes:
        raise InputError("the file is empty")

    def open_file() -> BinaryIO:
        base = io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")
        # libsndfile seeks to before the start of damaged files, for which other file objects raise.
        return cast("BinaryIO", SplicedFile(base, (range(n_bytes),)))

    survey = _Survey()
    try:
        sound = open_sound(open_file, n_bytes)
        check_format(sound.sample_rate_hz, sound.channels)
        for block in sound.blocks():
            survey.add(block, sound.sample_rate_hz)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        reason = getattr(error, "error_string", str(error)).rstrip(".")
        raise InputError(f"not a recording that can be read: {reason}") from None
    if not survey.n_samples:
        raise InputError("the recording is empty")
    if survey.peak > _MAX_PEAK:
        raise InputError(_out_of_scale(survey.peak))
    notes = (*_notes_on_length(sound, survey.n_samples), *survey.notes())
    rate_hz, channels = sound.sample_rate_hz, sound.channels
    return OpenRecording(rate_hz, channels, survey.n_samples, sound.blocks, n_bytes, notes)


def recording_of(samples: NDArray[Any], sample_rate_hz: int) -> OpenRecording:
    """Convert an array to a recording.

    Args:
        samples: float32 or float64 of about −1 … 1, or int16; [T] or [T, C].
        sample_rate_hz: 8000 … 96000.

    Raises:
        UsageError: if it is not such an array, or has another scale.
        InputError: as for `open_recording`.
    """
    array = np.asarray(samples)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in (np.float32, np.float64, np.int16) or array.ndim not in (1, 2):
        raise UsageError(
            f"samples of type {array.dtype} and shape {array.shape}, "
            "legal: float32, float64 or int16, [T] or [T, C]"
        )
    scale = np.float32(1 / 32768 if array.dtype == np.int16 else 1)
    with np.errstate(over="ignore"):  # infinite results are refused below
        matrix: Samples = (array if array.ndim == 2 else array[:, None]).astype(np.float32) * scale
    check_format(sample_rate_hz, matrix.shape[1])
    if not len(matrix):
        raise InputError("the recording is empty")
    survey = _Survey()

    def blocks() -> Iterator[Samples]:
        for start in range(0, len(matrix), BLOCK_SAMPLES):
            yield matrix[start : start + BLOCK_SAMPLES]

    for block in blocks():
        survey.add(block, int(sample_rate_hz))
    if survey.peak > _MAX_PEAK:
        raise UsageError(_out_of_scale(survey.peak))
    rate_hz, channels = int(sample_rate_hz), matrix.shape[1]
    return OpenRecording(
        rate_hz, channels, len(matrix), blocks, array.nbytes, tuple(survey.notes())
    )


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
    """Yield blocks at a different rate, `n_out` samples in all: trimmed, or padded with silence."""
    n_left, channels = n_out, 1
    for block in blocks if from_hz == to_hz else _resample(blocks, from_hz, to_hz):
        channels = block.shape[1]
        kept = block[:n_left]
        n_left -= len(kept)
        if len(kept):
            yield kept
    while n_left:
        n = min(n_left, BLOCK_SAMPLES)
        n_left -= n
        yield np.zeros((n, channels), np.float32)


def _resample(blocks: Iterable[Samples], from_hz: int, to_hz: int) -> Iterator[Samples]:
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


class _Survey:
    """The result of one pass through a recording."""

    def __init__(self) -> None:
        self.n_samples = 0
        self.peak = 0.0
        self._power = 0.0
        self._power_above = 0.0
        self._rest: Samples | None = None  # the end of the last block, less than a frame

    def add(self, block: Samples, rate_hz: int) -> None:
        """Add a block float32 [n, C]."""
        if not np.isfinite(block).all():
            raise InputError("the recording has samples that are NaN or infinite")
        self.n_samples += len(block)
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        if rate_hz > CODED_RATE_HZ and self.peak <= _MAX_PEAK:  # otherwise it is refused
            # Some readers give blocks shorter than a frame.
            joined = block if self._rest is None else np.concatenate([self._rest, block])
            self._add_bands(joined, rate_hz)
            self._rest = joined[len(joined) // _BAND_FRAME * _BAND_FRAME :].copy()

    def notes(self) -> list[str]:
        """Name the audible parts of the recording that will not be kept, or not in all files."""
        notes = []
        if self._power_above > _AUDIBLE_SHARE * self._power:
            notes.append(
                f"voices are kept up to {CODED_RATE_HZ // 2000} kHz; what is above is gone"
            )
        if self.peak > _LOUD_PEAK:
            notes.append(f"its samples reach {self.peak:.1f}; files of integers clip them at 1")
        return notes

    def _add_bands(self, block: Samples, rate_hz: int) -> None:
        # [n, C] -> [frames, 1024, C], spread over the block; windowed against edges
        n_frames = len(block) // _BAND_FRAME
        frames = block[: n_frames * _BAND_FRAME].reshape(n_frames, _BAND_FRAME, block.shape[1])
        frames = frames[:: max(1, n_frames // _BAND_FRAMES_A_BLOCK)]
        window = np.hanning(_BAND_FRAME).astype(np.float32)[None, :, None]
        spectrum = np.fft.rfft(frames * window, axis=1)
        power = np.square(np.abs(spectrum)).sum(axis=(0, 2))  # [513]
        self._power += float(power.sum())
        self._power_above += float(power[_first_bin_above(rate_hz) :].sum())


def _first_bin_above(rate_hz: int) -> int:
    return int(np.ceil(1.02 * CODED_RATE_HZ / 2 * _BAND_FRAME / rate_hz))


def _out_of_scale(peak: float) -> str:
    return (
        f"floating-point samples reach {peak:,.0f}, where full scale is 1; "
        "divide those in the scale of 16-bit integers by 32768"
    )


def _notes_on_length(sound: Sound, n_samples: int) -> tuple[str, ...]:
    """Add a note that a file is cut, if it has fewer samples than it states."""
    n_missing = 0 if sound.n_stated is None else sound.n_stated - n_samples
    if n_missing <= _MIN_CUT_S * sound.sample_rate_hz:
        return sound.notes
    stated_s, present_s = ((n_samples + n) / sound.sample_rate_hz for n in (n_missing, 0))
    cut = f"the file is cut: {present_s:.1f} of {stated_s:.1f} s are there"
    return (*sound.notes, PartNote(cut))


def is_recording(head: bytes) -> bool:
    """Return whether a file is an audio file, by its first bytes (16 are enough)."""
    return kind_of(head) is not None


def to_pcm16(samples: Samples) -> NDArray[np.int16]:
    """Round samples to 16 bits: clip, then round half up."""
    scaled = np.floor(samples.astype(np.float64) * 32768.0 + 0.5)
    return np.clip(scaled, -32768, 32767).astype(np.int16)


def wav_header(sample_rate_hz: int, channels: int, n_samples: int) -> bytes:
    """Return the 44 bytes before the 16-bit samples of a WAV file.

    Raises:
        UsageError: if the samples do not fit the format's 4 GiB.
    """
    n_bytes = 2 * channels * n_samples
    if n_bytes > 0xFFFFFFFF - 36:
        raise UsageError(f"{n_bytes} bytes of samples do not fit a WAV file; write .flac instead")
    per_frame = 2 * channels
    fields = (1, channels, sample_rate_hz, sample_rate_hz * per_frame, per_frame, 16)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + n_bytes, b"WAVE", b"fmt ", 16, *fields, b"data", n_bytes
    )
