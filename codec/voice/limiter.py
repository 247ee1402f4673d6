"""A soft limiter for files that can hold only samples of −1 … 1.

Decoded peaks may be higher than in the recording. Clipping them would be audible as clicks, so the
half wave of such a peak is bent instead, as in libopus (`opus_pcm_soft_clip`): x becomes
x − a·x·|x|, with a such that the peak lands on full scale. The zeros on both sides do not move,
and waves within the limit do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.voice.files.readers import Samples

_HARD_LIMIT = 2.0  # the curve turns downwards above this, so higher peaks are clipped first
_LONGEST_WAVE = 2048  # samples; longer half waves may be limited in parts


def limit_blocks(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Yield blocks [n, C] limited to −1 … 1; the result does not depend on the size of blocks.

    Blocks may come out shorter or longer than they went in; the total length stays.
    """
    pending: Samples | None = None
    n_done = 0  # pending samples that have been yielded
    for block in blocks:
        pending = block if pending is None else np.concatenate([pending, block])
        first = max(len(pending) - _LONGEST_WAVE, 0)
        waves = [first + _starts(channel) for channel in pending[first:].T]

        # The last half wave of a channel may continue in the next block.
        end = max(min(int(starts[-1]) for starts in waves), n_done)
        yield _limit(pending)[n_done:end]

        # Other channels may be in the middle of one, whose beginning is needed again.
        kept_from = min(int(starts[starts <= end].max(initial=first)) for starts in waves)
        pending, n_done = pending[kept_from:], end - kept_from
    if pending is not None and n_done < len(pending):
        yield _limit(pending)[n_done:]


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
    sample_bends = np.repeat(bends, np.diff(starts, append=len(channel)))
    limited: Samples = np.clip(channel - sample_bends * channel * np.abs(channel), -1.0, 1.0)
    return limited


def _starts(channel: Samples) -> NDArray[np.intp]:
    """Return where the half waves of a channel [n] start."""
    changes = np.flatnonzero(np.diff(np.signbit(channel))) + 1
    return np.concatenate([[0], changes])
