"""Measure archives: files a second in one process, in two and on a cluster; memory over many files.

    python benchmarks/batch.py image-val/

Each run is a command of its own, so its start counts. Memory is read from /proc while the command
runs, for the process itself and for those it started.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from luxvox.benchmarks.mosaic import mosaic
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
WAYS = ("one process", "two processes", "Dask, two workers")
PARTS = ("speeds", "small", "large")
_SMALL_SIDE = 32
_LARGE_SHAPE = (2828, 4242)  # 12 megapixels
_N_SAMPLES = 8
_PAUSE_S = 0.2


@dataclass(frozen=True)
class Speed:
    """How long a folder of pictures took.

    Attributes:
        way: of `WAYS`.
        files, megapixels: how much was compressed.
        seconds: from the start of the command to its end.
    """

    way: str
    files: int
    megapixels: float
    seconds: float


@dataclass(frozen=True)
class Memory:
    """The memory of a run's processes after some number of files.

    Attributes:
        files: done so far.
        own_mib: resident memory of the command's own process.
        others_mib: of all processes that it started.
    """

    files: int
    own_mib: float
    others_mib: float


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(PARTS),
    default=PARTS,
    show_default=True,
    help="What to measure (repeatable); figures of the others are kept.",
)
@click.option("--copies", default=4, show_default=True, help="Of each file, to measure speeds.")
@click.option("--small", default=10_000, show_default=True, help="Small pictures.")
@click.option("--large", default=200, show_default=True, help="Photographs of 12 megapixels.")
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(
    *,
    folder: Path,
    parts: tuple[str, ...],
    copies: int,
    small: int,
    large: int,
    docs: Path,
) -> None:
    """Compress the pictures of FOLDER in each way, and many small and large ones.

    Renews docs/results.md and docs/results/batch.json.
    """
    path = docs / "results" / "batch.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="luxvox-") as scratch:
            numbers = {"speeds": copies, "small": small, "large": large}
            rows = measure_part(part, folder, Path(scratch), numbers[part])
        record[part] = {
            "rows": [asdict(row) for row in rows],
            "command": repeat_command(folder),
            "machine": machine(),
            "packages": describe_packages("torch", "numpy", "distributed", weights=("picture",)),
        }
        path.write_text(json.dumps(record, indent=1) + "\n")
    text = lay_out(record)
    splice(docs / "results.md", "batch", text)
    click.echo(text)


def measure_part(part: str, folder: Path, scratch: Path, n: int) -> list[Speed] | list[Memory]:
    """Measure one of `PARTS`, with n files made in a scratch folder, or n copies of each."""
    inputs = scratch / "in"
    if part == "speeds":
        copy_files(picture_paths(folder), inputs, n)
        return [measure(inputs, way, scratch / f"out{number}") for number, way in enumerate(WAYS)]
    if part == "small":
        make_small_files(inputs, n)
    else:
        make_photographs(picture_paths(folder), inputs, n)
    return watch_memory(inputs, scratch / "out", n)


def measure(folder: Path, way: str, out: Path) -> Speed:
    """Compress a folder in one of `WAYS`, with one thread per process."""
    paths = picture_paths(folder)
    pixels = 0
    for path in paths:
        with Image.open(path) as image:
            pixels += image.width * image.height
    with _options(way) as options:
        start_s = time.monotonic()
        subprocess.run(
            _command(folder, out, *options), check=True, env=_environment(), stderr=subprocess.PIPE
        )
        seconds = time.monotonic() - start_s
    return Speed(way, len(paths), round(pixels / 1e6, 2), round(seconds, 2))


@contextlib.contextmanager
def _options(way: str) -> Iterator[list[str]]:
    """Yield the options of a way, while the cluster that it needs, if any, is running."""
    if way != WAYS[2]:
        yield ["--jobs", str(1 + WAYS.index(way))]
        return
    distributed = importlib.import_module("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    os.environ.update(_environment())
    with distributed.LocalCluster(**options) as cluster:
        yield ["--dask", cluster.scheduler_address]


def _command(folder: Path, out: Path, *options: str) -> list[str]:
    words = ["compress", str(folder), "-o", str(out), "--device", "cpu", *options]
    return [sys.executable, "-m", "luxvox", *words]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def copy_files(paths: Sequence[Path], folder: Path, n_copies: int) -> None:
    """Copy each file a number of times, under different names."""
    folder.mkdir()
    for number in range(n_copies):
        for path in paths:
            shutil.copyfile(path, folder / f"{number}-{path.name}")


def make_small_files(folder: Path, n_files: int) -> None:
    """Make pictures of 32×32 pixels of noise, no two alike."""
    folder.mkdir()
    for number in range(n_files):
        noise = np.random.default_rng(number).normal(128, 30, (_SMALL_SIDE, _SMALL_SIDE, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06}.png")


def make_photographs(paths: Sequence[Path], folder: Path, n_files: int) -> None:
    """Make JPEG files of 12 megapixels out of pictures mirrored at their borders, no two alike."""
    folder.mkdir()
    for number in range(n_files):
        pixels = read_picture(paths[number % len(paths)])
        shifted = np.roll(pixels, 16 * (number // len(paths)), axis=(0, 1))
        photograph = Image.fromarray(mosaic(shifted, *_LARGE_SHAPE))
        photograph.save(folder / f"{number:06}.jpg", quality=92)


def watch_memory(folder: Path, out: Path, n_files: int) -> list[Memory]:
    """Compress a folder in two processes, and read memory at equal steps of the files done."""
    command = _command(folder, out, "--jobs", "2", "--quiet")
    marks = [max(1, n_files * step // _N_SAMPLES) for step in range(1, _N_SAMPLES + 1)]
    rows: list[Memory] = []
    with subprocess.Popen(command, env=_environment()) as process:
        while process.poll() is None:
            n_done = sum(1 for _ in out.glob("*.lvx"))
            if len(rows) < len(marks) and n_done >= marks[len(rows)]:
                own, others = resident_mib(process.pid)
                if own:  # it is still running
                    rows.append(Memory(n_done, own, others))
            time.sleep(_PAUSE_S)
    if process.returncode:
        raise click.ClickException(f"the run ended with exit code {process.returncode}")
    return rows


def resident_mib(number: int) -> tuple[float, float]:
    """Return the resident memory of a process, and of all that it started, in MiB."""
    return _mib_of(number), sum(sum(resident_mib(child)) for child in _children(number))


def _mib_of(number: int) -> float:
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{number}/status").read_text(encoding="utf-8")
        _, found, rest = status.partition("VmRSS:")
        return round(int(rest.split()[0]) / 1024, 1) if found else 0.0
    return 0.0


def _children(number: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{number}/task").iterdir():
            children += map(int, (task / "children").read_text(encoding="ascii").split())
    return children


def lay_out(record: dict[str, Any]) -> str:
    """Lay a record out for the page of results."""
    layouts = {"speeds": _lay_out_speeds, "small": _lay_out_memory, "large": _lay_out_memory}
    captions = {
        "speeds": "Photographs, one thread a process; the start of the command counts, that of the "
        "cluster does not.",
        "small": f"Pictures of {_SMALL_SIDE}×{_SMALL_SIDE} pixels in two processes: resident "
        "memory while they are compressed.",
        "large": "The same for photographs of 12 megapixels.",
    }
    texts = []
    for part in (part for part in PARTS if part in record):
        measurement = record[part]
        origin = f"`{measurement['command']}`, {measurement['machine']}, {measurement['packages']}."
        origin = textwrap.fill(origin, 100, break_long_words=False, break_on_hyphens=False)
        texts += [captions[part], layouts[part](measurement["rows"]), origin]
    return "\n\n".join(texts)


def _lay_out_speeds(rows: list[dict[str, Any]]) -> str:
    first_s = rows[0]["seconds"]
    head = ["", "files", "s", "files/s", "megapixels/s", "speed-up"]
    cells = [
        [
            row["way"],
            str(row["files"]),
            f"{row['seconds']:.1f}",
            f"{row['files'] / row['seconds']:.2f}",
            f"{row['megapixels'] / row['seconds']:.2f}",
            f"{first_s / row['seconds']:.2f}×",
        ]
        for row in rows
    ]
    return table(head, cells)


def _lay_out_memory(rows: list[dict[str, Any]]) -> str:
    head = ["files done", "the command, MiB", "its processes, MiB"]
    cells = [
        [f"{row['files']:,}", f"{row['own_mib']:.0f}", f"{row['others_mib']:.0f}"] for row in rows
    ]
    return table(head, cells)


if __name__ == "__main__":
    main()
