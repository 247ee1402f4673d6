"""Draw one picture as JPEG, WebP and luxvox at equal bytes, beside the original.

python benchmarks/side_by_side.py examples/eileen_collins.png --quality 20
"""

import io
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import luxvox
from luxvox.evaluate.picture_metrics import psnr_db

Pixels = NDArray[np.uint8]


@click.command()
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--quality", default=20.0, help="Quality of luxvox; the others get its bytes.")
@click.option("--crop", nargs=4, type=int, default=(112, 20, 368, 276), help="Box to show.")
@click.option("--out", default=Path("docs/side_by_side.png"), type=click.Path(path_type=Path))
def main(picture: Path, quality: float, crop: tuple[int, int, int, int], out: Path) -> None:
    """Write the sheet for PICTURE."""
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    data = luxvox.compress_image(pixels, quality=quality)
    ours = np.asarray(luxvox.decompress_image(data))
    panels = [("original", pixels)]
    for label, image_format in (("JPEG", "JPEG"), ("WebP", "WEBP")):
        size, decoded = closest(pixels, image_format, len(data))
        panels.append((caption(label, size, pixels, decoded), decoded))
    panels.append((caption("luxvox", len(data), pixels, ours), ours))
    sheet(panels, crop).save(out, optimize=True)
    for label, _ in panels:
        click.echo(label, err=True)


def closest(pixels: Pixels, image_format: str, n_bytes: int) -> tuple[int, Pixels]:
    """Return size and pixels of the file whose size is nearest to `n_bytes`, over all qualities."""
    files = (_saved(pixels, image_format, quality) for quality in range(1, 96))
    best = min(files, key=lambda data: abs(len(data) - n_bytes))
    with Image.open(io.BytesIO(best)) as image:
        return len(best), np.asarray(image.convert("RGB"))


def _saved(pixels: Pixels, image_format: str, quality: int) -> bytes:
    stream = io.BytesIO()
    options = {"optimize": True, "progressive": True} if image_format == "JPEG" else {"method": 6}
    Image.fromarray(pixels).save(stream, image_format, quality=quality, **options)
    return stream.getvalue()


def caption(label: str, n_bytes: int, original: Pixels, decoded: Pixels) -> str:
    """Say codec, bytes and PSNR."""
    return f"{label}: {n_bytes} bytes, {psnr_db(original, decoded):.1f} dB"


def sheet(panels: list[tuple[str, Pixels]], crop: tuple[int, int, int, int]) -> Image.Image:
    """Lay out the crops in a row, each under its caption."""
    left, top, right, bottom = crop
    width, height, gap, head = right - left, bottom - top, 8, 22
    page = Image.new("RGB", (len(panels) * (width + gap) - gap, height + head), "white")
    draw = ImageDraw.Draw(page)
    for number, (label, pixels) in enumerate(panels):
        x = number * (width + gap)
        draw.text((x, 4), label, fill="black", font=ImageFont.load_default(14))
        page.paste(Image.fromarray(pixels[top:bottom, left:right]), (x, head))
    return page


if __name__ == "__main__":
    main()
