"""Fuzz: run targets on hostile inputs for as long as you like, and count what went wrong.

    python fuzz/run.py --executions 10000 --targets container picture --seed 1

Nothing but a `LuxvoxError` may come out of a target, within five seconds of processor time.
Whatever else does is saved under `--crashes`, by target, seed and number of the execution. One line
of JSON a target goes to standard output: executions, refused, crashes, hangs, seconds, peak memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from luxvox.errors import DamageWarning, LossWarning, LuxvoxError, TruncatedWarning
from luxvox.fuzz.targets import TARGETS, TINY
from luxvox.models.cards import use_weights

HANG_S = 5.0


class HangError(BaseException):
    """Report an execution that took too long; no `except Exception` catches it."""


def main() -> int:
    """Run the targets in turn."""
    parser = argparse.ArgumentParser(description="Fuzz luxvox.")
    parser.add_argument("--executions", type=int, default=1000, help="of each target")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most, each target")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crashes", type=Path, default=Path("runs/crashes"))
    options = parser.parse_args()
    n_bad = 0
    with use_weights(TINY):
        for name in options.targets:
            limits = options.executions, options.seconds
            summary = fuzz(name, limits, options.seed, options.crashes)
            print(json.dumps(summary), flush=True)
            n_bad += summary["crashes"] + summary["hangs"]
    return 1 if n_bad else 0


def fuzz(name: str, limits: tuple[int, float], seed: int, crashes: Path) -> dict[str, Any]:
    """Run one target n times, for a number of seconds at most; return the summary."""
    files, target = TARGETS[name]
    counts = {"refused": 0, "crashes": 0, "hangs": 0}
    _attempt(target.run, files[0])  # loads weights and code, which belong to no execution
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start_s, n_done, slowest_s = time.monotonic(), 0, 0.0
    while n_done < limits[0] and time.monotonic() - start_s < limits[1]:
        data = target.make(files, Random(f"{name} {seed} {n_done}"))
        begin_s = time.process_time()
        outcome = _attempt(target.run, data)
        slowest_s = max(slowest_s, time.process_time() - begin_s)
        if outcome in counts:
            counts[outcome] += 1
        if outcome in ("crashes", "hangs"):
            crashes.mkdir(parents=True, exist_ok=True)
            (crashes / f"{name}-{seed}-{n_done}").write_bytes(data)
        n_done += 1
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "target": name,
        "seed": seed,
        "executions": n_done,
        **counts,
        "seconds": round(time.monotonic() - start_s),
        "slowest_ms": round(1000 * slowest_s),
        "peak_mib": round(peak_kib / 1024),
        "grown_mib": round((peak_kib - before_kib) / 1024),
    }


def _attempt(run: Callable[[bytes], None], data: bytes) -> str:
    """Run once; return `done`, `refused`, `crashes` or `hangs`."""
    try:
        with _watch(), warnings.catch_warnings():
            warnings.simplefilter("error")
            for expected in (DamageWarning, LossWarning, TruncatedWarning):
                warnings.simplefilter("ignore", category=expected)
            run(data)
    except LuxvoxError:
        return "refused"
    except HangError:
        return "hangs"
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return "crashes"
    return "done"


@contextlib.contextmanager
def _watch() -> Iterator[None]:
    """Raise after a limit of processor time, since a busy machine is not a hang."""

    def raise_hang(number: int, frame: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, raise_hang)
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


if __name__ == "__main__":
    sys.exit(main())
