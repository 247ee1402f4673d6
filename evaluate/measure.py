"""Measure codecs on files: encode, decode, compare; each point once, then kept in the cache.

A job is one codec on one file. Its result depends only on the two, so jobs may run in any order and
in any number of processes.
"""

from __future__ import annotations

import functools
import multiprocessing
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luxvox.errors import LuxvoxError, SystemFailure
from luxvox.evaluate import peers
from luxvox.evaluate.cache import Cache
from luxvox.evaluate.inputs import VOICES, Failure, TestFile, one_line, rate_of, read, size_of
from luxvox.evaluate.metrics import Metric, NotApplicable, Setting, all_metrics
from luxvox.evaluate.peers import Codec, Peer
from luxvox.models.cards import preferred_folder, use_weights


@dataclass(frozen=True)
class Job:
    """One codec on one file.

    Attributes:
        test_file: the file.
        codec: the codec.
        metrics: the metrics to compute.
        setting: what they need to know.
        cache: where figures are kept.
    """

    test_file: TestFile
    codec: Codec
    metrics: tuple[Metric, ...]
    setting: Setting
    cache: Cache


@dataclass(frozen=True)
class Row:
    """The cost of one file with one codec at one point, and its figures.

    Attributes:
        file: name of the file.
        codec: name of the codec.
        point: its setting.
        n_bytes: bytes that count.
        rate: bits per pixel or kbit/s.
        figures: by name of the metric; None where it has no figure.
        reasons: why it has none.
    """

    file: str
    codec: str
    point: float
    n_bytes: int
    rate: float
    figures: Mapping[str, float | None] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The result of a job: rows by point, or the reason why there are none."""

    rows: tuple[Row, ...] = ()
    size: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None


def run_all(
    jobs: Sequence[Job], n_processes: int, progress: Callable[[float], None]
) -> list[Outcome]:
    """Run jobs in processes of their own, or in this process if only one is asked for.

    Args:
        jobs: what to measure.
        n_processes: how many at a time.
        progress: called with the share of the points done, 0 … 1.

    Returns:
        The outcomes in the order of the jobs.

    Raises:
        SystemFailure: a process died.
    """
    total = max(1, sum(len(job.codec.points) for job in jobs))
    done = 0

    def count_points(n_points: int) -> None:
        nonlocal done
        done += n_points
        progress(done / total)

    if n_processes == 1:
        from luxvox.torch_state import one_thread

        with one_thread():
            return [run(job, count_points) for job in jobs]
    return _run_in_processes(jobs, n_processes, count_points)


def run(job: Job, count_points: Callable[[int], None] | None = None) -> Outcome:
    """Run one job, point by point; whatever a codec or metric raises becomes a failure."""
    rows: list[Row] = []
    size: Mapping[str, float] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of libraries that are measured or measure
            for point in job.codec.points:
                row, size = _measure(job, point)
                rows.append(row)
                if count_points is not None:
                    count_points(1)
    except SystemFailure:
        raise
    except _Unreadable as error:
        return Outcome(failure=Failure(job.test_file.name, str(error)))
    except Exception as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        where = f"at {point:g}: " if rows else ""
        return Outcome(failure=Failure(job.test_file.name, where + reason, job.codec.name))
    return Outcome(tuple(rows), size)


def fit_to_original(decoded: NDArray[Any], original: NDArray[Any], kind: str) -> NDArray[Any]:
    """Cut or pad a decoded voice to its original's length; check a decoded picture's shape.

    Raises:
        ValueError: the picture has another shape or type, the voice more than one dimension.
    """
    if kind == VOICES:
        samples = np.asarray(decoded, dtype=np.float32)
        if samples.ndim != 1:
            raise ValueError(f"decoded to {list(samples.shape)}, not [T]")
        return np.pad(samples[: len(original)], (0, max(len(original) - len(samples), 0)))
    if decoded.shape != original.shape or decoded.dtype != original.dtype:
        raise ValueError(
            f"decoded to {decoded.dtype} {list(decoded.shape)},"
            f" not {original.dtype} {list(original.shape)}"
        )
    return decoded


class _Unreadable(Exception):
    """Report a file that cannot be read: no codec is to blame."""


def _measure(job: Job, point: float) -> tuple[Row, Mapping[str, float]]:
    key = {
        "file": job.test_file.sha256,
        "codec": job.codec.name,
        "label": job.codec.label,
        "version": job.codec.version,
        "point": point,
    }
    value = job.cache.read(key) or {"figures": {}, "reasons": {}}
    missing = [metric for metric in job.metrics if _is_missing(metric, value, job.test_file)]
    if missing or "bytes" not in value:
        value = _code_and_measure(job, point, missing, value)
        job.cache.write(key, value)
    keys = {metric.name: _key_of(metric, job.test_file) for metric in job.metrics}
    row = Row(
        file=job.test_file.name,
        codec=job.codec.name,
        point=point,
        n_bytes=value["bytes"],
        rate=value["rate"],
        figures={name: value["figures"][key] for name, key in keys.items()},
        reasons={n: value["reasons"][k] for n, k in keys.items() if k in value["reasons"]},
    )
    return row, value["size"]


def _key_of(metric: Metric, test_file: TestFile) -> str:
    # Only word errors depend on more than the file.
    return (
        f"{metric.key} of {test_file.language}: {test_file.text}"
        if metric.name == "wer"
        else metric.key
    )


def _is_missing(metric: Metric, value: Mapping[str, Any], test_file: TestFile) -> bool:
    return _key_of(metric, test_file) not in value["figures"]


def _code_and_measure(
    job: Job, point: float, metrics: Sequence[Metric], known: Mapping[str, Any]
) -> dict[str, Any]:
    test_file, peer = job.test_file, peers.load(job.codec.spec)
    try:
        original = read(test_file)
    except (LuxvoxError, OSError) as error:
        raise _Unreadable(one_line(error)) from error
    data, decoded = encode_and_decode(peer, original, point)
    n_bytes = peer.payload_bytes(data)
    figures, reasons = dict(known["figures"]), dict(known["reasons"])
    if known.get("bytes", n_bytes) != n_bytes:  # the codec has changed
        figures, reasons, metrics = {}, {}, job.metrics
    for metric in metrics:
        key = _key_of(metric, test_file)
        try:
            figures[key] = _metric(metric.name).measure(original, decoded, test_file, job.setting)
        except NotApplicable as error:
            figures[key], reasons[key] = None, str(error)
    return {
        "bytes": n_bytes,
        "rate": rate_of(test_file.kind, n_bytes, original),
        "size": size_of(test_file, original),
        "figures": figures,
        "reasons": reasons,
    }


def encode_and_decode(
    peer: Peer, original: NDArray[Any], point: float
) -> tuple[bytes, NDArray[Any]]:
    """Encode and decode; return the bytes that were written, and what was read from them.

    Raises:
        ValueError: a picture came back in another shape.
    """
    data = peer.encode(original, point)
    return data, fit_to_original(peer.decode(data), original, peer.kind)


@functools.lru_cache(maxsize=64)
def _metric(name: str) -> Any:
    return all_metrics()[name]


def _run_in_processes(
    jobs: Sequence[Job], n_processes: int, count_points: Callable[[int], None]
) -> list[Outcome]:
    context = multiprocessing.get_context("spawn")
    outcomes: dict[int, Outcome] = {}
    pool = ProcessPoolExecutor(n_processes, mp_context=context, initializer=_use_one_thread)
    try:
        futures: dict[Future[Outcome], int] = {
            pool.submit(_run_with, preferred_folder(), job): number
            for number, job in enumerate(jobs)
        }
        for future in as_completed(futures):
            outcomes[futures[future]] = future.result()
            count_points(len(jobs[futures[future]].codec.points))
    except BrokenProcessPool as error:
        raise SystemFailure(
            "a measuring process died; run again to go on, with --jobs 1 to see why"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
    return [outcomes[number] for number in range(len(jobs))]


def _run_with(weights: Path | None, job: Job) -> Outcome:
    """Run a job with the same preferred weights as the process that started it."""
    with use_weights(weights) if weights else nullcontext():
        return run(job)


def _use_one_thread() -> None:
    import torch

    torch.set_num_threads(1)
