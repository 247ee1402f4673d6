"""What commands say on standard error, and the exit code that a failure ends them with."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from luxvox.codec import files
from luxvox.commands import paths
from luxvox.commands.progress_bar import Progress
from luxvox.errors import (
    DamageWarning,
    LossWarning,
    LuxvoxError,
    SystemFailure,
    TargetWarning,
    TruncatedWarning,
    UsageError,
)

_DEBUG_VARIABLE = "LUXVOX_DEBUG"


Result = TypeVar("Result")
Sizes = tuple[int, int]
"""Bytes before a job and after it."""


def each(
    sources: Sequence[str], targets: Sequence[str], job: Callable[[str, str], Sizes | None]
) -> int:
    """Do a job for each source and its target, whatever happens to the others.

    Of several sources a closing line says how many were done and what was saved.

    Args:
        sources: paths, or `-`.
        targets: the output of each.
        job: returns the bytes before and after, if it makes a file of another.

    Returns:
        The exit code: the highest of all failures, 0 if there are none.
    """
    clashes = paths.find_clashes(sources, targets)
    exit_code, done = 0, []
    for position, (source, target) in enumerate(zip(sources, targets, strict=True)):
        try:
            if position in clashes:
                raise UsageError(clashes[position])
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                sizes = job(source, target)
        except BrokenPipeError:
            raise
        except Exception as error:
            exit_code = max(exit_code, report(error, source))
        else:
            _show_warnings(caught, source)
            done.append(sizes)
    if len(sources) > 1:
        say(closing_line(len(sources), [sizes for sizes in done if sizes]))
    return exit_code


def closing_line(n_sources: int, done: Sequence[Sizes]) -> str:
    """Return how many files were done and refused, and how many bytes that saved or took."""
    before, after = (sum(sizes[which] for sizes in done) for which in (0, 1))
    counts = f"{n_sources} files: {len(done)} done, {n_sources - len(done)} refused"
    if not before:
        return counts
    saved = before - after
    change = f"{abs(saved):,} bytes {'saved' if saved >= 0 else 'more'}"
    if saved >= 0:
        change += f" ({saved / before:.1%})"
    return f"{counts}, {before:,} → {after:,} bytes, {change}"


def report(error: Exception, source: str | None = None) -> int:
    """Say in one line what went wrong, and where; return its exit code."""
    failure = _failure(error)
    where = "luxvox: " if source is None else f"luxvox: {shown(source, 'standard input')}: "
    say(where + " ".join(str(failure).split()))
    if os.environ.get(_DEBUG_VARIABLE):
        traceback.print_exception(error)
    return failure.exit_code


def _failure(error: Exception) -> LuxvoxError:
    if isinstance(error, LuxvoxError):
        return error
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate" in str(error)  # how torch says it
    ):
        return SystemFailure("not enough memory")
    if isinstance(error, ImportError):
        return SystemFailure(f"a package is missing: {error}")
    if isinstance(error, OSError):
        return SystemFailure(files.reason(error))
    return LuxvoxError(
        f"internal error: {type(error).__name__}: {error} ({_DEBUG_VARIABLE}=1 shows where)"
    )


def _show_warnings(caught: list[warnings.WarningMessage], source: str) -> None:
    for warning in caught:
        if issubclass(warning.category, TruncatedWarning | DamageWarning | TargetWarning):
            where = shown(source, "standard input")
            say(f"luxvox: {where}: warning: {warning.message}")
        elif issubclass(warning.category, LossWarning):
            say(f"luxvox: {shown(source, 'standard input')}: note: {warning.message}")


def watched(label: str, job: Callable[[Progress], Result]) -> Result:
    """Do a job that tells its progress, and show that."""
    progress = Progress(label, sys.stderr)
    try:
        return job(progress)
    finally:
        progress.close()


def summarise(source: str, target: str, n_bytes: Sizes, rate: str, start_s: float) -> Sizes:
    """Say what became of a source: bytes before and after, rate, time since `start_s`."""
    line = f"{shown(source, 'standard input')} → {shown(target, 'standard output')}"
    sizes = f"{n_bytes[0]:,} → {n_bytes[1]:,} bytes"
    seconds = time.monotonic() - start_s
    say(f"{line}: {sizes}, {rate}, {seconds:.2f} s")
    return n_bytes


def note_growth(source: str, n_bytes: Sizes) -> None:
    """Say that a file was not made smaller, as small graphics may not be."""
    if n_bytes[1] > n_bytes[0]:
        where = shown(source, "standard input")
        say(f"luxvox: {where}: note: the result is larger than the file; keep the file")


def say(line: str) -> None:
    """Write a line to standard error; where nobody can read it, the work is done all the same."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(line, err=True)


def shown(path: str, pipe: str) -> str:
    """Return a path without what a terminal would obey or cannot show, or what a pipe is called."""
    if path == files.PIPE:
        return pipe
    if path.isprintable():
        return path
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
