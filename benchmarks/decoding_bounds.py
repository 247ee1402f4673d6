"""Measure the processor time and the peak memory that decoding takes, by size.

    python benchmarks/decoding_bounds.py

Each row is a process of its own. "empty" is a file whose codes are all null; "busy" is one of waves
and noise at quality 70. Memory is what a process takes beyond what it had after decoding a small
file.
"""

from __future__ import annotations

import csv
import itertools
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.codec import container
from luxvox.codec.container.bands import usual_band_rows
from luxvox.codec.quality import Quality
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine
from luxvox.models.picture.weights import picture_codec

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results" / "decoding_bounds.csv"
ROWS = tuple(itertools.product(("empty", "busy"), (1024, 2048, 4096)))
COLUMNS = ("file", "megapixels", "bytes", "seconds", "mebibytes", "bytes_per_pixel")


@click.command()
@click.option("--one", nargs=2, hidden=True, help="Measure one row: kind and side.")
def main(one: tuple[str, str] | None) -> None:
    """Measure all rows, and write them next to the other results."""
    if one:
        click.echo(json.dumps(measure(one[0], int(one[1]))))
        return
    rows = []
    for kind, side in ROWS:
        words = [sys.executable, __file__, "--one", kind, str(side)]
        rows.append(json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout))
    with RESULTS.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    cells = [[str(row[name]) for name in COLUMNS] for row in rows]
    page = table([name.replace("_", " ") for name in COLUMNS], cells)
    packages = describe_packages("torch", "numpy", weights=("picture",))
    page += f"\n\n`{repeat_command()}`, {machine()},\n{packages}."
    splice(ROOT / "SECURITY.md", "bounds", page)


def measure(kind: str, side: int) -> dict[str, object]:
    """Decode a square picture, `side` pixels wide, in this process."""
    data = empty_file(side) if kind == "empty" else busy_file(side)
    luxvox.decompress_image(empty_file(64))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start_s = time.process_time()
    luxvox.decompress_image(data)
    seconds = time.process_time() - start_s
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    return {
        "file": kind,
        "megapixels": round(side * side / 1e6, 1),
        "bytes": len(data),
        "seconds": round(seconds, 1),
        "mebibytes": kib // 1024,
        "bytes_per_pixel": round(1024 * kib / side**2),
    }


def empty_file(side: int) -> bytes:
    """Return a file whose codes are all null."""
    fingerprint = picture_codec().fingerprint
    number = picture_codec().card.number
    rows = usual_band_rows(side, side)
    header = container.PictureHeader(
        number, fingerprint, side, side, True, False, True, 0, 1, Quality(7000), rows
    )
    return container.write(header, [])


def busy_file(side: int) -> bytes:
    """Return a file of random pixels, made in another process so that its memory does not count."""
    code = (
        "import sys, numpy, luxvox; from luxvox.benchmarks.decoding_bounds import noise;"
        f"sys.stdout.buffer.write(luxvox.compress_image(noise({side}), 70))"
    )
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE).stdout


def noise(side: int) -> NDArray[np.uint8]:
    """Return uint8 [side, side, 3]: waves and noise."""
    y, x = np.mgrid[:side, :side]
    waves = (128 + 60 * np.sin(x / 9) + 20 * np.cos(y / 5))[..., None]
    noisy = waves + np.random.default_rng(0).normal(0, 12, (side, side, 3))
    pixels: NDArray[np.uint8] = noisy.clip(0, 255).astype(np.uint8)
    return pixels


if __name__ == "__main__":
    main()
