"""A job: one file to make from another, whatever happens to the others, and its outcome."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from luxvox import cautions
from luxvox.codec import memory
from luxvox.commands import console
from luxvox.commands.console import Sizes
from luxvox.errors import DamageWarning, PartWarning, TruncatedWarning

NOWHERE: Final = ""
"""The target of a job that makes no file."""

_OF_PARTS: Final = (DamageWarning, PartWarning, TruncatedWarning)

Work = Callable[[str, str], Sizes | None]
"""Makes a target from a source and returns the sizes of both in bytes; None if it makes no file."""


@dataclass(frozen=True)
class Job:
    """One file to make from another."""

    source: str
    target: str


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        job: the job.
        exit_code: 0 if it was done.
        sizes: bytes before and after, if it made a file.
        lines: what is printed on standard error.
        seconds: how long it took.
        is_whole: whether the source was whole, and no page, frame or track of it is missing in the
            target.
    """

    job: Job
    exit_code: int = 0
    sizes: Sizes | None = None
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    is_whole: bool = True


def run_job(job: Job, work: Work, weights: Path | None = None, is_watched: bool = False) -> Outcome:
    """Do one job; whatever it raises becomes an exit code and a line.

    Args:
        job: what is to be done.
        work: does it.
        weights: folder of weights that take precedence over the shipped ones; a process does not
            inherit it.
        is_watched: whether it may draw its progress on standard error itself.
    """
    from luxvox.models.cards import use_weights

    memory.keep_as_usual()
    start_s = time.monotonic()
    lines: list[str] = []
    try:
        with contextlib.ExitStack() as stack:
            found = stack.enter_context(cautions.collect())
            stack.enter_context(console.collect_lines(lines, is_watched))
            if weights is not None:
                stack.enter_context(use_weights(weights))
            sizes = work(job.source, job.target)
            lines += console.warning_lines(found, job.source)
    except BrokenPipeError:
        raise
    except Exception as error:
        return failure(job, error)
    is_whole = not any(isinstance(caution, _OF_PARTS) for caution in found)
    return Outcome(job, 0, sizes, tuple(lines), time.monotonic() - start_s, is_whole)


def failure(job: Job, error: Exception) -> Outcome:
    """Return the outcome of a job that failed."""
    exit_code, line = console.failure_line(error, job.source)
    return Outcome(job, exit_code, lines=(line,))
