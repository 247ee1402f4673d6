"""Compare picture weights, efforts and tunings on training pictures that no phase learns from.

Choices are based on this; the validation sets are for the tables of results alone. Every 50th of
all training pictures, sorted by path, is held back; training does the same if it is given the same
folders. Bytes are those of files, quality is that of the decoded picture, and
BD-rates are against AVIF at speed 4, as Pillow writes it, between mean curves.

    python benchmarks/held_back.py image-train image-train-camera \
        --weights before=runs/before --weights after=runs/after --tune eye --tune psnr

The figures of AVIF are kept in a cache; those of luxvox are not, because its code changes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import luxvox
from luxvox.benchmarks.origin import repeat_command
from luxvox.evaluate.bd import Curve, NoComparison, bd_rate_percent
from luxvox.evaluate.cache import Cache
from luxvox.evaluate.inputs import read_picture
from luxvox.evaluate.metrics import decibels
from luxvox.evaluate.picture.metrics import multiscale_ssim, psnr_db, ssimulacra2
from luxvox.evaluate.picture.peers import AVIF, LUXVOX
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import format_signed
from luxvox.models.training.picture.data import MIN_SIDE, SUFFIXES
from luxvox.models.training.picture.train import PictureRecipe

HEAD = ("variant", "PSNR", "MS-SSIM", "SSIMULACRA2", "bpp", "s a megapixel")
QUALITIES = LUXVOX.points[:-1]
N_TH = PictureRecipe().held_back
SHIPPED = "shipped"

Pixels = NDArray[np.uint8]


class Point(NamedTuple):
    """One file: bits a pixel, quality by three metrics, seconds per megapixel to compress."""

    bpp: float
    psnr_db: float
    ms_ssim: float
    ssimulacra2: float
    seconds: float


@dataclass(frozen=True)
class Variant:
    """One way to make files with luxvox; None as weights stands for those that ship."""

    label: str
    weights: Path | None
    effort: int
    tune: str


@dataclass(frozen=True)
class Job:
    """One picture by one variant, or by AVIF if `variant` is None."""

    path: Path
    variant: Variant | None
    qualities: tuple[float, ...]
    cache: Cache


@click.command()
@click.argument(
    "folders",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--weights", multiple=True, metavar="[LABEL=]FOLDER", help="Otherwise the shipped.")
@click.option("--effort", "efforts", multiple=True, default=(5,), show_default=True)
@click.option("--tune", "tunings", multiple=True, default=("eye",), show_default=True)
@click.option("--quality", "qualities", multiple=True, type=float, default=QUALITIES)
@click.option("--pictures", "most", default=None, type=int, help="At most n, spread evenly.")
@click.option("--jobs", default=1, show_default=True, help="Processes that measure.")
@click.option("--cache", default=Path("runs/held-back-cache"), type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="JSON file of all points.")
@click.option("--page", type=click.Path(exists=True, path_type=Path), help="Renew its table.")
def main(folders: tuple[Path, ...], weights: tuple[str, ...], **options: object) -> None:
    """Measure every combination of weights, effort and tuning on pictures held back."""
    run(folders, weights, Options(**options))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Options:
    """The options of the command except folders and weights."""

    efforts: tuple[int, ...]
    tunings: tuple[str, ...]
    qualities: tuple[float, ...]
    most: int | None
    jobs: int
    cache: Path
    out: Path | None
    page: Path | None


def run(folders: Sequence[Path], weights: Sequence[str], options: Options) -> None:
    """Measure, and print a line for each variant as soon as it is measured."""
    paths = list_held_back(folders, options.most)
    cache = Cache(options.cache)
    anchor = measure_pictures([Job(path, None, AVIF.points, cache) for path in paths], options.jobs)
    records, rows = {"avif": anchor}, []
    for variant in variants(weights, options.efforts, options.tunings):
        jobs = [Job(path, variant, options.qualities, cache) for path in paths]
        records[variant.label] = measure_pictures(jobs, options.jobs)
        rows.append(row(variant.label, anchor, records[variant.label]))
        click.echo(" | ".join(rows[-1]), err=True)
    command = repeat_command(*folders)
    text = f"{table(HEAD, rows)}\n\n`{command}`: {len(paths)} pictures held back."
    click.echo(text)
    if options.page:
        splice(options.page, "held-back", text)
    if options.out:
        points = {
            label: [[p._asdict() for p in row] for row in pictures]
            for label, pictures in records.items()
        }
        record = {"command": command, "pictures": [p.name for p in paths], "points": points}
        options.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def list_held_back(folders: Sequence[Path], max_pictures: int | None = None) -> list[Path]:
    """List the pictures that training holds back, or some of them, spread evenly."""
    files = sorted(p for f in folders for p in f.rglob("*") if p.suffix.lower() in SUFFIXES)
    held_back = [path for path in files if _short_side(path) >= MIN_SIDE][::N_TH]
    n = min(max_pictures or len(held_back), len(held_back))
    return [held_back[k * len(held_back) // n] for k in range(n)]


def _short_side(path: Path) -> int:
    with Image.open(path) as image:
        return min(image.size)


def variants(
    weights: Sequence[str], efforts: Sequence[int], tunings: Sequence[str]
) -> list[Variant]:
    """Return all combinations, each with a label that tells it from the others."""
    combinations = []
    for word, effort, tune in itertools.product(weights or ("",), efforts, tunings):
        label, equals, folder = word.rpartition("=")
        name = label if equals else Path(folder).name or SHIPPED
        parts = [name, f"effort {effort}" * (len(efforts) > 1), tune * (len(tunings) > 1)]
        full_label = ", ".join(filter(None, parts))
        combinations.append(Variant(full_label, Path(folder) if folder else None, effort, tune))
    return combinations


def measure_pictures(jobs: Sequence[Job], n_processes: int) -> list[list[Point]]:
    """Run jobs; return the points of each picture."""
    if n_processes == 1:
        return [points(job) for job in jobs]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_processes, mp_context=context) as pool:
        return list(pool.map(points, jobs))


def points(job: Job) -> list[Point]:
    """Measure one picture at all qualities."""
    torch.set_num_threads(1)
    pixels, variant = read_picture(job.path), job.variant
    if variant is None:
        return [_avif_point(job, pixels, quality) for quality in job.qualities]
    found = []
    with luxvox.use_weights(variant.weights) if variant.weights else nullcontext():
        for quality in job.qualities:
            start_s = time.process_time()
            data = luxvox.compress_image(pixels, quality, effort=variant.effort, tune=variant.tune)
            seconds = time.process_time() - start_s
            decoded = np.asarray(luxvox.decompress_image(data))
            found.append(point(pixels, len(data), decoded, seconds))
    return found


def _avif_point(job: Job, pixels: Pixels, quality: float) -> Point:
    digest = hashlib.sha256(job.path.read_bytes()).hexdigest()
    key = {"held back": digest, "codec": AVIF.name, "version": AVIF.version(), "point": quality}
    value = job.cache.read(key)
    if value is None:
        start_s = time.process_time()
        data = AVIF.encode(pixels, quality)
        seconds = time.process_time() - start_s
        value = point(pixels, len(data), AVIF.decode(data), seconds)._asdict()
        job.cache.write(key, value)
    return Point(**value)


def point(pixels: Pixels, n_bytes: int, decoded: Pixels, seconds: float) -> Point:
    """Measure one decoded file against its original."""
    n_pixels = pixels.shape[0] * pixels.shape[1]
    return Point(
        8.0 * n_bytes / n_pixels,
        psnr_db(pixels, decoded),
        multiscale_ssim(pixels, decoded),
        ssimulacra2(pixels, decoded),
        1e6 * seconds / n_pixels,
    )


def row(label: str, anchor: list[list[Point]], found: list[list[Point]]) -> list[str]:
    """Write the line of a variant: BD-rates, and the means of rates and times."""
    gains = []
    for anchor_curve, curve in zip(curves(anchor), curves(found), strict=True):
        try:
            gains.append(f"{format_signed(bd_rate_percent(anchor_curve, curve))} %")
        except NoComparison:
            gains.append("–")
    means = np.array(found).mean(axis=0)
    rates = f"{means[0, 0]:.3f} … {means[-1, 0]:.3f}"
    return [label, *gains, rates, f"{means[:, 4].mean():.1f}"]


def curves(found: list[list[Point]]) -> list[Curve]:
    """Return the mean curves of PSNR, MS-SSIM in dB and SSIMULACRA2 over pictures."""
    means = np.array(found).mean(axis=0)  # [pictures, points, figures] -> [points, figures]
    similarity = [decibels(float(value)) for value in means[:, 2]]
    rates = tuple(means[:, 0].tolist())
    return [Curve(rates, tuple(map(float, y))) for y in (means[:, 1], similarity, means[:, 3])]


if __name__ == "__main__":
    main()
