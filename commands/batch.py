"""Many files in one run: one job a file, in this process, in several, or on a cluster.

The bytes of an output depend on its input and the options alone, never on the number of
processes. Each output appears whole or not at all, so a run that was killed goes on where it
stopped with `--skip-existing`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    wait,
)
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import click

from luxvox import cautions
from luxvox.codec import files, folders, remote
from luxvox.commands import console, paths
from luxvox.commands.console import Sizes
from luxvox.commands.executors import dask_executor, process_pool
from luxvox.commands.progress_bar import BatchProgress
from luxvox.errors import LuxvoxError, SystemFailure, UsageError

_WINDOW = 2  # jobs that wait or run, for each process

NOWHERE: Final = ""
"""The target of a job that makes no file."""

Work = Callable[[str, str], Sizes | None]
"""Makes a target of a source and returns the bytes of both; None if it makes no file."""


@dataclass(frozen=True)
class BatchOptions:
    """How the jobs of a command are run.

    Attributes:
        n_processes: how many at a time; None for all cores if there are several files.
        skip_existing: leave out files whose output is there and not older.
        dry_run: name the outputs and do nothing.
        remove: delete each input when its output is complete.
        quiet: say nothing but errors and warnings.
        verbose: name files that are left out, too.
        as_json: write a JSON object a file to standard output.
        makes_folders: whether missing folders of outputs are made.
        dask: address of the scheduler of a Dask cluster that does the work.
    """

    n_processes: int | None = 1
    skip_existing: bool = False
    dry_run: bool = False
    remove: bool = False
    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    makes_folders: bool = False
    dask: str | None = None


@dataclass(frozen=True)
class Job:
    """One file to make of another."""

    source: str
    target: str


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        job: the job.
        exit_code: 0 if it was done.
        sizes: bytes before and after, if it made a file.
        lines: what is said on standard error.
        seconds: how long it took.
    """

    job: Job
    exit_code: int = 0
    sizes: Sizes | None = None
    lines: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class _Tally:
    """The outcomes so far, told to people and programs as they come."""

    options: BatchOptions
    progress: BatchProgress
    exit_code: int = 0
    n_skipped: int = 0
    done: list[Sizes | None] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take an outcome: print what there is to say."""
        self.exit_code = max(self.exit_code, outcome.exit_code)
        if outcome.exit_code == 0:
            self.done.append(outcome.sizes)
            if self.options.remove and outcome.sizes is not None:
                _remove(outcome.job)
        self.progress.clear()
        for line in outcome.lines:
            if outcome.exit_code or not self.options.quiet or console.is_warning(line):
                console.say(line)
        if self.options.as_json:
            _print_json(outcome)
        self.progress.advance(outcome.sizes)

    def skip(self, job: Job) -> None:
        """Leave out a job that is done already."""
        self.n_skipped += 1
        self.progress.advance(None)
        if self.options.verbose:
            console.say(f"{job.source}: {job.target} is there and not older")


def run_jobs(
    sources: Sequence[str], targets: Sequence[str], work: Work, options: BatchOptions
) -> int:
    """Do a job for each source and its target, whatever happens to the others.

    Args:
        sources: paths or URLs, or `-`.
        targets: the output of each.
        work: does one; if there are several processes it is sent to them.
        options: how the jobs are run.

    Returns:
        The exit code: the highest of all failures, 0 if there are none.
    """
    jobs = [Job(*pair) for pair in zip(sources, targets, strict=True)]
    clashes = paths.find_clashes(sources, targets)
    progress = BatchProgress(len(jobs), None if options.quiet else sys.stderr)
    tally = _Tally(options, progress)
    waiting = list(_to_do(jobs, clashes, tally))
    try:
        if options.dry_run:
            for job in waiting:
                click.echo(f"{job.source} → {job.target}")
        else:
            for outcome in _outcomes(waiting, work, options):
                tally.add(outcome)
    finally:
        progress.close()
    if len(jobs) > 1 and not options.quiet and not options.dry_run:
        done = [sizes for sizes in tally.done if sizes]
        line = console.closing_line(len(jobs) - tally.n_skipped, len(tally.done), done)
        console.say(line + (f"; {tally.n_skipped} skipped" if tally.n_skipped else ""))
    return tally.exit_code


def _to_do(jobs: Sequence[Job], clashes: dict[int, str], tally: _Tally) -> Iterator[Job]:
    """Yield the jobs that can be done and are not done yet."""
    times = folders.ModificationTimes()
    for position, job in enumerate(jobs):
        if position in clashes:
            tally.add(_failure(job, UsageError(clashes[position])))
        elif tally.options.skip_existing and _is_done(job, times):
            tally.skip(job)
        else:
            yield job


def _is_done(job: Job, times: folders.ModificationTimes) -> bool:
    """Return whether a job's output is there and not older than its input."""
    with contextlib.suppress(OSError, ValueError, LuxvoxError):  # the job says what is wrong
        # Outputs take over the time of their input, and file systems round it differently.
        return times.of(job.target) >= times.of(job.source) - 2.0
    return False


def _outcomes(jobs: Sequence[Job], work: Work, options: BatchOptions) -> Iterator[Outcome]:
    """Run the jobs, where the options say, and yield what comes of each as it ends."""
    if options.makes_folders:
        jobs = list(_with_folders(jobs))
    if options.dask is not None:
        with dask_executor(options.dask) as executor:
            yield from _run_in(executor, jobs, work, n_waiting=len(jobs))
        return
    n_processes = min(options.n_processes or os.cpu_count() or 1, len(jobs))
    if n_processes < 2 or any(_is_of_this_process(job) for job in jobs):
        for job in jobs:
            yield run_job(job, work, is_watched=len(jobs) == 1 and not options.quiet)
        return
    yield from _run_in_processes(jobs, work, n_processes)


def _is_of_this_process(job: Job) -> bool:
    """Return whether a job reads or writes a pipe, a device or memory, which others don't have."""
    return any(
        path == files.PIPE or files.is_special(path) or remote.is_of_this_process(path)
        for path in (job.source, job.target)
    )


def _with_folders(jobs: Iterable[Job]) -> Iterator[Job]:
    for job in jobs:
        if job.target != files.PIPE:
            with contextlib.suppress(OSError):  # the job says why its output cannot be written
                folders.make_folder_of(job.target)
        yield job


def run_job(job: Job, work: Work, weights: Path | None = None, is_watched: bool = False) -> Outcome:
    """Do one job; whatever it raises becomes an exit code and a line.

    Args:
        job: what is to be done.
        work: does it.
        weights: folder of weights that come before those shipped; a process does not inherit it.
        is_watched: whether it may draw its progress on standard error itself.
    """
    from luxvox.models.cards import use_weights

    start_s = time.monotonic()
    lines: list[str] = []
    try:
        with contextlib.ExitStack() as stack:
            found = stack.enter_context(cautions.collected())
            stack.enter_context(console.said_to(lines, is_watched))
            if weights is not None:
                stack.enter_context(use_weights(weights))
            sizes = work(job.source, job.target)
            lines += console.warning_lines(found, job.source)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _failure(job, error)
    return Outcome(job, 0, sizes, tuple(lines), time.monotonic() - start_s)


def _failure(job: Job, error: Exception) -> Outcome:
    exit_code, line = console.failure_line(error, job.source)
    return Outcome(job, exit_code, lines=(line,))


def _run_in_processes(jobs: Sequence[Job], work: Work, n_processes: int) -> Iterator[Outcome]:
    """Run jobs in a pool of processes; one that dies takes none but its own file with it."""
    n_threads = max(1, (os.cpu_count() or 1) // n_processes)
    rest = list(jobs)
    while rest:
        try:
            with process_pool(n_processes, n_threads) as pool:
                for outcome in _run_in(pool, tuple(rest), work, _WINDOW * n_processes):
                    rest.remove(outcome.job)
                    yield outcome
        except _PoolDied as death:
            # Any of those that were in its hands may have killed it: each gets a pool of its own.
            alone = (_run_alone(job, work) for job in death.lost)
            for outcome in itertools.chain(death.ended, alone):
                rest.remove(outcome.job)
                yield outcome


class _PoolDied(Exception):
    """Tell what a pool had in its hands when one of its processes died."""

    def __init__(self, lost: Sequence[Job], ended: Sequence[Outcome]) -> None:
        super().__init__("a process died")
        self.lost = lost
        self.ended = ended


def _run_in(
    executor: Executor, jobs: Sequence[Job], work: Work, n_waiting: int
) -> Iterator[Outcome]:
    """Hand jobs to an executor, a few ahead of those that run, and yield outcomes in their order.

    Raises:
        _PoolDied: a process died; it tells what was not done.
    """
    from luxvox.models.cards import preferred

    waiting = iter(enumerate(jobs))
    running: dict[Future[Outcome], int] = {}
    ended: dict[int, Outcome] = {}
    n_yielded = 0
    try:
        while n_yielded < len(jobs):
            while len(running) < n_waiting and (pair := next(waiting, None)) is not None:
                running[executor.submit(run_job, pair[1], work, preferred())] = pair[0]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                ended[running[future]] = result_of(future, jobs[running[future]])
                del running[future]
            while n_yielded in ended:
                yield ended.pop(n_yielded)
                n_yielded += 1
    except BrokenExecutor:
        lost = [jobs[position] for position in running.values()]
        raise _PoolDied(lost, tuple(ended.values())) from None


def result_of(future: Future[Outcome], job: Job) -> Outcome:
    """Return what came of a job; what an executor itself raises is the fault of one file alone.

    Raises:
        BrokenExecutor: a process of a pool died, and all that it had in its hands is lost.
    """
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:
        return _failure(job, SystemFailure(f"its worker failed: {type(error).__name__}: {error}"))


def _run_alone(job: Job, work: Work) -> Outcome:
    try:
        with process_pool(1, n_threads=os.cpu_count() or 1) as pool:
            return next(_run_in(pool, [job], work, 1))
    except _PoolDied:
        message = "the process that worked on it died; is there too little memory?"
        return _failure(job, SystemFailure(message))


def _remove(job: Job) -> None:
    """Delete an input whose output is complete; pipes and devices stay."""
    if files.PIPE in (job.source, job.target) or files.is_special(job.source):
        return
    try:
        folders.remove(job.source)
    except SystemFailure as error:
        console.say(f"luxvox: {job.source}: note: it is not removed: {error}")


def _print_json(outcome: Outcome) -> None:
    before, after = outcome.sizes or (None, None)
    facts = {
        **asdict(outcome.job),
        "done": outcome.exit_code == 0,
        "exit_code": outcome.exit_code,
        "bytes_before": before,
        "bytes_after": after,
        "seconds": round(outcome.seconds, 3),
        "messages": list(outcome.lines),
    }
    click.echo(json.dumps(facts, ensure_ascii=False))
