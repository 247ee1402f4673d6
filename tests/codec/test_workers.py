"""Work on segments side by side: in order, by all threads, and no more than needed."""

import threading

import pytest
import torch

from luxvox.codec.workers import side_by_side


@pytest.fixture(params=[1, 2, 3])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_items", [0, 1, 2, 7])
def test_results_come_in_order(n_threads, n_items):
    assert list(side_by_side(lambda n: n * n, range(n_items), n_items)) == [
        n * n for n in range(n_items)
    ]
    assert torch.get_num_threads() == n_threads


def test_items_are_worked_on_at_the_same_time_with_one_thread_each(n_threads):
    barrier = threading.Barrier(n_threads, timeout=20.0)

    def work(_):
        barrier.wait()  # passed only once all have arrived
        return torch.get_num_threads()

    assert list(side_by_side(work, range(n_threads), n_threads)) == [1] * n_threads
    assert torch.get_num_threads() == n_threads


def test_an_error_stops_the_work(n_threads):
    done = []

    def work(item):
        if item == 2:
            raise ValueError("two")
        done.append(item)

    with pytest.raises(ValueError, match="two"):
        list(side_by_side(work, range(1000), 1000))
    assert len(done) < 999
    assert torch.get_num_threads() == n_threads


def test_work_that_nobody_waits_for_is_not_begun(n_threads):
    begun: list[int] = []
    n_taken = 0

    def take_from(items):
        nonlocal n_taken
        for item in items:
            n_taken += 1
            yield item

    results = side_by_side(begun.append, take_from(range(100)), 100)
    next(results)
    results.close()
    assert len(begun) <= n_taken <= 2 * n_threads
    assert torch.get_num_threads() == n_threads


def test_new_threads_keep_the_number_of_torch_threads(n_threads):
    list(side_by_side(abs, range(4), 4))
    n_in_thread = []
    thread = threading.Thread(target=lambda: n_in_thread.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert n_in_thread == [n_threads]
