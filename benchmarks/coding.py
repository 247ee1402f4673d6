"""Measure what the context model saves, and what the file costs beyond its cross-entropy.

For each quality and all pictures of a folder: bits of the code sections, the context model's
cross-entropy, and the entropy of the same codes under static tables, one for each level, stage
and group, fitted to these very codes (so the best that static tables could do).

    python benchmarks/coding.py image-val
"""

import csv
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.origin import repeat_command
from luxvox.codec import container, pictures
from luxvox.codec.rate import centi_to_position
from luxvox.entropy.walk import CodesMeter, known, walk
from luxvox.evaluate.pages import splice, table
from luxvox.evaluate.subjects import picture_paths, read_picture
from luxvox.evaluate.timing import machine
from luxvox.models.catalogue import picture_codec
from luxvox.models.strips import grid_shapes

QUALITIES = (10.0, 30.0, 50.0, 70.0)
Key = tuple[str, int]
Histograms = dict[Key, NDArray[np.int64]]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--docs", default=Path("docs"), type=click.Path(path_type=Path))
def main(folder: Path, docs: Path) -> None:
    """Measure all pictures of FOLDER and write the tables into docs/results.md."""
    torch.set_num_threads(1)
    totals, parts, rows = [], [], []
    for quality in QUALITIES:
        cross: dict[Key, float] = defaultdict(float)
        histograms: Histograms = {}
        coded_bits = file_bits = 0
        for path in picture_paths(folder):
            data = luxvox.compress_image(read_picture(path), quality=quality)
            payload = 8 * sum(map(len, container.read(data).codes))
            bits = measure(data, histograms)
            for key, value in bits.items():
                cross[key] += value
            coded_bits, file_bits = coded_bits + payload, file_bits + 8 * len(data)
            rows.append([path.name, quality, len(data), payload / 8, sum(bits.values()) / 8])
        static = {key: entropy(counts) for key, counts in histograms.items()}
        ideal, tables_bits = sum(cross.values()), sum(static.values())
        totals.append(
            [
                f"{quality:.0f}",
                f"{file_bits / 8 / len(picture_paths(folder)):.0f}",
                f"{100 * (coded_bits / ideal - 1):+.2f} %",
                f"{(file_bits - coded_bits) / 8 / len(picture_paths(folder)):.0f}",
                f"{100 * (1 - ideal / tables_bits):.1f} %",
            ]
        )
        for (level, stage), value in sorted(cross.items()):
            before = static[level, stage]
            if before:
                saved = f"{100 * (1 - value / before):.1f} %"
                share = f"{100 * value / ideal:.1f} %"
                parts.append([f"{quality:.0f}", level, str(stage + 1), share, saved])
    with (docs / "results" / "coding.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "quality", "file_bytes", "code_bytes", "cross_entropy_bytes"])
        writer.writerows(rows)
    head = ["quality", "bytes a file", "code bytes over cross-entropy", "other bytes", "saved"]
    text = f"`{repeat_command(folder)}` ({machine()})\n\n{table(head, totals)}\n\n"
    text += table(["quality", "level", "stage", "share of bits", "saved"], parts)
    splice(docs / "results.md", "coding", text)


def measure(data: bytes, histograms: Histograms) -> dict[Key, float]:
    """Return the cross-entropy of a file's codes by level and stage; count them by group."""
    header, _ = container.read_header(data)
    if not isinstance(header, container.PictureHeader):
        raise TypeError("not a picture")
    codes = pictures.codes(data)
    meter = CodesMeter(known(codes))
    shapes = grid_shapes(header.height, header.width)
    walk(picture_codec().context, shapes, centi_to_position(header.quality_centi), meter)
    for level, array in codes.items():
        for stage, groups in enumerate(array):
            reached = groups >= 0 if stage == 0 else array[stage - 1] != 0
            counts = np.stack(
                [np.bincount(g[r], minlength=256) for g, r in zip(groups, reached, strict=True)]
            )
            histograms[level, stage] = histograms.get((level, stage), 0) + counts
    return meter.bits


def entropy(counts: NDArray[np.int64]) -> float:
    """Return the bits of all symbols counted [groups, K], each group under its own histogram."""
    total = counts.sum(axis=1, keepdims=True)
    some = counts > 0
    shares = np.where(some, counts / np.maximum(total, 1), 1.0)
    return float(-(counts * np.log2(shares)).sum())


if __name__ == "__main__":
    main()
