"""A pool of processes that end with the command, whatever ends it, and leave no part of a file.

Python's pool goes on with the jobs that it has already handed to its processes, even after a signal
has ended one of them, and its processes outlive a command that is killed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from luxvox.commands.process import (
    EndedBySignal,
    ending_signals_raised,
    hide_warnings,
    seek_garbage_seldom,
)

Result = TypeVar("Result")


@contextlib.contextmanager
def process_pool(n_processes: int, n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of spawned processes, and end them at once if the command ends early.

    Args:
        n_processes: how many jobs are done at a time.
        n_threads: threads of each process.
    """
    pool = _Pool(n_processes, _Context(), initializer=_begin_process, initargs=(n_threads,))
    try:
        yield pool
    except (KeyboardInterrupt, EndedBySignal, GeneratorExit):
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


class _Pool(ProcessPoolExecutor):
    """A pool whose processes end when a signal asks them to."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        return super().submit(_do, fn, *args, **kwargs)


class _Process(SpawnProcess):
    """A process that Ctrl-C does not reach: the command gets it, and ends its processes."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            super().start()
            return
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Context(SpawnContext):
    Process = _Process


def _begin_process(n_threads: int) -> None:
    """Prepare a process of the pool: its share of the cores, and the end of the command."""
    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # torch is not loaded yet
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    hide_warnings()
    seek_garbage_seldom()


def _end_with_parent() -> None:
    """Wait until the command has gone, even if it was killed, and end this process, too."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _do(job: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Do a job; a signal that ends the process unwinds it first, so that no part of a file stays.

    Between jobs the default action ends the process.
    """
    try:
        with ending_signals_raised():
            return job(*args, **kwargs)
    except EndedBySignal as ending:
        os._exit(ending.exit_code)
