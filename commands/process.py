"""The process of the command line: its standard streams, and the signals that end it."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType

_NEW_OBJECTS = 50_000  # after which garbage is looked for; Python's own number is 700 to 2,000

# Sent by a user, a shell or a service manager to end a process; Python itself handles Ctrl-C.
_ENDING = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


class EndedBySignal(BaseException):
    """Unwind the work when a signal asks the process to end, so that no partial file remains."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number


@contextlib.contextmanager
def ending_signals_raised() -> Iterator[None]:
    """Raise `EndedBySignal` in the block for a signal whose default action ends the process.

    Signals that are ignored, as under nohup, stay ignored. Only a main thread can do this.
    """
    handled = []
    if threading.current_thread() is threading.main_thread():
        handled = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, raise_ending_signal)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def raise_ending_signal(number: int, _: FrameType | None) -> None:
    """Handle a signal by raising `EndedBySignal`."""
    for ending in _ENDING:  # the first one is enough; another must not disturb the clean-up
        signal.signal(ending, signal.SIG_IGN)
    raise EndedBySignal(number)


def open_standard_descriptors() -> None:
    """Connect descriptors 0 to 2 to the null device where they are closed.

    Otherwise the next file to be opened gets such a number, and whatever writes to standard error
    writes into that file. Characters that the encoding of standard output lacks are escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)  # processes of a pool need one there, too
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def seek_garbage_seldom() -> None:
    """Let Python look for garbage less often.

    Importing torch makes a million objects, all of which stay. Searching them repeatedly
    takes 0.1 to 0.2 s.
    """
    gc.set_threshold(_NEW_OBJECTS)


def hide_warnings() -> None:
    """Keep warnings of libraries off standard error, unless the user asked for warnings."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def forget_standard_output() -> None:
    """Discard unwritten output for a reader that has gone; otherwise the interpreter complains."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
