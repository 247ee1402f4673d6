"""Audio files read by libsndfile, or by FFmpeg where PyAV is installed, always to their true end.

The length in a header is not trusted: samples are read until there are no more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Final, cast

import numpy as np
import soundfile
from numpy.typing import NDArray

from luxvox.codec.kinds import HEAD_BYTES, kind_of
from luxvox.codec.notes import PartNote
from luxvox.codec.quiet import LIBMPG123, quiet
from luxvox.codec.voice.files.mpeg_frames import find_frames, without_description
from luxvox.codec.voice.files.ogg_links import find_links
from luxvox.codec.voice.files.splicing import Part, SplicedFile
from luxvox.codec.voice.files.stated_sizes import note_on_cut
from luxvox.codec.voice.files.tags import (
    end_without_tags,
    note_on_tags,
    tags_in_chunks,
    tags_in_mpeg,
)
from luxvox.codec.voice.files.unfinished_headers import mend
from luxvox.errors import InputError, LuxvoxError, SystemFailure

Samples = NDArray[np.float32]
Open = Callable[[], BinaryIO]

BLOCK_SAMPLES: Final = 1 << 18
EXTRA: Final = "luxvox[formats]"

# Kinds that FFmpeg reads and libsndfile does not.
_READ_BY_AV: Final = frozenset(
    "MPEG-4 (m4a, mp4)|AAC|AMR|Windows Media|Matroska or WebM|WavPack|Monkey's Audio|TTA|Musepack|"
    "DSD|AVI video|Flash video|AC-3|MPEG film".split("|")
)
_MATROSKA: Final = "Matroska or WebM"  # its header states its length
_FFMPEG_TICKS: Final = 1_000_000  # a second
_FARTHEST_BYTES: Final = 1 << 48  # size of a file without a length, for libmpg123's estimate
_LONGEST_BELIEVED: Final = 1 << 62  # libsndfile gives more than this if a file states no length


@dataclass(frozen=True)
class Sound:
    """A file that a library has opened.

    Attributes:
        sample_rate_hz: of the file.
        channels: of the file.
        blocks: returns an iterator of float32 [n, C].
        n_stated: stated samples per channel; None if the file states none.
        notes: on missing parts.
    """

    sample_rate_hz: int
    channels: int
    blocks: Callable[[], Iterator[Samples]]
    n_stated: int | None = None
    notes: tuple[str, ...] = ()


def open_sound(open_file: Open, file_size: int) -> Sound:
    """Open an audio file with whichever library reads it.

    Args:
        open_file: opens the file again at each call, at its start.
        file_size: in bytes.

    Raises:
        InputError: no library reads it.
        SystemFailure: it needs PyAV, which is not installed.
    """
    with open_file() as file:
        kind = kind_of(file.read(HEAD_BYTES))
    if kind == "MIDI":
        raise InputError("a MIDI file, which holds notes and no sound")
    if kind in _READ_BY_AV:
        return _open_with_av(open_file, str(kind))
    try:
        return _open_with_libsndfile(open_file, file_size, kind)
    except soundfile.LibsndfileError as error:
        try:
            sound = _open_with_av(open_file, kind or "unknown")
        except LuxvoxError:
            reason = error.error_string.rstrip(".")
            raise InputError(f"not a recording that can be read: {reason}") from None
        with open_file() as file:
            cut = note_on_cut(file, file_size, kind)
        return sound if cut is None else replace(sound, notes=(PartNote(cut), *sound.notes))


def _open_with_libsndfile(open_file: Open, file_size: int, kind: str | None) -> Sound:
    if kind == "MPEG audio":
        return _open_mpeg(open_file)
    if kind == "Ogg":
        return _open_ogg(open_file, file_size)
    with open_file() as file:
        end = end_without_tags(file, file_size) if kind == "FLAC" else file_size
    if end < file_size:  # libFLAC mistakes following bytes for a damaged frame
        sound = _open_one(_splice(open_file, (range(end),)))
        return replace(sound, notes=("its tags are not kept",))
    with open_file() as file:
        mended = mend(file, file_size)
        cut = mended.note or note_on_cut(file, file_size, kind)
        tags = tags_in_chunks(file, file_size) if kind in ("WAV", "AIFF") else ()
    open_mended = open_file if mended.parts is None else _splice(open_file, mended.parts)
    sound = _open_one(open_mended)
    if cut is None:
        return replace(sound, notes=(*sound.notes, *tags))
    return replace(sound, n_stated=None, notes=(PartNote(cut), *sound.notes, *tags))


def _open_mpeg(open_file: Open) -> Sound:
    with open_file() as file:
        data = file.read()
    audio = find_frames(data)
    if audio is None:
        return _open_one(open_file)
    notes = tags_in_mpeg(data)
    if audio.n_skipped:
        notes = (f"{audio.n_skipped:,} bytes in it are not sound", *notes)
    is_described = audio.n_described is not None and abs(audio.n_described - audio.n_frames) <= 1
    if is_described:
        opened = _splice(open_file, audio.spans)
    else:
        # With such a size, the estimated length is never below the true one.
        opened = _splice(open_file, without_description(audio, data), _FARTHEST_BYTES)
    sound = _open_one(opened)
    n_frames = max(audio.n_frames, audio.n_described or 0)
    n_stated = sound.n_stated if is_described else audio.samples_in(n_frames)
    return Sound(sound.sample_rate_hz, sound.channels, sound.blocks, n_stated, notes)


def _open_ogg(open_file: Open, file_size: int) -> Sound:
    with open_file() as file:
        links = find_links(file, file_size)
    if not links.spans:
        return _open_one(open_file)
    sounds = [_open_one(_splice(open_file, (span,))) for span in links.spans]
    first = sounds[0]
    for sound in sounds:
        if (sound.sample_rate_hz, sound.channels) != (first.sample_rate_hz, first.channels):
            raise InputError(
                f"recordings of {first.sample_rate_hz} Hz, {first.channels} channel(s) and of "
                f"{sound.sample_rate_hz} Hz, {sound.channels} channel(s) are joined in it"
            )

    def blocks() -> Iterator[Samples]:
        for sound in sounds:
            yield from sound.blocks()

    stated = [sound.n_stated for sound in sounds if sound.n_stated is not None]
    n_stated = sum(stated) if len(stated) == len(sounds) else None
    notes = first.notes if links.note is None else (PartNote(links.note), *first.notes)
    return Sound(first.sample_rate_hz, first.channels, blocks, n_stated, notes)


class _SequentialFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read to its true end, whatever end it states."""

    def seekable(self) -> bool:
        """Return False, since soundfile would seek after each block and trust the stated length."""
        return False


def _open_one(open_file: Open) -> Sound:
    """Open a file with libsndfile; silence libmpg123 if it is used."""
    with open_file() as stream, contextlib.ExitStack() as stack:
        with quiet(LIBMPG123):
            file = stack.enter_context(_SequentialFile(stream))
        n_frames = int(file.frames)
        n_stated = n_frames if 0 < n_frames < _LONGEST_BELIEVED else None
        notes = note_on_tags(file.copy_metadata())
        is_mpeg = str(file.subtype).startswith("MPEG")
        sample_rate_hz, channels = int(file.samplerate), int(file.channels)

    def silence() -> contextlib.AbstractContextManager[None]:
        return quiet(LIBMPG123) if is_mpeg else contextlib.nullcontext()

    def blocks() -> Iterator[Samples]:
        with open_file() as stream:
            with silence():
                file = _SequentialFile(stream)
            with file:
                while True:
                    space: Samples = np.empty((BLOCK_SAMPLES, channels), np.float32)
                    with silence():
                        block: Samples = file.read(out=space)
                    if not len(block):
                        return
                    yield block

    return Sound(sample_rate_hz, channels, blocks, n_stated, notes)


def _splice(open_file: Open, parts: Sequence[Part], claimed_size: int | None = None) -> Open:
    def open_spliced() -> BinaryIO:
        return cast("BinaryIO", SplicedFile(open_file(), parts, claimed_size))

    return open_spliced


def _open_with_av(open_file: Open, kind: str) -> Sound:
    try:
        import av
    except ImportError:
        raise SystemFailure(
            f"a recording of the kind {kind}; to read it: pip install '{EXTRA}'"
        ) from None

    def blocks() -> Generator[Samples]:
        with open_file() as file:
            try:
                with av.open(file, metadata_errors="replace") as container:
                    yield from _decode(av, container)
            except av.error.FFmpegError as error:
                words = (error.strerror or str(error)).rstrip(".")
                raise InputError(f"not a recording that can be read: {words}") from None

    with contextlib.closing(blocks()) as opening:
        first = next(opening, None)
    if first is None:
        raise InputError(f"a file of the kind {kind} without sound")
    with open_file() as file, av.open(file, "r", metadata_errors="replace") as container:
        notes = _note_losses(container)
        n_stated_s = _stated_seconds(container) if kind == _MATROSKA else None
        frame = next(container.decode(container.streams.audio[0]))
        rate_hz = int(frame.sample_rate)
        n_stated = None if n_stated_s is None else int(n_stated_s * rate_hz)
        return Sound(rate_hz, first.shape[1], blocks, n_stated, notes)


def _stated_seconds(container: Any) -> float | None:
    """Return the stated duration of sound; FFmpeg ends without an error if it is cut.

    It is unknown for films, whose pictures may last longer.
    """
    if container.duration is None or container.streams.video:
        return None
    return float(container.duration - max(container.start_time or 0, 0)) / _FFMPEG_TICKS


def _decode(av: Any, container: Any) -> Iterator[Samples]:
    if not container.streams.audio:
        raise InputError("a file without sound")
    resampler = first = None
    frames = container.decode(container.streams.audio[0])
    for frame in frames:
        kind = frame.sample_rate, frame.layout.name
        if resampler is None:
            first = kind
            resampler = av.AudioResampler("fltp", frame.layout, frame.sample_rate)
        elif kind != first:
            raise InputError("recordings of different sample rates or channels are joined in it")
        yield from map(_samples_of, resampler.resample(frame))
    if resampler is not None:
        yield from map(_samples_of, resampler.resample(None))


def _samples_of(frame: Any) -> Samples:
    samples: Samples = np.ascontiguousarray(frame.to_ndarray().T, np.float32)
    return samples


def _note_losses(container: Any) -> tuple[str, ...]:
    n_others = len(container.streams.audio) - 1
    notes: list[str] = []
    if n_others:
        notes.append(PartNote(f"only the first of {n_others + 1} recordings in it is kept"))
    is_film = any(
        not stream.disposition & stream.disposition.attached_pic
        for stream in container.streams.video
    )
    if is_film:
        notes.append(PartNote("only its sound is kept, not its pictures"))
    return (*notes, *note_on_tags(container.metadata))
