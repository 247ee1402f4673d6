"""Measure what each effort brings and costs on pictures.

    python benchmarks/effort.py image-val/ --pictures 4 --crop 192

Rate is the length of the file; BD-rate is of mean curves, in PSNR and MS-SSIM, against effort 1.
At that effort nothing is corrected, so both tunings start from the same files.
Time is that of the processor with one thread, so that other work on the machine does not count.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.codec.effort import TUNINGS
from luxvox.evaluate.bd import Curve, bd_rate_percent
from luxvox.evaluate.metrics import decibels
from luxvox.evaluate.pages import splice, table
from luxvox.evaluate.picture_metrics import multiscale_ssim, psnr_db
from luxvox.evaluate.subjects import picture_paths, read_picture
from luxvox.evaluate.timing import machine
from luxvox.evaluate.wording import signed

DOCS = Path(__file__).resolve().parent.parent / "docs"
EFFORTS = tuple(range(1, 10))
HEAD = "tune,effort,picture,quality,bytes,pixels,psnr_db,ms_ssim,seconds"


class Row(NamedTuple):
    """One picture at one quality, by one tuning and effort."""

    tune: str
    effort: int
    picture: str
    quality: float
    bytes: int
    pixels: int
    psnr_db: float
    ms_ssim: float
    seconds: float


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pictures", "count", default=4, show_default=True)
@click.option("--crop", default=192, show_default=True, help="Side of the middle that is taken.")
@click.option("--quality", "qualities", multiple=True, type=float, default=(16.0, 45.0, 75.0))
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(folder: Path, count: int, crop: int, qualities: tuple[float, ...], docs: Path) -> None:
    """Compress pictures of FOLDER with every effort and renew docs/results.md."""
    torch.set_num_threads(1)
    pictures = {
        path.name: middle(read_picture(path), crop) for path in picture_paths(folder)[:count]
    }
    rows = [
        measured((tune, effort), name, pixels, quality)
        for tune in TUNINGS
        for effort in EFFORTS
        for quality in qualities
        for name, pixels in pictures.items()
    ]
    lines = [
        HEAD,
        *(
            ",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row)
            for row in rows
        ),
    ]
    (docs / "results" / "effort.csv").write_text("\n".join(lines) + "\n", "utf-8")
    setup = f"{len(pictures)} pictures of {folder.name}, their middle {crop}×{crop}"
    where = f"{machine()}, {describe_packages('torch', 'numpy')}"
    report = f"{markdown(rows)}\n\n`{repeat_command(folder)}`: {setup}, {where}."
    splice(docs / "results.md", "effort", report)
    click.echo(report)


def middle(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the middle of a picture [H, W, 3], at most `side` high and wide."""
    top, left = (max(size - side, 0) // 2 for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def measured(work: tuple[str, int], name: str, pixels: NDArray[np.uint8], quality: float) -> Row:
    """Compress and decompress one picture with a tuning and an effort."""
    tune, effort = work
    start_s = time.process_time()
    data = luxvox.compress_image(pixels, quality, effort=effort, tune=tune)
    seconds = time.process_time() - start_s
    decoded = np.asarray(luxvox.decompress_image(data))
    similarity = multiscale_ssim(pixels, decoded)
    n_pixels = pixels.shape[0] * pixels.shape[1]
    psnr = psnr_db(pixels, decoded)
    return Row(tune, effort, name, quality, len(data), n_pixels, psnr, similarity, seconds)


def curves(rows: Sequence[Row]) -> tuple[Curve, Curve]:
    """Return the mean curves of PSNR and of MS-SSIM in dB of one tuning and effort."""
    points = []
    for quality in sorted({row.quality for row in rows}):
        some = [row for row in rows if row.quality == quality]
        rate = float(np.mean([8.0 * row.bytes / row.pixels for row in some]))
        similarity = float(np.mean([row.ms_ssim for row in some]))
        points.append((rate, float(np.mean([row.psnr_db for row in some])), decibels(similarity)))
    rates, psnr, ssim = zip(*points, strict=True)
    return Curve(rates, psnr), Curve(rates, ssim)


def markdown(rows: Sequence[Row]) -> str:
    """Write the table: BD-rates of each tuning against effort 1, and time a megapixel."""
    lines = []
    for effort in EFFORTS:
        cells = [str(effort)]
        for tune in TUNINGS:
            of_tune = [row for row in rows if row.tune == tune]
            anchors = curves([row for row in of_tune if row.effort == EFFORTS[0]])
            some = [row for row in of_tune if row.effort == effort]
            gains = [bd_rate_percent(a, b) for a, b in zip(anchors, curves(some), strict=True)]
            cells += [f"{signed(gain)} %" for gain in gains]
        some = [row for row in rows if row.effort == effort]
        seconds = sum(row.seconds for row in some) / sum(row.pixels for row in some) * 1e6
        lines.append([*cells, f"{seconds:.1f}"])
    heads = [f"{tune}: {metric}" for tune in TUNINGS for metric in ("PSNR", "MS-SSIM")]
    return table(["effort", *heads, "s a megapixel"], lines)


if __name__ == "__main__":
    main()
