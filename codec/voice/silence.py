"""Silence where a voice has no codes for a long time (FORMAT.md, Samples).

Null codes give noise some 25 dB below the voice. It would be audible where a recording is silent
for long, and in a silent channel. Coarsely coded voices have no codes in most pauses, and there the
noise stands in for that of the room; so only very long pauses of theirs become silent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.quality import Quality
from luxvox.timeline import FRAME_SAMPLES, SEGMENT_FRAMES

if TYPE_CHECKING:
    from luxvox.entropy.voice.plan import Codes
    from luxvox.models.voice.pauses import Stretch

Samples = NDArray[np.float32]
SILENT_FRAMES: Final = 25
LONG_FRAMES: Final = 150
COARSE: Final = Quality(3500)  # below this only long runs are silent
QUIET_STAGES: Final = 2  # a frame with more codes keeps its phases


def min_silent_frames(quality: Quality | None, n_frames: int) -> int:
    """Return the shortest run without codes that is silent; without any codes all frames are."""
    is_coarse = quality is not None and quality < COARSE
    return min(LONG_FRAMES, n_frames) if is_coarse else SILENT_FRAMES


def noise_numbers(
    codes: Codes, quality: Quality | None, first_frame: int, is_side: bool = False
) -> NDArray[np.int64]:
    """Return the number of the noise that each quiet frame becomes, −1 for all others [F].

    Coarsely coded consonants have as few codes as pauses; there, and where the quality is not
    known, only frames without any codes are quiet.

    Args:
        codes: [stages, F].
        quality: of the file.
        first_frame: number of the first frame in the recording.
        is_side: whether the channel is the side of two. With the noise of mid, left or right would
            have none.
    """
    limit = QUIET_STAGES if quality is not None and quality >= COARSE else 0
    frames = np.arange(first_frame, first_frame + codes.shape[1])
    numbers = frames % SEGMENT_FRAMES + SEGMENT_FRAMES * is_side
    return np.where(np.count_nonzero(codes, axis=0) <= limit, numbers, -1)


class FrameStream:
    """The frames of a channel, stretch by stretch, and whether they have codes.

    Args:
        stretches: pairs of flags for frames without codes, and the frames.
        n_frames: in all.
        min_run: shortest run of frames without codes that is silent. If it is `SILENT_FRAMES`,
            frames outside the recording count as having no codes; otherwise they do not lengthen a
            run.
    """

    def __init__(
        self,
        stretches: Iterable[tuple[NDArray[np.bool_], Stretch]],
        n_frames: int,
        min_run: int = SILENT_FRAMES,
    ) -> None:
        self._stretches = iter(stretches)
        self._waiting: deque[Stretch] = deque()
        self._run = min_run
        self._without_codes = np.full(n_frames + 2 * min_run, min_run == SILENT_FRAMES)
        self._end = min_run  # of the frames read so far

    def stretches(self) -> Iterator[Stretch]:
        """Yield the frames in order."""
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
        flags, frames = stretch
        self._without_codes[self._end : self._end + len(flags)] = flags
        self._end += len(flags)
        self._waiting.append(frames)
        return True


def with_silence(blocks: Iterable[Samples], frames: FrameStream) -> Iterator[Samples]:
    """Yield consecutive blocks [n], faded out where frames are silent."""
    start = 0
    for block in blocks:
        stop = start + len(block)
        boundaries = np.arange(start // FRAME_SAMPLES, -(-stop // FRAME_SAMPLES) + 1)
        gains = frames.gains(boundaries[0], boundaries[-1] + 1)
        if not gains.all():
            gain = np.interp(np.arange(start, stop), FRAME_SAMPLES * boundaries, gains)
            yield block * gain.astype(np.float32)
        else:
            yield block
        start = stop


def _windows(flags: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    windows: NDArray[np.bool_] = np.lib.stride_tricks.sliding_window_view(flags, n)
    return windows
