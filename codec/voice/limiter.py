"""A soft limiter for files that hold samples of −1 … 1 only.

Decoded peaks may overshoot those of the recording. Cutting them off would be heard as a click, so
the half wave of such a peak is bent instead, as libopus does (`opus_pcm_soft_clip`): x becomes
x − a·x·|x|, with a such that the peak lands on full scale. Nothing moves at the zeros on both
sides, and waves that need no limit stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.voice.files.readers import Samples

_HARD_LIMIT = 2.0  # the curve turns downwards above; what is beyond is cut off first
_LONGEST_WAVE = 2048  # samples; a longer half wave may be limited in parts


def limit_blocks(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield blocks [n, C] limited to −1 … 1, the same however the sound is cut into blocks.

    Blocks may come out shorter or longer than they went in; all together are as long.
    """
    known: Samples | None = None
    n_done = 0  # of the known samples have been yielded
    for block in blocks:
        known = block if known is None else np.concatenate([known, block])
        first = max(len(known) - _LONGEST_WAVE, 0)
        waves = [first + _starts(channel) for channel in known[first:].T]

        # The last half wave of a channel may go on in the next block.
        end = max(min(int(starts[-1]) for starts in waves), n_done)
        yield _limit(known)[n_done:end]

        # Other channels may be in the middle of one, whose beginning is needed again.
        kept = min(int(starts[starts <= end].max(initial=first)) for starts in waves)
        known, n_done = known[kept:], end - kept
    if known is not None and n_done < len(known):
        yield _limit(known)[n_done:]


def _limit(samples: Samples) -> Samples:
    if np.abs(samples).max(initial=0.0) <= 1.0:
        return samples
    cut = np.clip(samples, -_HARD_LIMIT, _HARD_LIMIT)
    return np.stack([_bend(channel) for channel in cut.T], axis=1)


def _bend(channel: Samples) -> Samples:
    """Bend the half waves of a channel [n] that exceed full scale."""
    starts = _starts(channel)
    peaks = np.maximum.reduceat(np.abs(channel), starts)
    bends = np.where(peaks > 1.0, (peaks - 1.0) / np.square(peaks), np.float32(0.0))

    # [half waves] -> [n]
    of_samples = np.repeat(bends, np.diff(starts, append=len(channel)))
    limited: Samples = np.clip(channel - of_samples * channel * np.abs(channel), -1.0, 1.0)
    return limited


def _starts(channel: Samples) -> NDArray[np.intp]:
    """Return where the half waves of a channel [n] start."""
    changes = np.flatnonzero(np.diff(np.signbit(channel))) + 1
    return np.concatenate([[0], changes])
