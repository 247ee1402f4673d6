"""A progress bar on a terminal, for jobs that take longer than a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_PATIENCE_S = 1.0
_REDRAW_S = 0.1
_CELLS = 24
_WIPE = "\r\x1b[K"


class Progress:
    """Draw how far a job is on a terminal, once it has taken longer than a second.

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
        """Tell that `fraction` of the job is done."""
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
        self._stream.write(f"{_WIPE}{self._label} [{bar}] {fraction:4.0%}{left}")
        self._stream.flush()

    def close(self) -> None:
        """Wipe the line, if one was drawn."""
        if self._drawn_at_s is not None and self._stream is not None:
            self._stream.write(_WIPE)
            self._stream.flush()
