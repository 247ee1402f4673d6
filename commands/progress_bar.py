"""Progress bars on a terminal, for jobs that take longer than a second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TextIO

_PATIENCE_S = 1.0
_REDRAW_S = 0.1
_CELLS = 24
_WIPE = "\r\x1b[K"


class ProgressBar:
    """Draw the progress of a job on a terminal, once it has taken longer than a second.

    Call it with the fraction done, 0..1; `close` wipes the line. Where the stream is not a
    terminal, or closed (None), nothing is drawn.
    """

    def __init__(
        self, label: str, stream: TextIO | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label = label
        self._stream = stream
        self._clock = clock
        self._start_s = clock()
        self._drawn_at_s: float | None = None

    def __call__(self, fraction: float) -> None:
        """Report that `fraction` of the job is done."""
        now_s = self._clock()
        elapsed_s = now_s - self._start_s
        is_fresh = self._drawn_at_s is not None and now_s - self._drawn_at_s < _REDRAW_S
        if elapsed_s < _PATIENCE_S or is_fresh or self._stream is None:
            return
        if not self._stream.isatty():
            return
        self._drawn_at_s = now_s
        fraction = min(max(fraction, 0.0), 1.0)
        bar = ("#" * round(fraction * _CELLS)).ljust(_CELLS, "-")
        left = f", {elapsed_s / fraction - elapsed_s:.0f} s left" if fraction > 0 else ""
        _put(self._stream, f"{_WIPE}{self._label} [{bar}] {fraction:4.0%}{left}")

    def close(self) -> None:
        """Wipe the line, if one was drawn."""
        if self._drawn_at_s is not None and self._stream is not None:
            _put(self._stream, _WIPE)


def _put(stream: TextIO, text: str) -> None:
    """Write to a terminal; if it has gone, the work is done all the same."""
    with contextlib.suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


class BatchProgressBar:
    """Draw how many files of a run are done, what that saved, and how long the rest will take.

    The length of the bar follows the work done, so that it moves evenly over small and large files.

    Args:
        weights: the work of each file, in any unit; nothing is drawn for one file.
        stream: where to draw; nothing is drawn if it is None or not a terminal.
        clock: returns seconds.
    """

    def __init__(
        self,
        weights: Sequence[float],
        stream: TextIO | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        is_drawn = stream is not None and len(weights) > 1 and stream.isatty()
        self._stream = stream if is_drawn else None
        self._weights = weights
        self._clock = clock
        self._start_s = clock()
        self._to_do = float(sum(weights))
        self._done = 0.0
        self._n_done = self._saved = 0
        self._is_shown = False

    def advance(self, position: int, sizes: tuple[int, int] | None) -> None:
        """Count a file by its position; `sizes` are its bytes before and after, if it has both."""
        self._n_done += 1
        self._done += self._weights[position]
        if sizes is not None:
            self._saved += sizes[0] - sizes[1]
        self.draw()

    def skip(self, position: int) -> None:
        """Count a file that took no work, before the work on others begins."""
        self._n_done += 1
        self._to_do -= self._weights[position]
        self._start_s = self._clock()

    def draw(self) -> None:
        """Draw the bar as it stands, once a file is done."""
        if self._stream is None or not self._done:
            return
        share = min(self._done / self._to_do, 1.0)
        left_s = (self._clock() - self._start_s) * (1.0 / share - 1.0)
        bar = ("#" * round(share * _CELLS)).ljust(_CELLS, "-")
        counts = f"{self._n_done:,} of {len(self._weights):,} files"
        saved = f", {self._saved:,} bytes saved" if self._saved > 0 else ""
        _put(self._stream, f"{_WIPE}[{bar}] {counts}{saved}, {left_s:.0f} s left")
        self._is_shown = True

    def clear(self) -> None:
        """Wipe the bar, so that a line can be written in its place."""
        if self._is_shown and self._stream is not None:
            _put(self._stream, _WIPE)
            self._is_shown = False

    def close(self) -> None:
        """Wipe the bar for good."""
        self.clear()
