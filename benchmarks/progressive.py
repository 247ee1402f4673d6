"""Measure what cutting files to their first sections costs, against files made that small.

    python benchmarks/progressive.py image-val/ --pictures 4 --crop 192

A file of each quality is truncated to 1, 2, 3 … code sections, and compared with a whole file of
the same PSNR, on the mean curve of whole files. The difference is what decoding the first bytes of
a file loses against coding a smaller one.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.loss import middle
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.picture.metrics import psnr_db
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import format_signed
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
N_SECTIONS = 6

Row = tuple[int, str, float, int, int, float]
Point = tuple[float, float]  # bits a pixel, PSNR in dB


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pictures", "count", default=4, show_default=True)
@click.option("--crop", default=192, show_default=True, help="Side of the middle that is taken.")
@click.option("--quality", "qualities", multiple=True, type=float, default=(5, 20, 35, 50, 65, 80))
@click.option("--effort", default=1, show_default=True)
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(
    *, folder: Path, count: int, crop: int, qualities: tuple[float, ...], effort: int, docs: Path
) -> None:
    """Truncate files of pictures of FOLDER and renew docs/results.md."""
    torch.set_num_threads(1)
    pictures = {
        path.name: middle(read_picture(path), crop) for path in picture_paths(folder)[:count]
    }
    rows = [
        row
        for quality in qualities
        for name, pixels in pictures.items()
        for row in measure_prefixes(name, pixels, quality, effort)
    ]
    lines = ["sections,picture,quality,bytes,pixels,psnr_db"]
    lines += [f"{n},{name},{q:g},{size},{area},{psnr:.4f}" for n, name, q, size, area, psnr in rows]
    (docs / "results" / "progressive.csv").write_text("\n".join(lines) + "\n", "utf-8")
    setup = f"{len(pictures)} pictures of {folder.name}, their middle {crop}×{crop}"
    where = f"{machine()}, {describe_packages('torch', 'numpy', weights=('picture',))}"
    report = f"{markdown(rows)}\n\n`{repeat_command(folder)}`: {setup}, {where}."
    splice(docs / "results.md", "progressive", report)
    click.echo(report)


def measure_prefixes(
    name: str, pixels: NDArray[np.uint8], quality: float, effort: int
) -> list[Row]:
    """Return rate and PSNR of one file for each number of sections."""
    data = luxvox.compress_image(pixels, quality, effort=effort)
    rows = []
    for n in range(1, N_SECTIONS + 1):
        part = luxvox.truncate(data, sections=n)
        psnr = psnr_db(pixels, np.asarray(luxvox.decompress_image(part)))
        rows.append((n, name, quality, len(part), pixels.shape[0] * pixels.shape[1], psnr))
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """Write the table: means by quality and number of sections, and what whole files would take."""
    qualities = sorted({row[2] for row in rows})
    points = {
        n: [_means([row for row in rows if row[:3:2] == (n, q)]) for q in qualities]
        for n in range(1, N_SECTIONS + 1)
    }
    lines = [
        [str(n), *(_cell(point, points[N_SECTIONS]) for point in at_points)]
        for n, at_points in points.items()
    ]
    return table(["sections", *(f"quality {q:g}" for q in qualities)], lines)


def _cell(point: Point, whole: Sequence[Point]) -> str:
    """Write a rate and a PSNR, and how far the rate exceeds that of a whole file of this PSNR."""
    rate, psnr = point
    text = f"{rate:.3f} bpp, {psnr:.2f} dB"
    rates, psnrs = zip(*whole, strict=True)
    if point in whole or not psnrs[0] <= psnr <= psnrs[-1]:
        return text

    # Rates are interpolated as logarithms, as in BD-rates.
    same = float(np.exp(np.interp(psnr, psnrs, np.log(rates))))
    return f"{text}, {format_signed(100.0 * (rate / same - 1.0), 0)} %"


def _means(rows: Sequence[Row]) -> Point:
    rates = [8.0 * row[3] / row[4] for row in rows]
    return float(np.mean(rates)), float(np.mean([row[5] for row in rows]))


if __name__ == "__main__":
    main()
