"""Many files in one run: one job per file, in this process, in several, or on a cluster.

The bytes of an output depend only on its input and the options, never on the number of processes.
Each output appears complete or not at all, so with `--skip-existing` a run that was killed
continues where it stopped.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import click

from luxvox.codec import files, folders, remote
from luxvox.commands import console, paths
from luxvox.commands.console import Sizes
from luxvox.commands.executors import Ended, dask_executor, run_in, run_in_processes
from luxvox.commands.jobs import Job, Outcome, Work, failure, run_job
from luxvox.commands.progress_bar import BatchProgressBar
from luxvox.errors import LuxvoxError, SystemFailure, UsageError

_BYTES_A_FILE = 100_000  # of a photograph; they take as long as opening and writing any file


@dataclass(frozen=True)
class BatchOptions:
    """How the jobs of a command are run.

    Attributes:
        n_processes: how many at a time; None for all cores if there are several files.
        skip_existing: skip files whose output exists and is not older.
        dry_run: list the outputs and do nothing.
        remove: delete each input when its output is complete.
        quiet: say nothing but errors and warnings.
        verbose: also list files that are skipped.
        as_json: write one JSON object per file to standard output.
        makes_folders: whether missing folders of outputs are made.
        has_bar: whether a progress bar is drawn; results on standard output would break it.
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
    has_bar: bool = True
    dask: str | None = None


@dataclass
class _Tally:
    """The outcomes so far, reported to people and programs as they come."""

    options: BatchOptions
    progress: BatchProgressBar
    exit_code: int = 0
    n_skipped: int = 0
    done: list[Sizes | None] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count an outcome, and print what there is to say about it."""
        self.exit_code = max(self.exit_code, outcome.exit_code)
        if outcome.exit_code == 0:
            self.done.append(outcome.sizes)
            if self.options.remove and outcome.sizes is not None:
                _remove(outcome)
        self.progress.clear()
        for line in outcome.lines:
            if outcome.exit_code or not self.options.quiet or console.is_warning(line):
                console.say(line)
        if self.options.as_json:
            _print_json(outcome)
        self.progress.draw()

    def skip(self, job: Job) -> None:
        """Skip a job that is done already."""
        self.n_skipped += 1
        if self.options.verbose:
            console.say(f"{job.source}: {job.target} exists and is not older")


def run_jobs(
    sources: Sequence[str], targets: Sequence[str], work: Work, options: BatchOptions
) -> int:
    """Do a job for each source and its target, whatever happens to the others.

    Args:
        sources: paths or URLs, or `-`.
        targets: the output of each.
        work: does one job; if there are several processes, it is sent to them.
        options: how the jobs are run.

    Raises:
        UsageError: if the output and JSON would both go to standard output.

    Returns:
        The exit code: the highest of all failures, 0 if there are none.
    """
    if options.as_json and not options.dry_run and files.PIPE in targets:
        raise UsageError("--json and the output cannot both go to standard output")
    jobs = [Job(*pair) for pair in zip(sources, targets, strict=True)]
    clashes = paths.find_clashes(sources, targets)
    has_bar = options.has_bar and not options.quiet
    progress = BatchProgressBar([_weight(job) for job in jobs], sys.stderr if has_bar else None)
    tally = _Tally(options, progress)
    waiting = list(_to_do(jobs, clashes, tally))
    try:
        if options.dry_run:
            for position in waiting:
                _print_plan(jobs[position], options)
        else:
            chosen = [jobs[position] for position in waiting]

            def advance(number: int, outcome: Outcome) -> None:
                progress.advance(waiting[number], outcome.sizes)

            for outcome in _outcomes(chosen, work, options, advance):
                tally.add(outcome)
    finally:
        progress.close()
    if len(jobs) > 1 and not options.quiet and not options.dry_run:
        done = [sizes for sizes in tally.done if sizes]
        line = console.closing_line(len(jobs) - tally.n_skipped, len(tally.done), done)
        console.say(line + (f"; {tally.n_skipped} skipped" if tally.n_skipped else ""))
    return tally.exit_code


def _to_do(jobs: Sequence[Job], clashes: dict[int, str], tally: _Tally) -> Iterator[int]:
    """Yield the positions of the jobs that can be done and are not done yet."""
    times = folders.ModificationTimes()
    for position, job in enumerate(jobs):
        if position in clashes:
            tally.progress.skip(position)
            tally.add(failure(job, UsageError(clashes[position])))
        elif tally.options.skip_existing and _is_done(job, times):
            tally.progress.skip(position)
            tally.skip(job)
        else:
            yield position


def _weight(job: Job) -> int:
    """Return roughly how much work a job is, in bytes, including what every file costs."""
    with contextlib.suppress(OSError, ValueError):
        return _BYTES_A_FILE + os.stat(job.source).st_size
    return _BYTES_A_FILE  # a pipe, a URL, or not a file


def _print_plan(job: Job, options: BatchOptions) -> None:
    names = console.printable(job.source, job.source), console.printable(job.target, job.target)
    click.echo(console.json_text(asdict(job)) if options.as_json else " → ".join(names))


def _is_done(job: Job, times: folders.ModificationTimes) -> bool:
    """Return whether a job's output exists and is not older than its input."""
    with contextlib.suppress(OSError, ValueError, LuxvoxError):  # the job will say what is wrong
        # Outputs take their input's modification time, and file systems round it differently.
        is_newer = times.of(job.target) >= times.of(job.source) - 2.0
        return is_newer and not os.path.isdir(job.target)
    return False


def _outcomes(
    jobs: Sequence[Job], work: Work, options: BatchOptions, ended: Ended
) -> Iterator[Outcome]:
    """Run the jobs where the options say, and yield the outcome of each, in their order.

    Args:
        jobs, work, options: as for `run_jobs`.
        ended: called with each as soon as it has ended.
    """
    if options.makes_folders:
        jobs = list(_with_folders(jobs))
    if options.dask is not None:
        with dask_executor(options.dask) as executor:
            yield from run_in(executor, jobs, work, len(jobs), ended)
        return
    n_processes = min(options.n_processes or os.cpu_count() or 1, len(jobs))
    if n_processes < 2 or any(_is_of_this_process(job) for job in jobs):
        for number, job in enumerate(jobs):
            outcome = run_job(job, work, is_watched=len(jobs) == 1 and not options.quiet)
            ended(number, outcome)
            yield outcome
        return
    yield from run_in_processes(jobs, work, n_processes, ended)


def _is_of_this_process(job: Job) -> bool:
    """Return whether a job reads or writes a pipe, a device or memory, which others don't have."""
    return any(
        path == files.PIPE or files.is_special(path) or remote.is_of_this_process(path)
        for path in (job.source, job.target)
    )


def _with_folders(jobs: Iterable[Job]) -> Iterator[Job]:
    for job in jobs:
        if job.target != files.PIPE:
            with contextlib.suppress(OSError):  # the job will say why its output cannot be written
                folders.make_folder_of(job.target)
        yield job


def _remove(outcome: Outcome) -> None:
    """Delete an input whose output is a complete file; pipes and devices do not store anything."""
    job = outcome.job
    if any(path == files.PIPE or files.is_special(path) for path in (job.source, job.target)):
        return
    try:
        if not outcome.is_whole:
            raise SystemFailure("its output does not hold all of it")
        before, after = outcome.sizes or (0, 0)
        if after > before and job.target.lower().endswith(paths.COMPRESSED_ENDING):
            raise SystemFailure("its output is larger")
        folders.remove(job.source)
    except SystemFailure as error:
        console.say(f"luxvox: {job.source}: note: not removed: {error}")


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
    click.echo(console.json_text(facts))
