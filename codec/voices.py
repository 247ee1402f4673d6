"""Voices to `.lvx` bytes and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from luxvox.cautions import warn_all
from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, as_array, check_device, check_types, file_bytes
from luxvox.codec.container.limits import DEFAULT_MAX_SECONDS
from luxvox.codec.container.repair import open_repaired
from luxvox.codec.effort import DEFAULT_EFFORT, VOICE_WORK, check_effort
from luxvox.codec.notes import loss_warnings
from luxvox.codec.targets import voice_target
from luxvox.codec.voice.decoding import (
    Samples,
    VoiceStream,
    channel_blocks,
    open_voice_file,
    segment_codes,
    voice_stream,
)
from luxvox.entropy.voice.plan import Codes
from luxvox.errors import TargetWarning, UsageError
from luxvox.late_imports import FOR_VOICES, load
from luxvox.progress import Progress, part_of, silent
from luxvox.timeline import FRAME_SAMPLES

if TYPE_CHECKING:
    import torch

    from luxvox.codec.voice.inputs import Voice
    from luxvox.codec.voice.recordings import OpenRecording
    from luxvox.models.voice.networks import SpeechConfig


@overload
def compress_speech(
    samples: list[Voice] | tuple[Voice, ...],
    sample_rate: int | None = None,
    bitrate: float | None = None,
    *,
    size: float | None = None,
    quality: float | None = None,
    effort: int = DEFAULT_EFFORT,
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[bytes]: ...


@overload
def compress_speech(
    samples: Voice,
    sample_rate: int | None = None,
    bitrate: float | None = None,
    *,
    size: float | None = None,
    quality: float | None = None,
    effort: int = DEFAULT_EFFORT,
    device: str = "cpu",
    progress: Progress | None = None,
) -> bytes: ...


def compress_speech(  # noqa: PLR0913 – one argument for each thing a caller may want
    samples: Voice | list[Voice] | tuple[Voice, ...],
    sample_rate: int | None = None,
    bitrate: float | None = None,
    *,
    size: float | None = None,
    quality: float | None = None,
    effort: int = DEFAULT_EFFORT,
    device: str = "cpu",
    progress: Progress | None = None,
) -> bytes | list[bytes]:
    """Compress a voice, to a bitrate or to a size or quality.

    Args:
        samples: float32 or float64 of about −1 … 1, or int16; [T], or [T, C] with 1 or 2 channels;
            a tensor of [T] or [C, T]; or an audio file: its path or URL, its bytes, or opened. A
            list of these, an array [B, T, C] or a tensor [B, C, T] is a batch.
        sample_rate: 8000 … 96000 Hz of samples; files say their own. What lies above 8 kHz in the
            recording is not kept.
        bitrate: kbit/s of the whole file, on average, 0.3 … 12; 3 if neither bitrate, size nor
            quality is given. If this recording cannot use a bitrate, it gets the nearest one
            possible, and a `TargetWarning` that states its range.
        size: bytes of the whole file, instead; it is never exceeded, and missed by at most 2 % (or
            3 bytes), or else there is a `TargetWarning`.
        quality: 1 … 100, instead.
        effort: 1 (fast) to 9 (best); never changes how files decode.
        device: where the networks run, `cpu` or `cuda`; never changes how files decode.
        progress: called with the share of the work done, 0 … 1.

    Returns:
        The bytes of a `.lvx` file; a list of them for a batch.

    Raises:
        UsageError: if an argument or the array's shape or type is not legal, more than one of
            bitrate, size and quality is given, or the size is out of reach; the message gives the
            range within reach.
        InputError: if there are no samples, some are NaN or infinite, or rate or number of
            channels cannot be coded; if its file cannot be decoded.
        ModelError: if no intact weights are installed.
        OSError, SystemFailure: its file cannot be read, or the device is not available.
    """
    check_types(progress=progress)
    request = _Request(bitrate, size, quality, effort, device, sample_rate)
    results, is_batch = _compress_all(samples, request, progress or silent)
    for _, cautions in results:
        warn_all(cautions, stacklevel=2)
    return [data for data, _ in results] if is_batch else results[0][0]


def compress_recording(
    recording: OpenRecording,
    *,
    bitrate: float | None = None,
    size: float | None = None,
    quality: float | None = None,
    effort: int = DEFAULT_EFFORT,
    device: str = "cpu",
    progress: Progress | None = None,
) -> bytes:
    """Compress an open recording, which is read several times, in blocks; see `compress_speech`."""
    request = _Request(bitrate, size, quality, effort, device)
    data, cautions = _compress(recording, request, progress)
    warn_all(cautions, stacklevel=2)
    return data


@dataclass(frozen=True)
class _Request:
    """The requested properties of a voice's file; see `compress_speech`."""

    bitrate: float | None
    size: float | None
    quality: float | None
    effort: int
    device: str
    sample_rate_hz: int | None = None


def _compress_all(
    samples: Voice | list[Voice] | tuple[Voice, ...], request: _Request, progress: Progress
) -> tuple[list[tuple[bytes, tuple[Warning, ...]]], bool]:
    """Code a voice, or each voice of a batch; also return whether it was a batch."""
    load(*FOR_VOICES)
    from luxvox.codec.voice.inputs import recording_of_input, split_batch
    from luxvox.torch_state import usual_state

    items, is_batch = split_batch(samples)
    share = 1 / max(len(items), 1)
    results = []
    for number, item in enumerate(items):
        with usual_state():
            recording = recording_of_input(item, request.sample_rate_hz)
        results.append(_compress(recording, request, part_of(progress, number * share, share)))
    return results, is_batch


def _compress(
    recording: OpenRecording, request: _Request, progress: Progress | None
) -> tuple[bytes, tuple[Warning, ...]]:
    """Code a recording as requested; also return the warnings for the caller."""
    load(*FOR_VOICES)
    from luxvox.codec.voice.calibration import with_level_of
    from luxvox.codec.voice.encoding import VoiceEncoder, networks_on
    from luxvox.codec.voice.rates import at_target
    from luxvox.models.voice.weights import voice_codec
    from luxvox.torch_state import usual_state

    check_types(bitrate=request.bitrate, size=request.size, quality=request.quality)
    check_types(effort=request.effort, progress=progress)
    check_device(request.device)
    target = voice_target(request.quality, request.bitrate, request.size)
    work, progress = VOICE_WORK[check_effort(request.effort)], progress or silent
    with usual_state():
        codec = voice_codec(None)
        networks = networks_on(codec, request.device)
        encoder = VoiceEncoder(codec, recording, work, networks, progress)
        data, missed = at_target(encoder, target)
        data = with_level_of(encoder, data)
    progress(1.0)
    notes = list(recording.notes)
    if encoder.level.powers.any() and not any(container.read(data).codes):
        notes.append("at this quality it keeps no codes, and comes back silent")
    lost = loss_warnings(notes)
    if missed and (request.bitrate or request.size):  # the default is no request
        return data, (TargetWarning(missed), *lost)
    return data, tuple(lost)


def decompress_speech(
    data: FileBytes,
    sections: int | None = None,
    *,
    strict: bool = False,
    conceal: bool = False,
    max_seconds: float = DEFAULT_MAX_SECONDS,
    progress: Progress | None = None,
) -> tuple[Samples, int]:
    """Decompress a voice.

    Args:
        data: a `.lvx` file: its bytes, path or URL, or opened; one that is cut gives its whole
            sections, and a `TruncatedWarning`.
        sections: decode only the first n code sections of each segment (1 is the coarsest).
        strict: refuse files that are cut.
        conceal: decode altered files, too, with a `DamageWarning`: an altered section leaves its
            own segment coarser, or silent, and the others whole.
        max_seconds: refuse longer recordings.
        progress: called with the share of the work done, 0 … 1.

    Returns:
        Samples float32 [T] (mono) or [T, 2], T as in the recording unless the file is cut, and
        the sample rate in Hz.

    Raises:
        FormatError: if the file is malformed; `ChecksumError` if altered, `TruncatedError` if cut
            before the first segment's end, or anywhere with `strict`.
        UnsupportedError: if it is a picture, or needs another luxvox or other weights.
        InputError: if it is longer than `max_seconds`.
    """
    load(*FOR_VOICES)
    options = VoiceReading(sections, strict, conceal, max_seconds, progress)
    stream, cautions = options.open(file_bytes(data))
    samples = np.concatenate(list(stream.blocks))
    warn_all(cautions, stacklevel=2)
    return (samples[:, 0] if stream.channels == 1 else samples), stream.sample_rate_hz


def stream_speech(
    file: FileBytes,
    sections: int | None = None,
    *,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> Iterator[Samples]:
    """Yield the samples of a file as float32 [n, C], stretch after stretch, for players.

    Args:
        file: a `.lvx` file: its bytes, path or URL, or opened.
        sections, max_seconds: as in `decompress_speech`.

    Raises:
        LuxvoxError: as `decompress_speech`, at the first stretch or before.
        OSError: if the file cannot be read.
    """
    load(*FOR_VOICES)
    stream, cautions = VoiceReading(sections, max_seconds=max_seconds).open(file_bytes(file))
    warn_all(cautions, stacklevel=2)
    return stream.blocks


@dataclass(frozen=True)
class VoiceReading:
    """The options of decoding a voice; see `decompress_speech`."""

    sections: int | None = None
    strict: bool = False
    conceal: bool = False
    max_seconds: float = DEFAULT_MAX_SECONDS
    progress: Progress | None = None

    def __post_init__(self) -> None:
        check_types(sections=self.sections, strict=self.strict, conceal=self.conceal)
        check_types(max_seconds=self.max_seconds, progress=self.progress)

    def open(self, data: bytes) -> tuple[VoiceStream, tuple[Warning, ...]]:
        """Open a file; return its samples, decoded on demand, and the warnings for the caller."""
        from luxvox.torch_state import steps_in_usual_state, usual_state

        with usual_state():
            file, cautions = open_repaired(data, self.conceal)
            voice = open_voice_file(
                file, self.max_seconds, strict=self.strict, conceal=self.conceal
            )
            stream = voice_stream(voice, self.sections, self.progress or silent)

        # Blocks are decoded later, when the caller's settings apply again.
        stream = replace(stream, blocks=steps_in_usual_state(stream.blocks))
        return stream, (*cautions, *voice.cautions)


def codes_of(file: container.OpenFile, max_seconds: float) -> tuple[Codes, tuple[Warning, ...]]:
    """Return the codes, uint16 [stages, frames] (mono) or [2, stages, frames], and warnings."""
    load(*FOR_VOICES)
    from luxvox.torch_state import usual_state

    with usual_state():
        voice = open_voice_file(file, max_seconds)
        channels = [
            np.concatenate(list(segment_codes(voice, channel)), axis=1)
            for channel in range(voice.header.channels)
        ]
    codes: Codes = channels[0] if len(channels) == 1 else np.stack(channels)
    return codes, voice.cautions


def samples_of_codes(codes: NDArray[Any] | torch.Tensor, model: int | None = None) -> Samples:
    """Decode codes to samples float32 [T] at 16 kHz and the common level.

    Args:
        codes: whole numbers [stages, frames], 0 … 1023; 0 is null, and ends its frame. If
            there are fewer stages than in the model, they are its first ones.
        model: number of the voice model; the newest by default.

    Raises:
        UsageError: if the shape or a code is not legal.
    """
    load(*FOR_VOICES)
    from luxvox.models.voice.weights import voice_codec
    from luxvox.torch_state import usual_state

    check_types(model=model)
    array = as_array("codes", codes)
    with usual_state():
        codec = voice_codec(model)
        whole = _check_codes(array, codec.model.config)
        n_samples = (array.shape[1] - 1) * FRAME_SAMPLES
        blocks = list(channel_blocks(codec, [whole], n_samples, None))
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _check_codes(array: NDArray[Any], config: SpeechConfig) -> Codes:
    """Return codes at full depth, uint16 [stages, frames]; nothing follows a null."""
    if array.ndim != 2 or not array.size or array.shape[0] > config.n_stages:
        raise UsageError(
            f"codes of shape {array.shape}, legal: [1..{config.n_stages}, 1 or more frames]"
        )
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= config.codebook_size:
        raise UsageError(f"codes are whole numbers, legal: 0..{config.codebook_size - 1}")
    whole: Codes = np.zeros((config.n_stages, array.shape[1]), np.uint16)
    whole[: len(array)] = array * np.cumprod(array != 0, axis=0)
    return whole
