"""The processes of a run end with it, whatever ends it, and leave their jobs in order."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from luxvox.commands.batch import BatchOptions, run_jobs
from luxvox.commands.process import EndedBySignal, ending_signals_raised

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def linger(source, target):
    """Note which process works on a file, wait for ever, and clean up."""
    note = Path(target)
    try:  # a signal may come as soon as the note is there
        note.write_text(str(os.getpid()))
        time.sleep(300.0)
    finally:
        note.rename(f"{target}.ended")


def run(folder):
    """Work on eight files in two processes until a signal comes."""
    sources = [f"{folder}/{number}" for number in range(8)]
    targets = [f"{source}.out" for source in sources]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored
    try:
        with ending_signals_raised():
            run_jobs(sources, targets, linger, BatchOptions(n_processes=2))
    except (EndedBySignal, KeyboardInterrupt):
        print("ended")


@pytest.fixture
def lingering(tmp_path):
    """Start a run in a group of its own, and wait until both of its processes have begun."""
    words = f"from luxvox.tests.commands.test_pool import run; run({str(tmp_path)!r})"
    with subprocess.Popen(
        [sys.executable, "-c", words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert eventually(lambda: len(list(tmp_path.glob("*.out"))) == 2)
            yield process
            assert eventually(lambda: not is_group_running(process.pid))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def eventually(is_true, seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_true():
            return True
        time.sleep(0.05)
    return False


def is_group_running(number):
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_waiting_jobs_do_not_begin_once_a_run_is_ended(lingering, tmp_path, number):
    lingering.send_signal(number)
    assert lingering.communicate(timeout=60) == ("ended\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.out.ended", "1.out.ended"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_all_processes_at_once_print_nothing(lingering, tmp_path, number):
    os.killpg(lingering.pid, number)  # as a terminal does
    assert lingering.communicate(timeout=60) == ("ended\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.out.ended", "1.out.ended"]


def test_processes_do_not_outlive_a_run_that_is_killed(lingering, tmp_path):
    lingering.kill()
    lingering.wait(60)
    assert eventually(lambda: not list(tmp_path.glob("*.out")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.out.ended", "1.out.ended"]
