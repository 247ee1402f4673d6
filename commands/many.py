"""Options of commands that work on many files: which files, how many at a time, what to print."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from luxvox.commands import paths
from luxvox.commands.batch import BatchOptions, run_jobs
from luxvox.commands.jobs import Work
from luxvox.commands.options import complete_files
from luxvox.commands.sources import Search, Source, find_sources


@dataclass(frozen=True)
class ManyFiles:
    """The files that a command works on, and how.

    Attributes:
        inputs: paths of files and folders, or `-`.
        files_from: path of a list of more.
        is_recursive: whether subfolders are searched.
        options: how the jobs are run.
    """

    inputs: tuple[str, ...]
    files_from: str | None
    is_recursive: bool
    options: BatchOptions

    def sources(self, is_wanted: Callable[[str], bool]) -> tuple[Source, ...]:
        """Return the files; in folders, only those with wanted names."""
        return find_sources(self.inputs, self.files_from, Search(self.is_recursive, is_wanted))

    def run(
        self, sources: Sequence[Source], output: str | None, endings: Sequence[str], work: Work
    ) -> int:
        """Name the outputs, do the jobs, and return the exit code."""
        targets = paths.name_outputs(sources, output, endings)
        return run_jobs([source.path for source in sources], targets, work, self.options)


_FINDING = (
    click.option(
        "--files-from",
        metavar="LIST",
        shell_complete=complete_files,
        help="Read more inputs from a file, one per line; - for stdin.",
    ),
    click.option("-r", "--recursive", is_flag=True, help="Search subfolders, too."),
    click.option(
        "--json", "as_json", is_flag=True, help="Write one JSON object per file to stdout."
    ),
)
_RUNNING = (
    click.option(
        "--jobs",
        "n_processes",
        type=click.IntRange(min=1),
        metavar="N",
        help="Files at a time.  [default: all cores if there are several files]",
    ),
    click.option("--quiet", is_flag=True, help="Print only errors, warnings and notes."),
)
_WRITING = (
    click.option("-v", "--verbose", is_flag=True, help="List skipped files, too."),
    click.option(
        "--skip-existing", is_flag=True, help="Skip inputs whose output exists and is not older."
    ),
    click.option("--dry-run", is_flag=True, help="List the outputs and do nothing."),
    click.option("--rm", "remove", is_flag=True, help="Delete inputs whose output is whole."),
    click.option(
        "--dask",
        metavar="ADDRESS",
        help="Run on a Dask cluster, such as tcp://host:8786; needs luxvox[dask].",
    ),
)


def finds_many_files(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that find files to a command that only looks at them, as `many`."""
    return _with_options(command, _FINDING, makes_folders=False)


def reads_many_files(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of many files to a command that decodes and writes none, as `many`."""
    return _with_options(command, (*_FINDING, *_RUNNING), makes_folders=False)


def writes_many_files(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of many files to a command that makes a file of each, as `many`."""
    return _with_options(command, (*_FINDING, *_RUNNING, *_WRITING), makes_folders=True)


def _with_options(
    command: Callable[..., int], options: Sequence[Callable[..., Any]], makes_folders: bool
) -> Callable[..., int]:
    @functools.wraps(command)
    def run(inputs: tuple[str, ...], files_from: str | None, recursive: bool, **others: Any) -> int:
        names = BatchOptions.__dataclass_fields__.keys() & others.keys()
        chosen = {name: others.pop(name) for name in names}
        batch = BatchOptions(**chosen, makes_folders=makes_folders)
        return command(many=ManyFiles(inputs, files_from, recursive, batch), **others)

    for option in reversed(options):
        run = option(run)
    return run
