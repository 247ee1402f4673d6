"""Draw the mean curves of the results: one plot for pictures, one for voices.

    python benchmarks/curves.py

Reads docs/results/pictures.csv and voices.csv, and writes an SVG next to each.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from html import escape
from pathlib import Path

import click
import numpy as np

from luxvox.evaluate.report.plots import HEIGHT, WIDTH, Axes, Line, mark, plot

DOCS = Path(__file__).resolve().parent.parent / "docs"
LEGEND_WIDTH = 120
COLOURS = ("#c2410c", "#fb923c", "#1d4ed8", "#0f766e", "#7e22ce", "#475569", "#be123c", "#4d7c0f")


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
    for wanted in PLOTS:
        path = docs / "results" / f"{wanted.table}.csv"
        path.with_suffix(".svg").write_text(drawing(lines_of(path, wanted), wanted.axes), "utf-8")


def lines_of(path: Path, wanted: Plot) -> list[Line]:
    """Return the mean curve of each codec in a table: means over files, point by point."""
    rows: dict[str, dict[float, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["codec"] not in wanted.left_out and row[wanted.column]:
                pair = float(row["rate"]), float(row[wanted.column])
                rows[row["codec"]][float(row["point"])].append(pair)
    lines = []
    for style, (codec, points) in enumerate(rows.items()):
        means = sorted(tuple(np.mean(pairs, axis=0)) for pairs in points.values())
        lines.append(Line(codec, style, tuple((float(r), float(f), codec) for r, f in means)))
    return lines


def drawing(lines: list[Line], axes: Axes) -> str:
    """Return an SVG file of curves, with a legend on the right."""
    width = WIDTH + LEGEND_WIDTH
    curves = moved(plot(lines, axes), 0, 20)
    legend = []
    for number, line in enumerate(lines):
        y = 34 + 20 * number
        legend.append(moved(mark(line.style), WIDTH, y))
        legend.append(f'<text x="{WIDTH + 28}" y="{y + 11}">{escape(line.key)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT + 20}" '
        f'width="{width}" height="{HEIGHT + 20}" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="46" y="14" font-weight="bold">{escape(axes.figure)}</text>\n'
        f"{inlined(curves)}\n{inlined(''.join(legend))}\n</svg>\n"
    )


def moved(svg: str, x: int, y: int) -> str:
    """Turn an SVG element into a group that stands elsewhere."""
    inside = re.sub(r"^<svg[^>]*>|</svg>$", "", svg)
    return f'<g transform="translate({x} {y})">{inside}</g>'


def inlined(svg: str) -> str:
    """Replace classes by what they look like, since some viewers know no style sheets."""
    looks = {
        "grid": 'stroke="#e2e8f0"',
        "hit": 'fill="none"',
        "middle": 'text-anchor="middle"',
        "middle name": 'text-anchor="middle"',
        "end": 'text-anchor="end"',
    }
    for number, colour in enumerate(COLOURS):
        looks[f"s{number} stroke"] = f'fill="none" stroke="{colour}" stroke-width="1.8"'
        looks[f"s{number} fill"] = f'fill="{colour}"'
    return re.sub(r'class="([^"]*)"', lambda found: looks.get(found[1], ""), svg)


if __name__ == "__main__":
    main()
