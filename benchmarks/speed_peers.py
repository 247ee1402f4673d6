"""Measure how long luxvox, AVIF, JPEG XL and WebP take for files of one size, on all cores.

    python benchmarks/speed_peers.py image-val/

Each of the others uses the quality whose file is closest in size to luxvox's. Seconds are the
median of warm runs; processor seconds are summed over all threads.
"""

import functools
import io
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import luxvox
from luxvox.benchmarks.mosaic import mosaic
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
SIZES = (512, 768), (2828, 4242)
OTHERS: dict[str, tuple[str, dict[str, object]]] = {
    "AVIF, speed 4": ("AVIF", {"speed": 4}),
    "AVIF, speed 6": ("AVIF", {"speed": 6}),
    "JPEG XL, effort 7": ("JXL", {"effort": 7}),
    "WebP, method 6": ("WEBP", {"method": 6}),
}
QUALITIES = range(1, 100)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """What a codec takes for a picture, in seconds."""

    codec: str
    width: int
    height: int
    file_bytes: int
    encode_s: float
    encode_processor_s: float
    decode_s: float
    decode_processor_s: float


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--quality", default=50.0, show_default=True, help="Of luxvox.")
@click.option("--runs", default=3, show_default=True, help="Warm runs.")
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(*, folder: Path, quality: float, runs: int, docs: Path) -> None:
    """Time codecs on the first picture of FOLDER, mirrored to each size."""
    import pillow_jxl  # noqa: F401  registers the format

    source = read_picture(picture_paths(folder)[0])
    rows = []
    for size in SIZES:
        pixels = mosaic(source, *size)
        ours = functools.partial(compress_lvx, pixels, quality)
        own = time_codec("luxvox", pixels, ours, luxvox.decompress_image, runs)
        rows.append(own)
        for name in OTHERS:
            encode = encoder_near(name, pixels, own.file_bytes)
            rows.append(time_codec(name, pixels, encode, decode_pixels, runs))
            click.echo("  ".join(_cells(rows[-1])), err=True)

    command = repeat_command(folder)
    packages = describe_packages("torch", "pillow", "pillow-jxl-plugin", weights=("picture",))
    setup = {"command": command, "machine": machine(), "packages": packages}
    record = {**setup, "rows": [asdict(row) for row in rows]}
    path = docs / "results" / "speed-peers.json"
    path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    report = markdown(rows, f"`{command}`, {machine()}, {packages}.")
    splice(docs / "results.md", "speed-peers", report)
    click.echo(report)


def encoder_near(name: str, pixels: Pixels, target: int) -> Callable[[], bytes]:
    """Return a function that makes the file whose size is nearest to `target` bytes."""
    image_format, options = OTHERS[name]
    image = Image.fromarray(pixels)

    def encode(quality: int) -> bytes:
        stream = io.BytesIO()
        image.save(stream, image_format, quality=quality, **options)
        return stream.getvalue()

    # Sizes grow with quality: the first that reaches the target, and the one before it.
    low, high = QUALITIES[0], QUALITIES[-1]
    sizes = {}
    while low < high:
        middle = (low + high) // 2
        sizes[middle] = len(encode(middle))
        if sizes[middle] < target:
            low = middle + 1
        else:
            high = middle
    sizes.setdefault(low, len(encode(low)))
    nearest = min(sizes, key=lambda quality: abs(sizes[quality] - target))
    return lambda: encode(nearest)


def compress_lvx(pixels: Pixels, quality: float) -> bytes:
    """Return an `.lvx` file."""
    return luxvox.compress_image(pixels, quality=quality)


def decode_pixels(data: bytes) -> Pixels:
    """Return the pixels of a file that Pillow reads."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def time_codec(
    codec: str,
    pixels: Pixels,
    encode: Callable[[], bytes],
    decode: Callable[[bytes], object],
    runs: int,
) -> Row:
    """Encode and decode a few times after a warm-up."""
    data = encode()
    seconds = {}
    works: dict[str, Callable[[], object]] = {
        "encode": encode,
        "decode": functools.partial(decode, data),
    }
    for key, work in works.items():
        work()
        wall, processor = [], []
        for _ in range(runs):
            begin = time.perf_counter(), time.process_time()
            work()
            wall.append(time.perf_counter() - begin[0])
            processor.append(time.process_time() - begin[1])
        seconds[f"{key}_s"] = round(statistics.median(wall), 3)
        seconds[f"{key}_processor_s"] = round(statistics.median(processor), 3)
    return Row(codec, pixels.shape[1], pixels.shape[0], len(data), **seconds)


def markdown(rows: list[Row], setup: str) -> str:
    """Write the table of the results page."""
    head = ["", "size", "bytes", "encode, s", "processor, s", "decode, s", "processor, s"]
    return "\n\n".join([table(head, [_cells(row) for row in rows]), setup])


def _cells(row: Row) -> list[str]:
    return [
        row.codec,
        f"{row.width}×{row.height}",
        f"{row.file_bytes:,}",
        f"{row.encode_s:.2f}",
        f"{row.encode_processor_s:.2f}",
        f"{row.decode_s:.2f}",
        f"{row.decode_processor_s:.2f}",
    ]


if __name__ == "__main__":
    main()
