"""The usual audio formats that decompressed voices are written in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from typing import BinaryIO, Final

import numpy as np
import soundfile

from luxvox.codec.files import write_all
from luxvox.codec.recordings import Samples, to_pcm16, wav_header
from luxvox.errors import UsageError

# Container and coding in libsndfile's words; WAV is written without it, so that pipes can have it.
FORMATS: Final[Mapping[str, tuple[str, str]]] = {
    "wav": ("WAV", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aif": ("AIFF", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
}


def find_format(ending: str) -> tuple[str, str]:
    """Return container and coding of an ending without its dot.

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
    """Write float32 blocks [n, C], clipped to −1 … 1, as an audio file.

    Args:
        stream: where to; need not be seekable.
        ending: one of `FORMATS`.
        shape: samples a channel of all blocks together, and channels.
        sample_rate_hz: of the file.
        blocks: the samples.

    Returns:
        How many bytes were written.

    Raises:
        UsageError: if the format cannot hold such samples.
    """
    container, coding = find_format(ending)
    if container == "WAV":
        return _write_wav(stream, shape, sample_rate_hz, blocks)
    if not soundfile.check_format(container, coding):
        raise UsageError(f"the libsndfile that is installed writes no {ending}")
    with tempfile.SpooledTemporaryFile(max_size=1 << 26) as whole:
        try:
            with soundfile.SoundFile(
                whole, "w", sample_rate_hz, shape[1], coding, format=container
            ) as file:
                for block in blocks:
                    file.write(np.clip(block, -1.0, 1.0))
        except soundfile.LibsndfileError as error:
            raise UsageError(
                f"{ending} cannot hold {shape[1]} channel(s) at {sample_rate_hz} Hz: {error}"
            ) from None
        whole.seek(0, 2)
        n_bytes = whole.tell()
        whole.seek(0)
        while part := whole.read(1 << 20):
            write_all(stream, part)
    return n_bytes


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
