"""The analysis of a recording, before its codes are cut to a rate: blocks, latents, full codes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.codec.voice.loudness import Level
from luxvox.codec.voice.recordings import resample_blocks
from luxvox.codec.voice.stereo import to_coded
from luxvox.codec.workers import in_one_thread, side_by_side
from luxvox.entropy.voice.plan import Codes
from luxvox.models.voice.networks import power_db
from luxvox.models.voice.tiling import ANALYSED_FRAMES, Chunk, analyse, chunks_of
from luxvox.progress import Progress, report_items
from luxvox.timeline import CODED_RATE_HZ, coded_length, n_frames

if TYPE_CHECKING:
    from luxvox.codec.voice.recordings import OpenRecording
    from luxvox.models.voice.networks import SpeechModel
    from luxvox.models.voice.weights import VoiceCodec

Samples: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """Frames of a channel, before their codes are cut to a rate.

    Attributes:
        codes: [stages, F] at full depth; empty if they will be chosen later.
        power_db: power of the latents [F].
        static_bits: cost of the codes by the static tables [stages, F].
        latents: float16 [n_channels, 1, F]; empty if no codes will be chosen.
    """

    codes: Codes
    power_db: NDArray[np.float32]
    static_bits: NDArray[np.float32]
    latents: Tensor


def analyse_channel(
    networks: SpeechModel,
    blocks: Iterable[Samples],
    n_coded: int,
    code: Callable[[Tensor], Frames],
    progress: Progress,
) -> Frames:
    """Return the frames of a channel.

    Args:
        networks: on the device that does the work.
        blocks: the samples [n] of the channel, one after the other.
        n_coded: how many there are in all.
        code: makes frames of latents [n_channels, 1, F].
        progress: called with the share of the work done.
    """
    total = n_frames(n_coded)
    chunks, n_chunks = chunks_of(networks, blocks, n_coded), -(-total // ANALYSED_FRAMES)

    def frames_of(chunk: Chunk) -> Frames:
        return code(analyse(networks, chunk))

    work = in_one_thread(frames_of)
    with contextlib.closing(side_by_side(work, chunks, n_chunks)) as parts:
        return join_frames(report_items(parts, n_chunks, progress), total)


def code_at_full_depth(codec: VoiceCodec, latents: Tensor, keeps_latents: bool) -> Frames:
    """Choose the nearest codewords as codes of latents [n_channels, 1, F], at full depth."""
    codes, bits = codec.model.choose(latents[None])
    power = power_db(latents[None])[0, 0].numpy()
    return Frames(codes, power, bits, (latents if keeps_latents else latents[:, :, :0]).half())


def leave_uncoded(codec: VoiceCodec, latents: Tensor) -> Frames:
    """Keep latents for correction, without codes, but with their expected cost."""
    expected = codec.model.expected_bits()[:, None]
    power = power_db(latents[None])[0, 0].numpy()
    return uncoded_frames(latents, power, np.repeat(expected, latents.shape[2], axis=1))


def uncoded_frames(
    latents: Tensor, power: NDArray[np.float32], bits: NDArray[np.float32]
) -> Frames:
    """Return frames whose codes will be chosen later."""
    return Frames(np.zeros((len(bits), 0), np.uint16), power, bits, latents.half())


def join_frames(parts: Iterable[Frames], total: int) -> Frames:
    """Join frames that follow one another in time, `total` in all; each is freed once copied."""
    joined: list[NDArray[Any]] = []
    start = 0
    for part in parts:
        arrays = part.codes, part.power_db, part.static_bits, part.latents.numpy()
        if not joined:
            joined = [np.empty((*a.shape[:-1], total if a.size else 0), a.dtype) for a in arrays]
        stop = start + len(part.power_db)
        for whole, array in zip(joined, arrays, strict=True):
            if array.size:
                whole[..., start:stop] = array
        start = stop
    codes, power, bits, kept = joined
    return Frames(codes, power, bits, torch.from_numpy(kept))


def blocks_at_coded_rate(recording: OpenRecording) -> Iterator[Samples]:
    """Yield the recording at 16 kHz, float32 [n, C]."""
    n_coded = coded_length(recording.n_samples, recording.sample_rate_hz)
    return resample_blocks(recording.blocks(), recording.sample_rate_hz, CODED_RATE_HZ, n_coded)


def channel_blocks(
    recording: OpenRecording, channel: int, level: Level, scale: np.float32
) -> Iterator[Samples]:
    """Yield the samples [n] of a coded channel at 16 kHz and the common level."""
    for block in blocks_at_coded_rate(recording):
        coded = to_coded(block, level.stereo_mode) if recording.channels == 2 else block
        yield (coded[:, channel] - level.mean[channel]) * scale
