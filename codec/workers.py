"""Segments worked on side by side: each by a thread of its own, torch with one thread in each.

Networks of a segment are too small for torch to split them well among threads. How many threads
torch uses is a setting of each thread, but one that starts takes over what any thread has set
last; so it is set again at the end to what it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

MAX_WORKERS = 8  # one that corrects latents takes 80 MB

Item = TypeVar("Item")
Result = TypeVar("Result")


def n_workers() -> int:
    """Return how many items are worked on at once, if there are enough."""
    return min(torch.get_num_threads(), MAX_WORKERS)


def side_by_side(
    work: Callable[[Item], Result], items: Iterable[Item], n_items: int
) -> Generator[Result]:
    """Yield the result of work on each item, in order, by as many threads as torch may use.

    At most two items per thread are taken ahead. If the caller stops, or an item fails,
    those not yet begun are never done.
    """
    n_threads = torch.get_num_threads()
    n = min(n_workers(), n_items)
    if n < 2:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,))
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) == 2 * n:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        try:
            pool.shutdown(cancel_futures=True)
        finally:
            torch.set_num_threads(n_threads)


def in_one_thread(work: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """Let torch work in one thread, so that sums have one order however many cores there are."""

    def alone(item: Item) -> Result:
        n_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return work(item)
        finally:
            torch.set_num_threads(n_threads)

    return alone
