"""Run the voice networks in bounded memory: chunk by chunk, with the same result as in one piece.

Each chunk includes as many frames on both sides as its result depends on, except at the ends of the
recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.models.voice.networks import SpeechModel
from luxvox.models.voice.pauses import Stretch
from luxvox.models.voice.spectra import spectrum_of_padded
from luxvox.timeline import FRAME_SAMPLES, n_frames

Samples = NDArray[np.float32]
CHUNK_FRAMES = 1000
ANALYSED_FRAMES = 500  # at a time, so that a minute is enough for several threads


@dataclass(frozen=True)
class Chunk:
    """Samples to be analysed, and which of the frames that they reach are wanted.

    Attributes:
        samples: [n] at 16 kHz and the common level.
        wanted: among the frames of the samples.
    """

    samples: Samples
    wanted: slice


def chunks_of(
    model: SpeechModel,
    blocks: Iterable[Samples],
    n_samples: int,
    n_frames_each: int = ANALYSED_FRAMES,
) -> Iterator[Chunk]:
    """Yield the chunks of a recording, from the first frame to the last.

    Args:
        model: the networks.
        blocks: samples [n] at 16 kHz and the common level, one after the other.
        n_samples: how many there are in all.
        n_frames_each: frames that are wanted of a chunk.
    """
    window, halo, total = SampleWindow(blocks), model.analysis_halo, n_frames(n_samples)
    for start in range(0, total, n_frames_each):
        stop = min(start + n_frames_each, total)
        low, high = max(start - halo, 0), min(stop + halo, total)
        samples = window.cut((low - 1) * FRAME_SAMPLES, high * FRAME_SAMPLES)
        yield Chunk(samples.copy(), slice(start - low, stop - low))


@torch.no_grad()
def analyse(model: SpeechModel, chunk: Chunk) -> Tensor:
    """Return the latents [n_channels, 1, frames] of a chunk, on the CPU.

    Args:
        model: the networks, on the device that does the work.
        chunk: a part of a recording.
    """
    padded = torch.from_numpy(chunk.samples)[None].to(model.device)
    latents = model.latents(spectrum_of_padded(padded))[0].cpu()
    return latents[:, :, chunk.wanted]


class SampleWindow:
    """Gives stretches of a stream of blocks, with silence before its start and after its end."""

    def __init__(self, blocks: Iterable[Samples]) -> None:
        self._blocks = iter(blocks)
        self._held = np.zeros(FRAME_SAMPLES, np.float32)
        self._start = -FRAME_SAMPLES

    def cut(self, start: int, stop: int) -> Samples:
        """Return the samples start … stop; starts must not decrease."""
        parts = [self._held]
        end = self._start + len(self._held)
        while end < stop:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros(stop - end, np.float32)
            parts.append(block)
            end += len(block)
        joined = np.concatenate(parts)
        self._held, self._start = joined[start - self._start :], start
        return self._held[: stop - start]


@torch.no_grad()
def synthesise(
    model: SpeechModel, stretches: Iterable[Stretch], n_samples: int, chunk: int = CHUNK_FRAMES
) -> Iterator[Samples]:
    """Yield samples [n] at 16 kHz, `n_samples` in all, or fewer if there are fewer latents.

    Args:
        model: the networks.
        stretches: frames to decode, one stretch after the other.
        n_samples: how many samples there are in all.
        chunk: frames per chunk.
    """
    held = torch.zeros(model.config.n_channels, 1, 0, dtype=torch.float32)
    held_noise = torch.zeros(0, dtype=torch.int64)
    held_start = 0
    start, end = 0, 0
    source, total = iter(stretches), n_frames(n_samples)
    open_ = True
    while start < total - 1:
        stop = min(start + chunk, total - 1)  # samples 320·start … 320·stop
        while open_ and end < min(stop + 1 + model.synthesis_halo, total):
            part = next(source, None)
            open_ = part is not None
            if part is not None:
                held, end = torch.cat([held, part.latents], 2), end + part.latents.shape[2]
                held_noise = torch.cat([held_noise, part.noise])
        stop = min(stop, end - 1)
        if stop <= start:
            return
        low, high = max(start - model.synthesis_halo, 0), min(stop + 1 + model.synthesis_halo, end)
        held, held_noise = held[:, :, low - held_start :], held_noise[low - held_start :]
        held_start, n = low, high - low
        samples = model.samples(held[None, :, :, :n], noise=held_noise[None, :n])[0]
        own = samples[(start - low) * FRAME_SAMPLES : (stop - low) * FRAME_SAMPLES]
        yield own[: n_samples - start * FRAME_SAMPLES].numpy()
        start = stop
