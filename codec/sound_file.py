"""A voice's file, read as `soundfile.SoundFile` reads a recording: by seeking and in blocks."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luxvox.cautions import warn
from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, check_types, file_bytes
from luxvox.codec.container import CUT, Container, VoiceHeader
from luxvox.codec.container.limits import DEFAULT_MAX_SECONDS
from luxvox.codec.voices import stream_speech
from luxvox.errors import TruncatedError, TruncatedWarning, UnsupportedError, UsageError
from luxvox.timeline import (
    CODED_RATE_HZ,
    FRAME_SAMPLES,
    PARTS,
    SEGMENT_FRAMES,
    n_segments,
    samples_of_segments,
)

SEGMENT_S = SEGMENT_FRAMES * FRAME_SAMPLES // CODED_RATE_HZ
_TYPES = ("float64", "float32", "int32", "int16")


class SpeechFile:
    """A compressed voice that is decoded where it is read.

    It has the attributes and methods of `soundfile.SoundFile` for reading. Segments of 15 s are
    decoded as they are reached, so a file of an hour opens at once; seeking decodes from the
    segment before the position.

    Args:
        file: a `.lvx` file: its path or URL, opened, or its bytes.
        max_seconds: refuse longer recordings.

    A file that is cut gives its whole segments; `open_speech` warns of it.

    Raises:
        FormatError: if the file is malformed; `ChecksumError` if altered, `TruncatedError` if cut
            before the end of its first segment.
        UnsupportedError: if it holds a picture, or needs other weights.
    """

    mode = "r"
    format, subtype = "LVX", "LUXVOX"

    def __init__(
        self,
        file: FileBytes,
        max_seconds: float = DEFAULT_MAX_SECONDS,
    ) -> None:
        check_types(max_seconds=max_seconds)
        self.name = os.fspath(file) if isinstance(file, str | os.PathLike) else "<bytes>"
        self._content = container.read(file_bytes(file))
        header = self._content.header
        if not isinstance(header, VoiceHeader):
            raise UnsupportedError("this file holds a picture, not a voice")
        if self._content.truncated:
            header = _header_of_whole_segments(self._content, header)
        self._header = header
        self._max_seconds = max_seconds
        self.closed = False
        self._restart(0)

    @property
    def is_cut(self) -> bool:
        """Whether the file ends early; then its whole segments are read."""
        return self._content.truncated

    @property
    def samplerate(self) -> int:
        """Samples a second."""
        return self._header.sample_rate_hz

    @property
    def channels(self) -> int:
        """1 or 2."""
        return self._header.channels

    @property
    def frames(self) -> int:
        """Samples a channel."""
        return self._header.n_samples

    def __len__(self) -> int:
        return self.frames

    def __enter__(self) -> SpeechFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget the file; it cannot be read from any more."""
        self.closed = True
        self._chunks: Iterator[NDArray[np.float32]] = iter(())

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next sample."""
        return self._position

    def seek(self, frames: int, whence: int = io.SEEK_SET) -> int:
        """Go to a sample, and return its position.

        Args:
            frames: samples from the start, from here (`SEEK_CUR`) or from the end (`SEEK_END`).

        Raises:
            UsageError: if there is no such position.
        """
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.frames}
        check_types(frames=frames, whence=whence)
        if self.closed:
            raise UsageError("the file is closed")
        if whence not in origins:
            raise UsageError(f"whence {whence} is unknown, legal: 0, 1, 2")
        position = origins[whence] + int(frames)
        if not 0 <= position <= self.frames:
            raise UsageError(f"sample {position} asked for, legal: 0..{self.frames}")
        if position != self._position:
            self._restart(position)
        return position

    def read(
        self, frames: int = -1, dtype: str = "float64", always_2d: bool = False
    ) -> NDArray[Any]:
        """Return the next samples, fewer at the end of the file.

        Args:
            frames: how many a channel; all that are left if negative.
            dtype: `float64`, `float32` (full scale 1), `int32` or `int16` (full scale of the type).
            always_2d: return [n, 1], not [n], of a single channel.

        Raises:
            UsageError: if the file is closed, or the type is not one of these.
        """
        if self.closed:
            raise UsageError("the file is closed")
        check_types(frames=frames)
        if dtype not in _TYPES:
            raise UsageError(f"dtype {dtype!r} is unknown, legal: {', '.join(_TYPES)}")
        left, frames = self.frames - self._position, int(frames)
        samples = self._take(left if frames < 0 else min(frames, left))
        self._position += len(samples)
        samples = _as_type(samples, dtype)
        return samples if always_2d or self.channels > 1 else samples[:, 0]

    def blocks(
        self, blocksize: int, dtype: str = "float64", always_2d: bool = False
    ) -> Iterator[NDArray[Any]]:
        """Yield the rest of the file in blocks of n samples per channel."""
        check_types(blocksize=blocksize)
        if blocksize < 1:
            raise UsageError(f"a block of {blocksize} samples, legal: 1 or more")
        while self._position < self.frames:
            yield self.read(blocksize, dtype, always_2d)

    def _restart(self, position: int) -> None:
        """Decode from the segment before a position: networks and resampling look back a little."""
        samples = SEGMENT_S * self.samplerate
        first = max(position // samples - 1, 0)
        if position == self.frames:
            self._chunks = iter(())
        else:
            self._chunks = stream_speech(self._from_segment(first), max_seconds=self._max_seconds)
        self._held = np.zeros((0, self.channels), np.float32)
        self._position = position
        if position < self.frames:
            self._take(position - first * samples)

    def _from_segment(self, first: int) -> bytes:
        """Return a file of the segments from one on."""
        n_left = self.frames - first * SEGMENT_S * self.samplerate
        a_segment = PARTS * self.channels
        last = n_segments(self.frames, self.samplerate)
        sections = self._content.sections[a_segment * first : a_segment * last]
        return container.write(replace(self._header, n_samples=n_left), sections)

    def _take(self, n: int) -> NDArray[np.float32]:
        """Return the next n samples [n, channels] as they are decoded, or all that are left."""
        if len(self._held) >= n:
            block, self._held = self._held[:n], self._held[n:]
            return block

        parts, n_held = [self._held], len(self._held)
        while n_held < n and (chunk := next(self._chunks, None)) is not None:
            parts.append(chunk)
            n_held += len(chunk)
        joined = np.concatenate(parts)
        self._held = joined[n:]
        return joined[:n]


def open_speech(file: FileBytes, max_seconds: float = DEFAULT_MAX_SECONDS) -> SpeechFile:
    """Open a compressed voice to be read in parts; see `SpeechFile`."""
    voice = SpeechFile(file, max_seconds)
    if voice.is_cut:
        warn(TruncatedWarning(f"{CUT}; reading its whole segments"), stacklevel=2)
    return voice


def _header_of_whole_segments(content: Container, header: VoiceHeader) -> VoiceHeader:
    """Return the header of the segments that are whole in a file that is cut."""
    n_whole = len(content.codes) // (PARTS * header.channels)
    if n_whole == 0:
        raise TruncatedError("the file is cut before its first segment is whole")
    n_samples = samples_of_segments(n_whole, header.sample_rate_hz)
    return replace(header, n_samples=min(n_samples, header.n_samples))


def _as_type(samples: NDArray[np.float32], dtype: str) -> NDArray[Any]:
    if dtype.startswith("float"):
        return samples.astype(dtype)
    limits = np.iinfo(dtype)
    scaled = np.rint(samples.astype(np.float64) * (limits.max + 1.0))
    return scaled.clip(limits.min, limits.max).astype(dtype)
