"""Measure time and memory of luxvox: at 768×512, from 1 to 64 megapixels, and at a cold start.

    python benchmarks/speed.py image-val/

Every figure is taken in a process of its own, so that the peak of memory belongs to one direction
at one size. The peak counts the whole process: Python, torch, the model, the pixels and the work.
A cold start is a whole command on a small picture, next to a process that only imports torch.
"""

import functools
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from luxvox.benchmarks.mosaic import mosaic
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
SMALL = (512, 768)
MEGAPIXELS = (1, 4, 16, 64)
TINY = (64, 96)
COLD_RUNS = 7

J = TypeVar("J")
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """One picture, kept in a folder as pixels and as .lvx file, and how to run it."""

    folder: Path
    quality: float
    threads: int
    runs: int

    @property
    def pixels_path(self) -> Path:
        """Name the file of the pixels, uint8 [H, W, 3]."""
        return self.folder / "pixels.npy"

    @property
    def data_path(self) -> Path:
        """Name the compressed file."""
        return self.folder / "picture.lvx"


@dataclass(frozen=True)
class Timing:
    """What compressing or decompressing one picture took."""

    direction: str
    width: int
    height: int
    quality: float
    threads: int
    file_bytes: int
    first_s: float
    median_s: float
    runs: int
    peak_mib: int


@dataclass(frozen=True)
class ColdStart:
    """Median seconds of two commands, files cached by the system."""

    decompress_s: float
    import_torch_s: float
    file_bytes: int
    runs: int


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--quality", default=50.0, show_default=True)
@click.option("--threads", default=2, show_default=True, help="Threads of torch.")
@click.option("--runs", default=9, show_default=True, help="Warm runs at 768×512.")
@click.option(
    "--megapixels",
    multiple=True,
    type=int,
    default=MEGAPIXELS,
    show_default=True,
    help="Size to measure once (repeatable).",
)
@click.option(
    "--docs",
    default=DOCS,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of results.md and results/.",
)
def main(
    *,
    folder: Path,
    quality: float,
    threads: int,
    runs: int,
    megapixels: tuple[int, ...],
    docs: Path,
) -> None:
    """Measure luxvox on the first picture of FOLDER, mirrored to each size."""
    source = read_picture(picture_paths(folder)[0])
    timings = []
    for size, warm_runs in [(SMALL, runs), *((_shape(number), 1) for number in megapixels)]:
        with tempfile.TemporaryDirectory() as scratch:
            job = Job(Path(scratch), quality, threads, warm_runs)
            np.save(job.pixels_path, mosaic(source, *size))
            works = time_compress, time_decompress, time_eighth, time_sixteenth
            timings += [in_own_process(work, job) for work in works]
        for timing in timings[-len(works) :]:
            click.echo("  ".join(_cells(timing)), err=True)
    cold = start_cold(source, quality)
    setup = {
        "command": repeat_command(folder),
        "machine": machine(),
        "packages": describe_packages("torch", "numpy", weights=("picture",)),
        "timings": [asdict(timing) for timing in timings],
        "cold": asdict(cold),
    }
    (docs / "results" / "speed.json").write_text(json.dumps(setup, indent=2) + "\n", "utf-8")
    report = markdown(
        timings, cold, f"`{setup['command']}`, {setup['machine']}, {setup['packages']}."
    )
    splice(docs / "results.md", "speed", report)
    click.echo(report)


def in_own_process(work: Callable[[J], T], job: J) -> T:
    """Run `work(job)` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, job).result()


def time_compress(job: Job) -> Timing:
    """Time compression and leave the file in the job's folder."""
    import luxvox

    pixels = np.load(job.pixels_path)
    seconds, data = _time(lambda: luxvox.compress_image(pixels, quality=job.quality), job)
    job.data_path.write_bytes(data)
    return _timing("compress", job, pixels.shape, seconds)


def time_decompress(job: Job) -> Timing:
    """Time decompression of the file in the job's folder."""
    return _time_view("decompress", job, 1.0)


def time_eighth(job: Job) -> Timing:
    """Time decompression to an eighth of width and height."""
    return _time_view("to 1/8", job, 1 / 8)


def time_sixteenth(job: Job) -> Timing:
    """Time decompression to a sixteenth of width and height."""
    return _time_view("to 1/16", job, 1 / 16)


def _time_view(direction: str, job: Job, scale: float) -> Timing:
    import luxvox

    data = job.data_path.read_bytes()
    seconds, _ = _time(lambda: luxvox.decompress_image(data, scale=scale), job)
    return _timing(direction, job, np.load(job.pixels_path, mmap_mode="r").shape, seconds)


def start_cold(source: NDArray[np.uint8], quality: float, runs: int = COLD_RUNS) -> ColdStart:
    """Measure `luxvox decompress` of a small picture, and `import torch`, in turn.

    Modules are compiled beforehand, as an installation does, whatever the environment says.
    """
    import luxvox

    data = luxvox.compress_image(mosaic(source, *TINY), quality=quality)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "small.lvx")
        path.write_bytes(data)
        output = str(path.with_suffix(".png"))
        decompress = ["-m", "luxvox", "decompress", str(path), "-f", "-o", output]
        environment = dict(os.environ, PYTHONPYCACHEPREFIX=str(Path(scratch, "compiled")))
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        run = functools.partial(_run_python, environment)
        run(*decompress)
        pairs = [(run(*decompress), run("-c", "import torch")) for _ in range(runs)]
    decompress_s, import_s = (statistics.median(s) for s in zip(*pairs, strict=True))
    return ColdStart(round(decompress_s, 2), round(import_s, 2), len(data), runs)


def _run_python(environment: Mapping[str, str], *words: str) -> float:
    """Return how many seconds a Python command takes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True, env=environment)
    return time.perf_counter() - begin


def markdown(timings: Sequence[Timing], cold: ColdStart, setup: str) -> str:
    """Write the table of the results page."""
    start = (
        f"A cold `luxvox decompress` of a file of {cold.file_bytes} bytes takes"
        f" {cold.decompress_s:.2f} s, `python -c 'import torch'` {cold.import_torch_s:.2f} s"
        f" (medians of {cold.runs} in turn)."
    )
    head = ["", "size", "megapixels", "bytes", "first run, s", "warm, s", "peak memory, MiB"]
    return "\n\n".join(
        [
            f"Quality {timings[0].quality:g}, {timings[0].threads} threads; warm is the median of"
            f" {timings[0].runs} runs after the first at 768×512, one run at the other sizes."
            " Memory is the peak of the whole process.",
            table(head, [_cells(timing) for timing in timings]),
            textwrap.fill(start, 100),
            setup,
        ]
    )


def _shape(megapixels: int) -> tuple[int, int]:
    """Return height and width at 3:2."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    return height, round(1.5 * height)


def _time(work: Callable[[], T], job: Job) -> tuple[list[float], T]:
    """Return the seconds of the first run and of each warm one, and the last result."""
    import torch

    torch.set_num_threads(job.threads)
    seconds: list[float] = []
    results: list[T] = []
    for _ in range(1 + job.runs):
        # A result that is kept during the next run would count in its peak memory.
        results.clear()
        begin = time.perf_counter()
        results.append(work())
        seconds.append(time.perf_counter() - begin)
    return seconds, results[0]


def _timing(direction: str, job: Job, shape: tuple[int, ...], seconds: Sequence[float]) -> Timing:
    return Timing(
        direction=direction,
        width=shape[1],
        height=shape[0],
        quality=job.quality,
        threads=job.threads,
        file_bytes=job.data_path.stat().st_size,
        first_s=round(seconds[0], 3),
        median_s=round(statistics.median(seconds[1:]), 3),
        runs=job.runs,
        peak_mib=round(peak_bytes() / 2**20),
    )


def peak_bytes() -> int:
    """Return the largest resident size that this process has had."""
    try:
        # Preferred to getrusage, which on Linux passes on the peak of the process that started us.
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _cells(timing: Timing) -> list[str]:
    return [
        timing.direction,
        f"{timing.width}×{timing.height}",
        f"{timing.width * timing.height / 1e6:.1f}",
        f"{timing.file_bytes:,}",
        f"{timing.first_s:.2f}",
        f"{timing.median_s:.2f}",
        f"{timing.peak_mib:.0f}",
    ]


if __name__ == "__main__":
    main()
