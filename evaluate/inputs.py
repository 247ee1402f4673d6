"""What is evaluated: pictures and voices, told apart by content, read the same for every codec."""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import files
from luxvox.codec.container.limits import DEFAULT_MAX_PIXELS
from luxvox.codec.picture import reading
from luxvox.codec.picture.files.pillow import open_image
from luxvox.codec.voice import recordings
from luxvox.errors import InputError, LuxvoxError, SystemFailure, UsageError

Kind = Literal["pictures", "voices"]

PICTURES: Kind = "pictures"
VOICES: Kind = "voices"
VOICE_RATE_HZ = 16_000

# A damaged file is told from one that is neither picture nor recording by its extension.
_MEDIA_ENDINGS = frozenset(
    ".avif .bmp .gif .jp2 .jpeg .jpg .jxl .png .pgm .ppm .tif .tiff .webp"
    " .aif .aiff .flac .mp3 .oga .ogg .opus .wav".split()
)


@dataclass(frozen=True)
class TestFile:
    """A file to evaluate on.

    Attributes:
        path: where it is.
        name: how reports call it.
        kind: pictures or voices.
        sha256: of the file's bytes, hexadecimal.
        text: the words spoken in it, where they are known.
        language: of `text`, two letters.
    """

    __test__: ClassVar[bool] = False  # not for pytest

    path: Path
    name: str
    kind: Kind
    sha256: str
    text: str | None = None
    language: str = "en"


@dataclass(frozen=True)
class Failure:
    """A file, or a codec on a file, that could not be measured, and why."""

    file: str
    reason: str
    codec: str | None = None


@dataclass(frozen=True)
class Found:
    """What `find` returns: test files of both kinds by name, and damaged files."""

    pictures: tuple[TestFile, ...]
    voices: tuple[TestFile, ...]
    failures: tuple[Failure, ...]


def find(inputs: Sequence[Path], limit: int | None = None) -> Found:
    """List the pictures and voices among files and in folders (not in their subfolders).

    Args:
        inputs: files and folders.
        limit: the most files of each kind, the first by name; None for all.

    Returns:
        What was found. Files of a folder that are neither, by content and by extension, are
        skipped; a file that is named must be one of the two.

    Raises:
        UsageError: an input that does not exist, or nothing was found.
    """
    test_files: dict[str, TestFile] = {}
    failures: list[Failure] = []
    for path, is_named in _files(inputs):
        try:
            kind = _kind_of(path)
            if kind is None and (is_named or path.suffix.lower() in _MEDIA_ENDINGS):
                raise InputError("neither a picture nor a recording that can be read")
            if kind is not None:
                name = path.name if path.name not in test_files else os.fspath(path)
                test_files[name] = _with_text(TestFile(path, name, kind, _sha256(path)))
        except (LuxvoxError, OSError) as error:
            failures.append(Failure(path.name, one_line(error)))
    if not test_files and not failures:
        named = ", ".join(map(os.fspath, inputs))
        raise UsageError(f"{named}: no picture and no recording to measure")
    ordered = sorted(test_files.values(), key=lambda test_file: (test_file.name, test_file.sha256))
    of_kind = {k: [x for x in ordered if x.kind == k][:limit] for k in (PICTURES, VOICES)}
    return Found(
        tuple(of_kind[PICTURES]),
        tuple(of_kind[VOICES]),
        tuple(sorted(failures, key=lambda failure: failure.file)),
    )


def picture_paths(folder: Path) -> list[Path]:
    """List the pictures of a folder by name.

    Raises:
        UsageError: the folder holds no picture.
    """
    paths = [test_file.path for test_file in find([folder]).pictures]
    if not paths:
        raise UsageError(f"{folder}: holds no picture")
    return paths


def one_line(error: BaseException) -> str:
    """Return the message of an exception in one line."""
    if isinstance(error, OSError) and error.strerror:
        return files.reason(error)
    return " ".join(str(error).split()) or type(error).__name__


def read(test_file: TestFile) -> NDArray[Any]:
    """Read a picture as RGB, uint8 [H, W, 3], or a voice as 16 kHz mono, float32 [T].

    Alpha is dropped, grey becomes RGB; channels are averaged and resampled by soxr.

    Raises:
        InputError: the file is damaged.
        OSError: it cannot be read.
    """
    return (
        read_picture(test_file.path) if test_file.kind == PICTURES else read_voice(test_file.path)
    )


@functools.lru_cache(maxsize=2)
def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB, uint8 [H, W, 3], read-only."""
    pixels = reading.from_file(path).pixels
    rgb = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    rgb.flags.writeable = False
    return rgb


@functools.lru_cache(maxsize=2)
def read_voice(path: Path) -> NDArray[np.float32]:
    """Read a voice as 16 kHz mono, float32 [T], read-only."""
    recording = recordings.open_recording(path)
    rate_hz = recording.sample_rate_hz
    mono = (block.mean(axis=1, keepdims=True, dtype=np.float32) for block in recording.blocks())
    n_out = -(-recording.n_samples * VOICE_RATE_HZ // rate_hz)
    blocks = recordings.resample_blocks(mono, rate_hz, VOICE_RATE_HZ, n_out)
    samples = np.concatenate([block[:, 0] for block in blocks])
    samples.flags.writeable = False
    return samples


def size_of(test_file: TestFile, original: NDArray[Any]) -> dict[str, float]:
    """Return width and height in pixels, or the length in seconds."""
    if test_file.kind == PICTURES:
        return {"width": original.shape[1], "height": original.shape[0]}
    return {"seconds": len(original) / VOICE_RATE_HZ}


def rate_of(kind: Kind, n_bytes: int, original: NDArray[Any]) -> float:
    """Return the rate of a number of bytes: bits per pixel, or kbit/s."""
    if kind == PICTURES:
        height, width, _ = original.shape
        return float(8.0 * n_bytes / (height * width))
    return 8.0 * n_bytes * VOICE_RATE_HZ / len(original) / 1000.0


def _files(inputs: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    seen: set[Path] = set()
    for path in inputs:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in inside:
            is_hidden = file.name.startswith(".") and path.is_dir()
            if file.is_file() and not is_hidden and file.resolve() not in seen:
                seen.add(file.resolve())
                yield file, not path.is_dir()


def _kind_of(path: Path) -> Kind | None:
    if recordings.is_recording(files.peek(str(path), 16)):
        return VOICES
    try:
        with open_image(path, DEFAULT_MAX_PIXELS):
            return PICTURES
    except (InputError, SystemFailure):  # not a picture, or a package for it is missing
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def _with_text(test_file: TestFile) -> TestFile:
    if test_file.kind != VOICES:
        return test_file
    transcript = test_file.path.with_suffix(".txt")
    try:
        if transcript.is_file():
            return replace(test_file, text=transcript.read_text(encoding="utf-8").strip() or None)
        text, language = _transcripts(test_file.path.parent).get(test_file.path.name, (None, "en"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"its transcript cannot be read: {one_line(error)}") from error
    return replace(test_file, text=text, language=language)


@functools.lru_cache(maxsize=8)
def _transcripts(folder: Path) -> dict[str, tuple[str, str]]:
    """Read `transcripts.tsv`: columns file, text, and language and text_from if they are there.

    Where `text_from` says where texts come from, only those from the corpus count.
    """
    path = folder / "transcripts.tsv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            row["file"]: (row["text"], (row.get("language") or "en")[:2])
            for row in csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
            if row.get("file") and row.get("text") and row.get("text_from", "corpus") == "corpus"
        }
