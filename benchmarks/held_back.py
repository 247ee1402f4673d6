"""Compare weights and ways of choosing codes on training pictures that no phase learns from.

This is what choices are made by; the validation set is for the tables of results alone.  Bits are
the context model's cross-entropy (or the static tables'), quality is that of the decoded picture,
BD-rate is against Pillow's JPEG on the same pictures.

    python benchmarks/held_back.py image-train "phase 2=run/picture-1.json" \
        "no rate term=run/picture-1.json:0" "static=run/picture-1.json:0.1155:static"
"""

import io
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from luxvox.benchmarks.ablations import static_bits
from luxvox.benchmarks.origin import repeat_command
from luxvox.codec.rasters import round_to_uint8
from luxvox.codec.rate import centi_to_position
from luxvox.entropy.walk import CodesMeter, walk
from luxvox.evaluate.bd import Curve, bd_rate_percent
from luxvox.evaluate.metrics import decibels
from luxvox.evaluate.pages import splice, table
from luxvox.evaluate.picture_metrics import multiscale_ssim, psnr_db
from luxvox.evaluate.wording import signed
from luxvox.models.catalogue import PictureCodec, load_picture_codec
from luxvox.models.choice import CONTEXT_RATE_WEIGHT, RateAwareChoice
from luxvox.models.image import LEVELS, quality_to_step
from luxvox.models.strips import analyse, grid_shapes, synthesise
from luxvox.models.training.data import Pictures

QUALITIES = (10, 30, 50, 70)
JPEG_QUALITIES = (5, 10, 20, 35, 50, 70, 85, 92)
N_PICTURES = 12

Pixels = NDArray[np.uint8]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("variants", nargs=-1, required=True)
@click.option("--docs", default=Path("docs"), type=click.Path(path_type=Path))
def main(folder: Path, variants: tuple[str, ...], docs: Path) -> None:
    """Measure VARIANTS (LABEL=CARD[:RATE_WEIGHT[:static]]) and write docs/decisions.md."""
    torch.set_num_threads(1)
    _, held_back = Pictures([folder]).split(50)
    pictures = [p.permute(1, 2, 0).numpy() for p in held_back.pictures[:N_PICTURES]]
    anchors = curves([[jpeg(p, q) for p in pictures] for q in JPEG_QUALITIES])
    rows = []
    for variant in variants:
        label, _, rest = variant.partition("=")
        card, weight, static = [*rest.split(":"), "", ""][:3]
        codec = load_picture_codec(Path(card))
        mu = float(weight) if weight else CONTEXT_RATE_WEIGHT
        points = [[point(codec, p, q, mu, bool(static)) for p in pictures] for q in QUALITIES]
        found = curves(points)
        gains = [bd_rate_percent(a, b) for a, b in zip(anchors, found, strict=True)]
        rows.append([label, *(f"{signed(gain)} %" for gain in gains)])
        click.echo(" | ".join(rows[-1]), err=True)
    text = f"`{repeat_command(folder)}`\n\n{table(['variant', 'PSNR', 'MS-SSIM'], rows)}"
    splice(docs / "decisions.md", "held-back", text)


def point(
    codec: PictureCodec, pixels: Pixels, quality: float, rate_weight: float, static: bool
) -> tuple[float, float, float]:
    """Return bits a pixel, PSNR and MS-SSIM of one picture."""
    model, size = codec.model, pixels.shape[:2]
    step = quality_to_step(quality, model.config)
    latents = analyse(model, pixels, step, lambda share: None)
    quantisers = {level: model.quantiser(level) for level in LEVELS}
    if static:
        tensor = torch.tensor([step])
        chosen = model.choose(latents, tensor, rate_weight)
        bits = sum(
            static_bits(quantisers[k], c[0].long(), tensor, model.config) for k, c in chosen.items()
        )
    else:
        meter = CodesMeter(RateAwareChoice(quantisers, latents, rate_weight).choose)
        position = centi_to_position(round(100 * quality))
        codes = walk(codec.context, grid_shapes(*size), position, meter)
        chosen = {level: torch.from_numpy(array)[None] for level, array in codes.items()}
        bits = sum(meter.bits.values())
    quantised = {level: quantisers[level].decode(array) for level, array in chosen.items()}
    parts = synthesise(model, quantised, step, (size[0], size[1]), lambda share: None)
    return measured(bits, pixels, np.concatenate([round_to_uint8(part) for part in parts]))


def jpeg(pixels: Pixels, quality: int) -> tuple[float, float, float]:
    """Return the same of Pillow's JPEG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, optimize=True, progressive=True)
    decoded = np.asarray(Image.open(stream).convert("RGB"))
    return measured(8.0 * len(stream.getvalue()), pixels, decoded)


def measured(bits: float, pixels: Pixels, decoded: Pixels) -> tuple[float, float, float]:
    """Return bits a pixel, PSNR and MS-SSIM."""
    n_pixels = pixels.shape[0] * pixels.shape[1]
    return bits / n_pixels, psnr_db(pixels, decoded), multiscale_ssim(pixels, decoded)


def curves(points: list[list[tuple[float, float, float]]]) -> tuple[Curve, Curve]:
    """Return the mean curves of PSNR and of MS-SSIM in dB over [settings][pictures]."""
    means = np.array(points).mean(axis=1)
    rates = tuple(means[:, 0])
    similarity = tuple(decibels(value) for value in means[:, 2])
    return Curve(rates, tuple(means[:, 1])), Curve(rates, similarity)


if __name__ == "__main__":
    main()
