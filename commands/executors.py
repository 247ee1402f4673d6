"""Where the jobs of a run are done: in a pool of processes, on a Dask cluster, on any executor."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from queue import SimpleQueue
from typing import Any

from luxvox.commands.jobs import Job, Outcome, Work, failure, run_job
from luxvox.commands.pool import process_pool
from luxvox.errors import SystemFailure

_WINDOW = 2  # jobs that wait or run, for each process

Ended = Callable[[int, Outcome], None]
"""Called with a job's number and outcome as soon as the job has ended."""


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


def run_in_processes(
    jobs: Sequence[Job], work: Work, n_processes: int, ended: Ended
) -> Iterator[Outcome]:
    """Run jobs in a pool of processes; one that dies takes only its own file with it.

    Args:
        jobs: what is to be done.
        work: does one job; it is sent to the processes.
        n_processes: how many at a time.
        ended: called with each job as soon as it has ended; outcomes are yielded in job order.
    """
    n_threads = max(1, (os.cpu_count() or 1) // n_processes)
    rest = list(range(len(jobs)))
    while rest:
        numbers = tuple(rest)  # what a pool counts as 0 may be the tenth of all

        def report(number: int, outcome: Outcome, numbers: tuple[int, ...] = numbers) -> None:
            ended(numbers[number], outcome)

        try:
            with process_pool(n_processes, n_threads) as pool:
                chosen = [jobs[number] for number in numbers]
                outcomes = run_in(pool, chosen, work, _WINDOW * n_processes, report)
                for number, outcome in zip(numbers, outcomes, strict=True):
                    rest.remove(number)
                    yield outcome
        except _PoolDied as death:
            for number, outcome in death.ended.items():
                rest.remove(numbers[number])
                yield outcome
            # Any of the jobs that it was working on may have killed it: each gets a pool of its
            # own.
            for number in death.lost:
                outcome = _run_alone(jobs[numbers[number]], work)
                report(number, outcome)
                rest.remove(numbers[number])
                yield outcome


class _PoolDied(Exception):
    """Report the numbers of the jobs that a pool was working on when one of its processes died."""

    def __init__(self, lost: Sequence[int], ended: Mapping[int, Outcome]) -> None:
        super().__init__("a process died")
        self.lost = lost
        self.ended = ended


def run_in(
    executor: Executor, jobs: Sequence[Job], work: Work, n_waiting: int, ended: Ended
) -> Iterator[Outcome]:
    """Hand jobs to an executor, a few ahead of those that run, and yield outcomes in their order.

    Args:
        executor: anything whose `submit` returns futures of `concurrent.futures`.
        jobs, work, ended: as for `run_in_processes`.
        n_waiting: how many jobs the executor has at a time.

    Raises:
        _PoolDied: a process died; it lists what was not done.
    """
    from luxvox.models.cards import preferred_folder

    waiting = iter(enumerate(jobs))
    arrived: SimpleQueue[Future[Outcome]] = SimpleQueue()
    running: dict[Future[Outcome], int] = {}
    held: dict[int, Outcome] = {}
    n_yielded = 0
    try:
        while n_yielded < len(jobs):
            while len(running) < n_waiting and (pair := next(waiting, None)) is not None:
                future = executor.submit(run_job, pair[1], work, preferred_folder())
                running[future] = pair[0]
                future.add_done_callback(arrived.put)
            future = arrived.get()
            number = running[future]
            held[number] = result_of(future, jobs[number])
            del running[future]
            ended(number, held[number])
            while n_yielded in held:
                yield held.pop(n_yielded)
                n_yielded += 1
    except BrokenExecutor:
        raise _PoolDied(tuple(running.values()), held) from None


def result_of(future: Future[Outcome], job: Job) -> Outcome:
    """Return the outcome of a job; what the executor itself raises is blamed on that one file.

    Raises:
        BrokenExecutor: a process of a pool died, and everything it was working on is lost.
    """
    try:
        return future.result()
    except BrokenExecutor:
        raise
    except Exception as error:
        return failure(job, SystemFailure(f"its worker failed: {type(error).__name__}: {error}"))


def _run_alone(job: Job, work: Work) -> Outcome:
    try:
        with process_pool(1, n_threads=os.cpu_count() or 1) as pool:
            return next(run_in(pool, [job], work, 1, lambda *_: None))
    except _PoolDied:
        message = "the process that worked on it died; is there too little memory?"
        return failure(job, SystemFailure(message))
