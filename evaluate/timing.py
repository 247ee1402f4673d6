"""How long codecs take: one at a time, one thread, warm, the median of several runs.

Times are never taken while anything else is measured, and are kept per machine.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from luxvox.evaluate import peers
from luxvox.evaluate.cache import Cache
from luxvox.evaluate.inputs import TestFile, rate_of, read
from luxvox.evaluate.peers import Codec

RUNS = 3
THREADS = 1


@dataclass(frozen=True)
class Times:
    """Medians of a codec at a point on one file, in seconds, and the rate there."""

    file: str
    codec: str
    point: float
    rate: float
    encode_s: float
    decode_s: float


def measure_all(
    test_files: Sequence[TestFile],
    codecs: Sequence[Codec],
    cache: Cache,
    progress: Callable[[float], None],
) -> list[Times]:
    """Time all codecs at all points, file after file, one warm-up and three runs each."""
    from luxvox.torch_state import one_thread

    jobs = [(s, e, point) for s in test_files for e in codecs for point in e.points]
    times = []
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for done, job in enumerate(jobs, 1):
            times.append(_measure(*job, cache))
            progress(done / len(jobs))
    return times


def machine() -> str:
    """Return processor, cores and Python version in one line."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _measure(test_file: TestFile, codec: Codec, point: float, cache: Cache) -> Times:
    key = {
        "time of": test_file.sha256,
        "codec": codec.name,
        "label": codec.label,
        "version": codec.version,
        "point": point,
        "machine": machine(),
    }
    value = cache.read(key)
    if value is None:
        value = _time_codec(test_file, codec, point)
        cache.write(key, value)
    return Times(test_file.name, codec.name, point, **value)


def _time_codec(test_file: TestFile, codec: Codec, point: float) -> dict[str, float]:
    peer, original = peers.load(codec.spec), read(test_file)
    data = peer.encode(original, point)
    peer.decode(data)
    return {
        "rate": rate_of(test_file.kind, peer.payload_bytes(data), original),
        "encode_s": _median_s(lambda: peer.encode(original, point)),
        "decode_s": _median_s(lambda: peer.decode(data)),
    }


def _median_s(action: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
