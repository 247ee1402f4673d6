"""Draw the mean curves of the results: one plot for pictures, one for voices.

    python benchmarks/curves.py

Reads docs/results/pictures.csv and voices.csv, and writes an SVG next to each.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from luxvox.evaluate.report.plots import Axes, Line
from luxvox.evaluate.report.standalone import drawing

DOCS = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True)
class Plot:
    """What is drawn from a table of results.

    Attributes:
        table: its name in docs/results.
        column: of the figure.
        axes: what the axes say.
        left_out: codecs that are not drawn.
    """

    table: str
    column: str
    axes: Axes
    left_out: tuple[str, ...] = ()


PLOTS = (
    Plot("pictures", "psnr", Axes("bits per pixel", "PSNR, dB", 2)),
    Plot("voices", "pesq", Axes("kbit/s", "PESQ-WB", 2), ("original",)),
)


@click.command()
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(docs: Path) -> None:
    """Draw docs/results/pictures.svg and docs/results/voices.svg."""
    for plot in PLOTS:
        path = docs / "results" / f"{plot.table}.csv"
        path.with_suffix(".svg").write_text(drawing(lines_of(path, plot), plot.axes), "utf-8")


def lines_of(path: Path, plot: Plot) -> list[Line]:
    """Return the mean curve of each codec in a table: means over files, point by point."""
    rows: dict[str, dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["codec"] not in plot.left_out and row[plot.column]:
                pair = float(row["rate"]), float(row[plot.column])
                rows[row["codec"]][float(row["point"])].append(pair)
    lines = []
    for style, (codec, points) in enumerate(rows.items()):
        means = sorted(tuple(np.mean(pairs, axis=0)) for pairs in points.values())
        lines.append(Line(codec, style, tuple((float(r), float(f), codec) for r, f in means)))
    return lines


if __name__ == "__main__":
    main()
