"""What commands print on standard error, and the exit code that a failure gives."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import click

from luxvox.codec import files
from luxvox.commands.progress_bar import ProgressBar
from luxvox.errors import LossWarning, LuxvoxError, SystemFailure

_DEBUG_VARIABLE = "LUXVOX_DEBUG"


_listener: ContextVar[list[str] | None] = ContextVar("listener", default=None)
_is_watched: ContextVar[bool] = ContextVar("is watched", default=True)

Result = TypeVar("Result")
Sizes = tuple[int, int]
"""Bytes before a job and after it."""


def closing_line(n_sources: int, n_done: int, sizes: Sequence[Sizes]) -> str:
    """Return how many files were done and refused, and how many bytes were saved or added.

    Args:
        n_sources: files in all.
        n_done: how many of them were done.
        sizes: bytes before and after, for those that a file was made from.
    """
    before, after = (sum(pair[which] for pair in sizes) for which in (0, 1))
    files_done = "1 file" if n_sources == 1 else f"{n_sources} files"
    counts = f"{files_done}: {n_done} done, {n_sources - n_done} refused"
    if not before:
        return counts
    saved = before - after
    change = f"{abs(saved):,} bytes {'saved' if saved >= 0 else 'more'}"
    if saved >= 0:
        change += f" ({saved / before:.1%})"
    return f"{counts}, {before:,} → {after:,} bytes, {change}"


def report(error: Exception, source: str | None = None) -> int:
    """Say in one line what went wrong, and where; return its exit code."""
    exit_code, line = failure_line(error, source)
    say(line)
    return exit_code


def failure_line(error: Exception, source: str | None = None) -> tuple[int, str]:
    """Return the exit code of a failure, and a line on what went wrong and where."""
    failure = _failure(error)
    where = "luxvox: " if source is None else f"luxvox: {printable(source, 'standard input')}: "
    if os.environ.get(_DEBUG_VARIABLE):
        traceback.print_exception(error)
    return failure.exit_code, where + " ".join(str(failure).split())


def _failure(error: Exception) -> LuxvoxError:
    if isinstance(error, LuxvoxError):
        return error
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate" in str(error)  # how torch puts it
    ):
        return SystemFailure("not enough memory")
    if isinstance(error, ImportError):
        return SystemFailure(f"a package is missing: {error}")
    if isinstance(error, OSError):
        return SystemFailure(files.reason(error))
    return LuxvoxError(
        f"internal error: {type(error).__name__}: {error} ({_DEBUG_VARIABLE}=1 shows where)"
    )


def warning_lines(found: Sequence[Warning], source: str) -> list[str]:
    """Return a line for each of our own warnings about a source."""
    where = f"luxvox: {printable(source, 'standard input')}:"
    lines = []
    for caution in found:
        kind = "note" if isinstance(caution, LossWarning) else "warning"
        lines.append(f"{where} {kind}: {caution}")
    return lines


def is_warning(line: str) -> bool:
    """Return whether a line is more than a summary."""
    return line.startswith("luxvox: ")


@contextlib.contextmanager
def collect_lines(lines: list[str], is_watched: bool) -> Iterator[None]:
    """Collect the lines that the block says, instead of writing them; show progress if watched."""
    tokens = _listener.set(lines), _is_watched.set(is_watched)
    try:
        yield
    finally:
        _listener.reset(tokens[0])
        _is_watched.reset(tokens[1])


def watch(label: str, job: Callable[[ProgressBar], Result]) -> Result:
    """Do a job that reports its progress, and show it."""
    progress = ProgressBar(label, sys.stderr if _is_watched.get() else None)
    try:
        return job(progress)
    finally:
        progress.close()


def summarise(source: str, target: str, n_bytes: Sizes, rate: str, start_s: float) -> Sizes:
    """Say what became of a source: bytes before and after, rate, time since `start_s`."""
    line = f"{printable(source, 'standard input')} → {printable(target, 'standard output')}"
    sizes = f"{n_bytes[0]:,} → {n_bytes[1]:,} bytes"
    seconds = time.monotonic() - start_s
    say(f"{line}: {sizes}, {rate}, {seconds:.2f} s")
    return n_bytes


def note_growth(source: str, n_bytes: Sizes) -> None:
    """Say that a file was not made smaller, which can happen with small graphics."""
    if n_bytes[1] > n_bytes[0]:
        where = printable(source, "standard input")
        say(f"luxvox: {where}: note: the result is larger than the file; keep the file")


def say(line: str) -> None:
    """Write a line to standard error; if nobody can read it, the work is done all the same."""
    lines = _listener.get()
    if lines is not None:
        lines.append(line)
        return
    with contextlib.suppress(OSError, ValueError):
        click.echo(line, err=True)


def json_text(value: object, **options: Any) -> str:
    """Return a value as JSON; surrogates that stand for undecodable bytes of names are escaped."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(path: str, pipe: str) -> str:
    """Return a path, its control characters escaped, or the name for a pipe."""
    if path == files.PIPE:
        return pipe
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
