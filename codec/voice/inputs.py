"""Voices as callers may pass them: arrays, tensors and files; one or a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.arguments import (
    ForeignFile,
    as_array,
    check_types,
    foreign_file,
    is_file,
    is_tensor,
    unstack,
)
from luxvox.codec.voice.recordings import OpenRecording, open_recording, recording_of
from luxvox.errors import UsageError

if TYPE_CHECKING:
    import torch

Voice: TypeAlias = "NDArray[Any] | torch.Tensor | ForeignFile"
"""A voice: an array `[T]` or `[T, C]`, a tensor `[T]` or `[C, T]`, or a file."""

_BATCH_DIMENSIONS = 3


def split_batch(voices: Any) -> tuple[list[Any], bool]:
    """Return the voices of an argument, and whether it is a batch of them.

    Args:
        voices: a voice; or a list or tuple of them, an array `[B, T, C]`, a tensor `[B, C, T]`.
            A list of numbers, or of lists of them, is a single voice.
    """
    if isinstance(voices, list | tuple):
        is_batch = bool(voices) and all(map(_is_voice, voices))
        return (list(voices), True) if is_batch else ([voices], False)
    stack = unstack(voices, _BATCH_DIMENSIONS)
    return ([voices], False) if stack is None else (stack, True)


def recording_of_input(voice: Voice, sample_rate: int | None) -> OpenRecording:
    """Convert a voice in any form to a recording.

    Args:
        voice: see `Voice`.
        sample_rate: of samples, in Hz; None for a file, which has its own.

    Raises:
        UsageError: samples of an unsupported type, shape or scale; a rate is missing, or given for
            a file.
        InputError: a file that is not a recording, or a rate or channels that cannot be coded.
        SystemFailure: an optional package is needed to read it, or its URL cannot be read.
        OSError: the file cannot be opened or read.
    """
    something: Any = voice
    if is_file(voice):
        if sample_rate is not None:
            raise UsageError("sample_rate is for samples; a file says its own")
        return open_recording(foreign_file(something))
    check_types(sample_rate=sample_rate)
    samples = as_array("samples", something)
    # [C, T] -> [T, C]
    samples = samples.T if is_tensor(voice) and samples.ndim == 2 else samples
    return recording_of(samples, cast("int", sample_rate))


def _is_voice(item: object) -> bool:
    is_samples = isinstance(item, np.ndarray) or is_tensor(item)
    return is_file(item) or (is_samples and getattr(item, "ndim", 0) > 0)
