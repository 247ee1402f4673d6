"""Draw crops of pictures by AVIF and luxvox at equal bytes, next to the original.

The whole picture is compressed: by AVIF (speed 4, as Pillow writes it) as close to each rate as it
gets, then by luxvox to at most AVIF's bytes. A sheet has a row for each rate.

    python benchmarks/crops.py image-val/photo_cat.png:200,100,456,356:fur --out docs/crops
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from PIL import Image

import luxvox
from luxvox.benchmarks.side_by_side import Box, Panel, Pixels, closest, sheet
from luxvox.evaluate.inputs import read_picture
from luxvox.evaluate.picture.metrics import psnr_db, ssimulacra2
from luxvox.evaluate.picture.peers import AVIF

RATES_BPP = (0.1, 0.15, 0.25, 0.5)


@dataclass(frozen=True)
class Crop:
    """A part of a picture, and what is seen there."""

    path: Path
    box: Box
    name: str

    @classmethod
    def parse(cls, word: str) -> Crop:
        """Read PICTURE:LEFT,TOP,RIGHT,BOTTOM[:NAME]."""
        parts = word.split(":")
        sides = parts[1].split(",") if len(parts) in (2, 3) else []
        if len(sides) != 4 or not all(side.isdigit() for side in sides):
            raise click.UsageError(f"{word}: is not PICTURE:LEFT,TOP,RIGHT,BOTTOM[:NAME]")
        path = Path(parts[0])
        if not path.is_file():
            raise click.UsageError(f"{path}: no such file")
        left, top, right, bottom = map(int, sides)
        return cls(path, (left, top, right, bottom), parts[2] if len(parts) == 3 else path.stem)


@dataclass(frozen=True)
class File:
    """A whole picture by one codec at one rate."""

    crop: str
    codec: str
    rate_bpp: float
    bytes: int
    psnr_db: float
    ssimulacra2: float


@click.command()
@click.argument("words", metavar="PICTURE:LEFT,TOP,RIGHT,BOTTOM[:NAME]...", nargs=-1, required=True)
@click.option("--rate", "rates", multiple=True, type=float, default=RATES_BPP, show_default=True)
@click.option("--effort", default=5, show_default=True)
@click.option("--out", default=Path("docs/crops"), type=click.Path(path_type=Path))
def main(words: tuple[str, ...], rates: tuple[float, ...], effort: int, out: Path) -> None:
    """Write NAME.png for each crop, and crops.json with the figures of the whole pictures."""
    crops = [Crop.parse(word) for word in words]
    out.mkdir(parents=True, exist_ok=True)
    files: list[File] = []
    for crop in crops:
        page, figures = draw_sheet(crop, rates, effort)
        page_path = out / f"{crop.name}.png"
        page.save(page_path, optimize=True)
        files += figures
        click.echo(str(page_path), err=True)
    record = {"effort": effort, "avif": AVIF.version(), "files": [asdict(file) for file in files]}
    (out / "crops.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def draw_sheet(crop: Crop, rates: Sequence[float], effort: int) -> tuple[Image.Image, list[File]]:
    """Return the sheet of a crop, and the figures of its files."""
    pixels = read_picture(crop.path)
    n_pixels = pixels.shape[0] * pixels.shape[1]
    rows: list[list[Panel]] = []
    files: list[File] = []
    for rate in rates:
        n_bytes, avif = closest(pixels, AVIF, rate * n_pixels / 8.0)
        data = luxvox.compress_image(pixels, size=n_bytes, effort=effort)
        ours = np.asarray(luxvox.decompress_image(data))
        panels = [("original", pixels)]
        for codec, size, decoded in (("AVIF", n_bytes, avif), ("luxvox", len(data), ours)):
            file = measure_file(crop, codec, size, pixels, decoded)
            files.append(file)
            panels.append((f"{codec}: {size} bytes, {file.rate_bpp:.3f} bpp", decoded))
        rows.append(panels)
    return sheet(rows, crop.box), files


def measure_file(crop: Crop, codec: str, n_bytes: int, pixels: Pixels, decoded: Pixels) -> File:
    """Measure a whole picture."""
    rate = 8.0 * n_bytes / (pixels.shape[0] * pixels.shape[1])
    score = ssimulacra2(pixels, decoded)
    return File(crop.name, codec, round(rate, 4), n_bytes, psnr_db(pixels, decoded), score)


if __name__ == "__main__":
    main()
