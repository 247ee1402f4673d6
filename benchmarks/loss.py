"""Measure what is left of pictures when a code section of their files is damaged.

    python benchmarks/loss.py image-val/

Each code section in turn is damaged in each file, and the file decoded with `conceal`. Beside it
stands the file truncated before that section: the same with null codes.
"""

import warnings
from pathlib import Path

import click
import numpy as np
import torch

import luxvox
from luxvox.benchmarks.effort import middle
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.codec import container
from luxvox.evaluate.pages import splice, table
from luxvox.evaluate.picture_metrics import psnr_db
from luxvox.evaluate.subjects import picture_paths, read_picture
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pictures", "count", default=4, show_default=True)
@click.option("--crop", default=192, show_default=True, help="Side of the middle that is taken.")
@click.option("--quality", default=70.0, show_default=True)
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(folder: Path, count: int, crop: int, quality: float, docs: Path) -> None:
    """Damage files of pictures of FOLDER and renew docs/results.md."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", luxvox.DamageWarning)
    paths = picture_paths(folder)[:count]
    rows = []
    for path in paths:
        pixels = middle(read_picture(path), crop)
        data = luxvox.compress_image(pixels, quality)
        whole = psnr_db(pixels, np.asarray(luxvox.decompress_image(data)))
        for entry in container.list_sections(data).entries:
            damaged = bytearray(data)
            damaged[entry.offset + entry.size - 1] ^= 0xFF
            concealed = psnr_db(
                pixels, np.asarray(luxvox.decompress_image(bytes(damaged), conceal=True))
            )
            before = entry.type - 1
            cut = luxvox.truncate(data, sections=before) if before else b""
            null = psnr_db(pixels, np.asarray(luxvox.decompress_image(cut))) if cut else None
            rows.append((path.name, entry.type, whole, null, concealed))
    lines = ["picture,damaged_section,whole_db,null_db,concealed_db"]
    for name, number, *figures in rows:
        cells = ["" if one is None else f"{one:.4f}" for one in figures]
        lines.append(",".join([name, str(number), *cells]))
    (docs / "results" / "loss.csv").write_text("\n".join(lines) + "\n", "utf-8")
    body: list[list[str]] = []
    for number in sorted({row[1] for row in rows}):
        some = [row for row in rows if row[1] == number]
        nulls = [row[3] for row in some if row[3] is not None]
        null_mean = f"{np.mean(nulls):.2f}" if nulls else "–"
        whole_mean, mean = (f"{np.mean([row[k] for row in some]):.2f}" for k in (2, 4))
        body.append([str(number), whole_mean, null_mean, mean])
    report = table(["damaged section", "whole, dB", "null codes, dB", "concealed, dB"], body)
    setup = f"{len(paths)} pictures of {folder.name}, their middle {crop}×{crop}"
    where = f"{machine()}, {describe_packages('torch', 'numpy')}"
    report += f"\n\n`{repeat_command(folder)}`: {setup}, {where}."
    splice(docs / "results.md", "loss", report)
    click.echo(report)


if __name__ == "__main__":
    main()
