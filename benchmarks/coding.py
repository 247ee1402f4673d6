"""Measure what the context model saves, and what the file costs beyond its cross-entropy.

For each quality and all pictures of a folder: bits of the code sections, the context model's
cross-entropy, and the entropy of the same codes under static tables, one for each channel of each
level, fitted to these very codes (so the best that static tables could do).

    python benchmarks/coding.py image-val
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.codec import container
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.prediction import LatticeCodes
from luxvox.entropy.picture.visitors import CodesMeter, fixed_source
from luxvox.entropy.picture.walk import walk
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine
from luxvox.models.picture.tiling import grid_shapes
from luxvox.models.picture.weights import picture_codec

DOCS = Path(__file__).resolve().parent.parent / "docs"
QUALITIES = (12.0, 24.0, 48.0, 72.0)
COLUMNS = ("picture", "quality", "file_bytes", "code_bytes", "cross_entropy_bytes")

Histogram = dict[int, int]


@dataclass
class Total:
    """Bits of all pictures at one quality, and how often each code occurs.

    Attributes:
        file_bits, code_bits: of whole files, and of their code sections.
        cross: the context model's cross-entropy by level.
        histograms: by level, of each channel.
    """

    file_bits: int = 0
    code_bits: int = 0
    cross: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, list[Histogram]] = field(default_factory=dict)

    def add(self, data: bytes) -> list[float]:
        """Measure a file; return bytes: of the file, of its codes, of their cross-entropy."""
        code_bits = 8 * sum(map(len, container.read(data).parts.values()))
        codes = luxvox.codes(data)
        assert isinstance(codes, dict)
        bits = cross_entropy(data, codes)
        self.file_bits += 8 * len(data)
        self.code_bits += code_bits
        for level, value in bits.items():
            self.cross[level] = self.cross.get(level, 0.0) + value
            count(self.histograms.setdefault(level, [{} for _ in codes[level]]), codes[level])
        return [len(data), code_bits / 8, round(sum(bits.values()) / 8, 1)]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--quality", "qualities", multiple=True, type=float, default=QUALITIES)
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(folder: Path, qualities: tuple[float, ...], docs: Path) -> None:
    """Measure all pictures of FOLDER and write the tables into docs/results.md."""
    torch.set_num_threads(1)
    paths = picture_paths(folder)
    totals: dict[float, Total] = {quality: Total() for quality in qualities}
    rows = [
        [path.name, quality, *total.add(luxvox.compress_image(read_picture(path), quality=quality))]
        for path in paths
        for quality, total in totals.items()
    ]
    with (docs / "results" / "coding.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    where = f"{machine()}, {describe_packages(weights=('picture',))}"
    text = f"`{repeat_command(folder)}` ({where})\n\n{markdown(totals, len(paths))}"
    splice(docs / "results.md", "coding", text)
    click.echo(text)


def cross_entropy(data: bytes, codes: dict[str, LatticeCodes]) -> dict[str, float]:
    """Return the context model's cross-entropy of a file's codes in bits, by level."""
    header, _ = container.read_header(data)
    if not isinstance(header, container.PictureHeader):
        raise TypeError("not a picture")
    meter = CodesMeter(fixed_source(codes))
    shapes = grid_shapes(header.height, header.width)
    walk(picture_codec().context, shapes, header.quality.log_step_int, meter)
    return meter.bits


def count(histograms: list[Histogram], codes: LatticeCodes) -> None:
    """Count the codes [channels, H, W] of a level by channel."""
    for histogram, plane in zip(histograms, codes, strict=True):
        found = np.bincount(plane.astype(np.int64).ravel() + CODE_MAX)
        for index in np.flatnonzero(found).tolist():
            histogram[index] = histogram.get(index, 0) + int(found[index])


def entropy(counts: NDArray[np.int64]) -> float:
    """Return the bits of all symbols counted [groups, K], each group under its own histogram."""
    total = counts.sum(axis=1, keepdims=True)
    occurs = counts > 0
    shares = np.where(occurs, counts / np.maximum(total, 1), 1.0)
    return float(-(counts * np.log2(shares)).sum())


def static_bits(histograms: list[Histogram]) -> float:
    """Return the bits of all codes of a level, each channel under its own histogram."""
    return sum(entropy(np.array([list(histogram.values())])) for histogram in histograms)


def markdown(totals: dict[float, Total], n_files: int) -> str:
    """Write the tables: of all codes, and by level."""
    whole, parts = [], []
    for quality, total in totals.items():
        static = {level: static_bits(histograms) for level, histograms in total.histograms.items()}
        ideal = sum(total.cross.values())
        whole.append(
            [
                f"{quality:g}",
                f"{total.file_bits / 8 / n_files:.0f}",
                f"{100 * (total.code_bits / ideal - 1):+.2f} %",
                f"{(total.file_bits - total.code_bits) / 8 / n_files:.0f}",
                f"{100 * (1 - ideal / sum(static.values())):.1f} %",
            ]
        )
        for level, bits in total.cross.items():
            saved = f"{100 * (1 - bits / static[level]):.1f} %" if static[level] else "–"
            parts.append([f"{quality:g}", level, f"{100 * bits / ideal:.1f} %", saved])
    head = ["quality", "bytes a file", "code bytes over cross-entropy", "other bytes", "saved"]
    by_level = table(["quality", "level", "share of bits", "saved"], parts)
    return f"{table(head, whole)}\n\n{by_level}"


if __name__ == "__main__":
    main()
