"""Keep what C libraries say about damaged files off standard error.

Some cannot be told to be quiet. While they work, standard error goes into a file; what others wrote
to it comes out afterwards. The whole process shares the descriptor, so it is held only briefly.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Final

from luxvox.late_imports import no_fork_meanwhile

LIBMPG123: Final = (b"libmpg123", b"Warning: Xing", b"Warning: Real", b"Note: ", b"mpg123")
LIBTIFF: Final = (b"TIFF", b"JPEGLib", b"Fax", b"LZW", b"ZIP", b"PixarLog", b"tempfile.tif")

_STDERR: Final = 2
_NOWHERE: Final = logging.NullHandler()


def quiet_logger(name: str) -> None:
    """Keep a library's log off standard error; handlers of the process still get it.

    If there is no handler at all, Python itself writes errors there.
    """
    logging.getLogger(name).addHandler(_NOWHERE)  # once, however often


@contextlib.contextmanager
def quiet(words: Sequence[bytes]) -> Iterator[None]:
    """Drop lines with any of these words from standard error in the block."""
    # A child finds standard error where it belongs.
    with no_fork_meanwhile(), tempfile.TemporaryFile() as caught:
        try:
            stderr = os.dup(_STDERR)
        except OSError:  # it is closed
            yield
            return
        try:
            os.dup2(caught.fileno(), _STDERR)
            yield
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)
            caught.seek(0)
            _write_others(caught.read(), words)


def _write_others(written: bytes, words: Sequence[bytes]) -> None:
    lines = written.splitlines(keepends=True)
    others = [line for line in lines if line.strip() and not any(word in line for word in words)]
    if others:
        with contextlib.suppress(OSError):
            os.write(_STDERR, b"".join(others))
