"""Where the jobs of a run are done: in a pool of processes, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

from luxvox.commands.process import EndedBySignal, hide_warnings, raise_ending_signal
from luxvox.errors import SystemFailure


@contextlib.contextmanager
def process_pool(n_processes: int, n_threads: int) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of spawned processes, and end them at once if the command ends early."""
    pool = ProcessPoolExecutor(
        n_processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_process,
        initargs=(n_threads,),
    )
    try:
        yield pool
    except (KeyboardInterrupt, EndedBySignal, GeneratorExit):
        for process in multiprocessing.active_children():
            process.terminate()  # the job unwinds, and leaves no part of a file
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_process(n_threads: int) -> None:
    """Prepare a process of the pool: its share of the cores, and an orderly end."""
    os.environ["OMP_NUM_THREADS"] = str(n_threads)  # torch is not loaded yet
    signal.signal(signal.SIGTERM, raise_ending_signal)
    hide_warnings()


@contextlib.contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to a Dask cluster, whose workers see the same files under the same paths.

    Raises:
        SystemFailure: the package is missing, or nothing answers at the address.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise SystemFailure("--dask needs dask: pip install 'luxvox[dask]'") from None
    try:
        client = distributed.Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise SystemFailure(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        yield client.get_executor(pure=False, retries=2)
