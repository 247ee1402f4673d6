"""Cautions go to the caller's warning filters, or to the thread that collects them."""

import sys
import threading
import warnings

import pytest

from luxvox import cautions
from luxvox.commands.jobs import Job, run_job
from luxvox.errors import LossWarning


def warn_here(text):
    cautions.warn(LossWarning(text), stacklevel=2)


def test_points_to_the_caller():
    with pytest.warns(LossWarning, match="lost") as caught:
        warn_here("lost")
    assert caught[0].filename == __file__


def test_collects_in_its_own_thread_only(recwarn):
    with cautions.collect() as collected:
        thread = threading.Thread(target=warn_here, args=("of the other thread",))
        thread.start()
        thread.join()
        warn_here("of this one")
    assert [str(caution) for caution in collected] == ["of this one"]
    assert [str(warning.message) for warning in recwarn] == ["of the other thread"]


def test_inner_block_keeps_what_it_collects():
    with cautions.collect() as outer, cautions.collect() as inner:
        warn_here("lost")
    assert (len(outer), len(inner)) == (0, 1)


def test_jobs_in_threads_leave_the_process_as_it_was():
    """The first job ends while the second one runs; its streams and filters must not remain."""
    began, ended = threading.Event(), threading.Event()
    lines: dict[str, tuple[str, ...]] = {}

    def first(source, _):
        assert began.wait(60)
        cautions.warn(LossWarning(f"of {source}"))

    def second(source, _):
        began.set()
        assert ended.wait(60)
        cautions.warn(LossWarning(f"of {source}"))

    def run(name, work):
        lines[name] = run_job(Job(name, ""), work).lines
        ended.set()

    before = sys.stderr, warnings.showwarning, list(warnings.filters)
    works = {"a": first, "b": second}
    threads = [threading.Thread(target=run, args=pair) for pair in works.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert lines == {name: (f"luxvox: {name}: note: of {name}",) for name in works}
    assert (sys.stderr, warnings.showwarning, list(warnings.filters)) == before
