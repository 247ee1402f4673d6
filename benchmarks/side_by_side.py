"""Draw one picture as JPEG, WebP, AVIF and luxvox at equal bytes, next to the original.

python benchmarks/side_by_side.py examples/eileen_collins.png --quality 20
"""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import luxvox
from luxvox.evaluate.picture.metrics import psnr_db
from luxvox.evaluate.picture.peers import AVIF, JPEG, WEBP, PillowPeer

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Panel = tuple[str, Pixels]

GAP, HEAD = 8, 22
FORMATS = {"JPEG": JPEG, "WebP": WEBP, "AVIF": AVIF}


@click.command()
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--quality", default=20.0, help="Quality of luxvox; the others get its bytes.")
@click.option("--crop", nargs=4, type=int, default=(112, 20, 368, 276), help="Box to show.")
@click.option("--out", default=Path("docs/side_by_side.png"), type=click.Path(path_type=Path))
def main(picture: Path, quality: float, crop: Box, out: Path) -> None:
    """Write the sheet for PICTURE."""
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    data = luxvox.compress_image(pixels, quality=quality)
    ours = np.asarray(luxvox.decompress_image(data))
    panels = [("original", pixels)]
    for label, peer in FORMATS.items():
        size, decoded = closest(pixels, peer, len(data))
        panels.append((caption(label, size, pixels, decoded), decoded))
    panels.append((caption("luxvox", len(data), pixels, ours), ours))
    sheet([panels], crop).save(out, optimize=True)
    for label, _ in panels:
        click.echo(label, err=True)


def closest(pixels: Pixels, peer: PillowPeer, n_bytes: float) -> tuple[int, Pixels]:
    """Return size and pixels of the file whose size is nearest to `n_bytes`.

    Qualities 1 to 95 are searched by bisection, since files grow with them.
    """
    low, high = 1, 95
    tried: dict[int, bytes] = {}
    while low <= high:
        middle = (low + high) // 2
        tried[middle] = peer.encode(pixels, float(middle))
        low, high = (middle + 1, high) if len(tried[middle]) < n_bytes else (low, middle - 1)
    best = min(tried.values(), key=lambda data: abs(len(data) - n_bytes))
    return len(best), peer.decode(best)


def caption(label: str, n_bytes: int, original: Pixels, decoded: Pixels) -> str:
    """Return codec, bytes and PSNR as text."""
    return f"{label}: {n_bytes} bytes, {psnr_db(original, decoded):.1f} dB"


def sheet(rows: list[list[Panel]], crop: Box) -> Image.Image:
    """Lay out the crops in rows, each under its caption."""
    left, top, right, bottom = crop
    width, height = right - left + GAP, bottom - top + HEAD
    page = Image.new("RGB", (len(rows[0]) * width - GAP, len(rows) * height), "white")
    draw = ImageDraw.Draw(page)
    for line, panels in enumerate(rows):
        for number, (label, pixels) in enumerate(panels):
            x, y = number * width, line * height
            draw.text((x, y + 4), label, fill="black", font=ImageFont.load_default(14))
            page.paste(Image.fromarray(pixels[top:bottom, left:right]), (x, y + HEAD))
    return page


if __name__ == "__main__":
    main()
