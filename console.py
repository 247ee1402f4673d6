"""What commands say on standard error, and the exit code that a failure ends them with."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import click

from luxvox.codec import files
from luxvox.errors import (
    DamageWarning,
    LossWarning,
    LuxvoxError,
    SystemFailure,
    TargetWarning,
    TruncatedWarning,
    UsageError,
)
from luxvox.progress import Progress

_DEBUG_VARIABLE = "LUXVOX_DEBUG"


def each(sources: Sequence[str], targets: Sequence[str], job: Callable[[str, str], None]) -> int:
    """Do a job for each source and its target, whatever happens to the others.

    Returns:
        The exit code: the highest of all failures, 0 if there are none.
    """
    clashes = files.find_clashes(sources, targets)
    exit_code = 0
    for position, (source, target) in enumerate(zip(sources, targets, strict=True)):
        try:
            if position in clashes:
                raise UsageError(clashes[position])
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                job(source, target)
        except BrokenPipeError:
            raise
        except Exception as error:
            exit_code = max(exit_code, report(error, source))
        else:
            _show_warnings(caught, source)
    return exit_code


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


def watched(label: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function that tells its progress, and show that."""
    progress = Progress(label, sys.stderr)
    try:
        return function(*arguments, **options, progress=progress)
    finally:
        progress.close()


def summarise(
    source: str, target: str, n_bytes: tuple[int, int], rate: str, start_s: float
) -> None:
    """Say what became of a source: bytes before and after, rate, time since `start_s`."""
    names = f"{shown(source, 'standard input')} → {shown(target, 'standard output')}"
    sizes = f"{n_bytes[0]:,} → {n_bytes[1]:,} bytes"
    seconds = time.monotonic() - start_s
    say(f"{names}: {sizes}, {rate}, {seconds:.2f} s")


def say(line: str) -> None:
    """Write a line to standard error; where nobody can read it, the work is done all the same."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(line, err=True)


def shown(path: str, pipe: str) -> str:
    """Return a path, or what a pipe is called."""
    return pipe if path == files.PIPE else path
