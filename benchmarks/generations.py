"""Measure what is lost when a picture is compressed and decompressed again and again.

    python benchmarks/generations.py image-val/

Each generation compresses what the one before decompressed, at the same quality; PSNR is always
against the first original. The loss per generation is how far PSNR falls from one to the next.
"""

import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import click

from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.picture.metrics import psnr_db
from luxvox.evaluate.picture.peers import LUXVOX
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import format_signed
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"


@dataclass(frozen=True)
class Generation:
    """One picture after `generation` rounds at one quality."""

    picture: str
    quality: float
    generation: int
    file_bytes: int
    psnr_db: float


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--quality",
    "qualities",
    multiple=True,
    type=float,
    default=(20.0, 50.0, 80.0),
    show_default=True,
    help="Quality of every generation (repeatable).",
)
@click.option("--generations", "count", default=5, show_default=True)
@click.option(
    "--docs",
    default=DOCS,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of results.md and results/.",
)
def main(folder: Path, qualities: tuple[float, ...], count: int, docs: Path) -> None:
    """Re-encode the pictures of FOLDER with luxvox and renew docs/results.md."""
    paths = picture_paths(folder)
    with click.progressbar(paths, label="generations", file=sys.stderr) as shown:
        rows = [row for path in shown for q in qualities for row in reencode(path, q, count)]
    with (docs / "results" / "generations.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(
            stream, [field.name for field in fields(Generation)], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(asdict(row) | {"psnr_db": f"{row.psnr_db:.4f}"} for row in rows)
    means = {quality: mean_psnr(rows, quality, count) for quality in qualities}
    setup = {
        "command": repeat_command(folder),
        "data": f"{folder.name}, {len(paths)} pictures",
        "machine": machine(),
        "packages": describe_packages("torch", "numpy", weights=("picture",)),
    }
    summary = setup | {"mean_psnr_db": {f"{q:g}": values for q, values in means.items()}}
    (docs / "results" / "generations.json").write_text(
        json.dumps(summary, indent=2) + "\n", "utf-8"
    )
    report = "\n\n".join(
        [
            markdown(means, count),
            f"`{setup['command']}`, {setup['data']}, {setup['machine']}, {setup['packages']}.",
        ]
    )
    splice(docs / "results.md", "generations", report)
    click.echo(report)


def reencode(path: Path, quality: float, count: int) -> Iterator[Generation]:
    """Yield each of `count` generations of one picture."""
    codec, original = LUXVOX, read_picture(path)
    pixels = original
    for generation in range(1, count + 1):
        data = codec.encode(pixels, quality)
        pixels = codec.decode(data)
        yield Generation(path.name, quality, generation, len(data), psnr_db(original, pixels))


def mean_psnr(rows: Sequence[Generation], quality: float, count: int) -> list[float]:
    """Average PSNR in dB over the pictures at each generation of one quality."""
    generations: list[list[float]] = [[] for _ in range(count)]
    for row in rows:
        if row.quality == quality:
            generations[row.generation - 1].append(row.psnr_db)
    return [math.fsum(values) / len(values) for values in generations]


def markdown(means: dict[float, list[float]], count: int) -> str:
    """Write the table of the results page: mean PSNR, and the change from the last generation."""
    head = ["quality", *(f"generation {number}" for number in range(1, count + 1))]
    rows = [
        [
            f"{quality:g}",
            f"{values[0]:.2f} dB",
            *(
                f"{after:.2f} ({format_signed(after - before, 2)})"
                for before, after in zip(values, values[1:], strict=False)
            ),
        ]
        for quality, values in means.items()
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
