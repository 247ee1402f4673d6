"""Silence where a voice has no codes for a long time (FORMAT.md, Samples).

The networks draw a hum from null codes, some 25 dB below the voice. It would be heard in long
pauses, and in a channel that is silent. Coarsely coded voices have no codes in most pauses, and
there the hum stands in for the noise of the room: only very long pauses are silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.quality import Quality
from luxvox.timeline import FRAME_SAMPLES

if TYPE_CHECKING:
    from torch import Tensor

Samples = NDArray[np.float32]
SILENT_FRAMES: Final = 25
LONG_FRAMES: Final = 150
COARSE: Final = Quality(3500)  # below this only long runs are silent


def min_silent_frames(quality: Quality, n_frames: int) -> int:
    """Return how long a run without codes has to be; a channel without any codes is silent."""
    return SILENT_FRAMES if quality >= COARSE else min(LONG_FRAMES, n_frames)


class FrameStream:
    """The frames of a channel, stretch by stretch: their latents, and which of them have no codes.

    Args:
        stretches: for each, which frames have no codes, and the latents.
        n_frames: in all.
        min_run: how many frames without codes in a row are silent. If it is `SILENT_FRAMES`, frames
            outside the recording count as having no codes; otherwise they do not lengthen a run.
    """

    def __init__(
        self,
        stretches: Iterable[tuple[NDArray[np.bool_], Tensor]],
        n_frames: int,
        min_run: int = SILENT_FRAMES,
    ) -> None:
        self._stretches = iter(stretches)
        self._waiting: deque[Tensor] = deque()
        self._run = min_run
        self._without_codes = np.full(n_frames + 2 * min_run, min_run == SILENT_FRAMES)
        self._end = min_run  # of what is read

    def latents(self) -> Iterator[Tensor]:
        """Yield latents [n_channels, 1, frames] in order."""
        while self._waiting or self._reads_on():
            yield self._waiting.popleft()

    def gains(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return 0 for silent frames and 1 for others, from frame start to stop."""
        while self._end < stop + 2 * self._run and self._reads_on():
            pass
        window = slice(start + 1, stop + 2 * self._run - 1)
        runs = np.logical_and.reduce(_windows(self._without_codes[window], self._run), axis=1)
        silent = np.logical_or.reduce(_windows(runs, self._run), axis=1)  # [stop − start]
        return np.where(silent, 0.0, 1.0)

    def _reads_on(self) -> bool:
        stretch = next(self._stretches, None)
        if stretch is None:
            return False
        flags, latents = stretch
        self._without_codes[self._end : self._end + len(flags)] = flags
        self._end += len(flags)
        self._waiting.append(latents)
        return True


def with_silence(blocks: Iterable[Samples], frames: FrameStream) -> Iterator[Samples]:
    """Yield consecutive blocks [n], faded out where frames are silent."""
    start = 0
    for drawn in blocks:
        block, stop = drawn, start + len(drawn)
        around = np.arange(start // FRAME_SAMPLES, -(-stop // FRAME_SAMPLES) + 1)
        gains = frames.gains(around[0], around[-1] + 1)
        if not gains.all():
            gain = np.interp(np.arange(start, stop), FRAME_SAMPLES * around, gains)
            block = drawn * gain.astype(np.float32)
        yield block
        start = stop


def _windows(flags: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    windows: NDArray[np.bool_] = np.lib.stride_tricks.sliding_window_view(flags, n)
    return windows
