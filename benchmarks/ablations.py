"""Compare arrangements of the residual VQ, untrained, at equal everything else.

Each arrangement is fitted to the training pictures as phase 0 does (DCT networks, Lloyd codebooks,
static tables) and measured on held-back ones: static bits and squared error of the latents, put
together as the cost D/Δ² + μ·bits.  The yardstick is the scalar twin: groups of one channel, one
uniform lattice of words, the same rate-aware choice.  An excess of 1 % means that the arrangement
needs 1 % of the twin's bits more at equal distortion.

With `--context-minutes` the first two arrangements also get a context model each, trained for so
long on the codes of the same few pictures, and are measured with its cross-entropy as the bits.

    python benchmarks/ablations.py image-train
    python benchmarks/ablations.py image-train --context-minutes 10
"""

import copy
import dataclasses
import logging
import tempfile
from pathlib import Path

import click
import torch

from luxvox.benchmarks.origin import repeat_command
from luxvox.evaluate.pages import splice, table
from luxvox.models.context import ContextTwins
from luxvox.models.image import LEVELS, ImageConfig, PictureModel, step_to_position
from luxvox.models.rvq import RATE_WEIGHT, ResidualVQ, rate_bin
from luxvox.models.training.context_phase import (
    ContextPhase,
    load_context,
    position_to_integer,
    store_codes,
)
from luxvox.models.training.data import Pictures, to_units
from luxvox.models.training.initialise import untrained_model
from luxvox.models.training.loop import train

STEPS = (20.0, 40.0, 80.0)
N_MEASURED = 21
N_CONTEXT_PICTURES = 250
SCALAR = ImageConfig(base_groups=(1,) * 120, detail_groups=(1,) * 64)
PLAIN_EIGHTS = ImageConfig(top_groups=(8,) * 4, base_groups=(8,) * 15, detail_groups=(8,) * 8)

VARIANTS: dict[str, tuple[ImageConfig, bool]] = {
    "scalar twin (all groups of 1)": (SCALAR, False),
    "shipped: 1·32; 1·24 2·16 4·16; 4·4 8·6, 3 stages, K 256": (ImageConfig(), False),
    "shipped, 2 stages": (ImageConfig(n_stages=2), False),
    "shipped, 1 stage": (ImageConfig(n_stages=1), False),
    "shipped, K 128": (ImageConfig(codebook_size=128), False),
    "shipped, K 64": (ImageConfig(codebook_size=64), False),
    "groups 1-2-4-8 everywhere": (
        ImageConfig(
            top_groups=(1,) * 8 + (2,) * 4 + (4,) * 4,
            base_groups=(2,) * 12 + (4,) * 8 + (8,) * 8,
            detail_groups=(8,) * 8,
        ),
        False,
    ),
    "groups of 8, in order of variance": (PLAIN_EIGHTS, False),
    "groups of 8, interleaved": (PLAIN_EIGHTS, True),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Bits and squared error in steps, both a pixel."""

    bits: float
    error: float

    def excess_percent(self, yardstick: "Cost") -> float:
        """Tell the excess over a yardstick as a percentage of its bits."""
        gap = (self.error - yardstick.error) / RATE_WEIGHT + self.bits - yardstick.bits
        return 100.0 * gap / yardstick.bits


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--docs", default=Path("docs"), type=click.Path(path_type=Path))
@click.option("--context-minutes", default=0.0, help="Train context models for so long each.")
def main(folder: Path, docs: Path, context_minutes: float) -> None:
    """Measure all arrangements on FOLDER and write the table into docs/decisions.md."""
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    training, held_back = Pictures([folder]).split(50)
    costs: dict[str, dict[float, Cost]] = {}
    names = list(VARIANTS)[:2] if context_minutes else list(VARIANTS)
    for name in names:
        config, interleaved = VARIANTS[name]
        model = untrained_model(training, config, 0, interleave if interleaved else None)
        twins = trained_context(model, training, context_minutes) if context_minutes else None
        costs[name] = measure(model, held_back, twins)
        click.echo(f"{name}: {costs[name]}", err=True)
    yardstick = next(iter(costs.values()))
    head = ["arrangement", *(f"Δ {step:.0f}: bpp, excess" for step in STEPS)]
    rows = [
        [name, *(f"{c[s].bits:.3f}, {c[s].excess_percent(yardstick[s]):+.1f} %" for s in STEPS)]
        for name, c in costs.items()
    ]
    text = f"{repeat_command(folder)}\n\n{table(head, rows)}"
    part = "context-ablation" if context_minutes else "ablations"
    splice(docs / "decisions.md", part, text)


def trained_context(model: PictureModel, training: Pictures, minutes: float) -> ContextTwins:
    """Train a context model on codes of the first pictures."""
    some = copy.copy(training)
    some.pictures = training.pictures[:N_CONTEXT_PICTURES]
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        store_codes(model, some, run / "codes", 0, None)
        store_codes(model, some, run / "codes-held-back", 0, None)
        phase = ContextPhase(model, run, "1", "codes")
        train(phase, run, minutes, resume=False)
        load_context(phase.twins, run)
    return phase.twins


def interleave(model: PictureModel) -> None:
    """Give group i of n the channels i, i + n, i + 2n, …"""
    for level in LEVELS:
        vq = model.quantiser(level)
        n_groups = len(vq.slots)
        vq.slots.copy_(torch.arange(vq.n_channels).reshape(-1, n_groups).T)


@torch.no_grad()
def measure(
    model: PictureModel, pictures: Pictures, twins: ContextTwins | None
) -> dict[float, Cost]:
    """Measure the mean cost over pictures at each step, in static or in the context's bits."""
    costs = {}
    for value in STEPS:
        step = torch.tensor([value])
        bits, error, n_pixels = 0.0, 0.0, 0
        for picture in pictures.pictures[:N_MEASURED]:
            height, width = (n // 32 * 32 for n in picture.shape[1:])
            latents = model.latents(to_units(picture[None, :, :height, :width]), step)
            codes = model.choose(latents, step)
            for level in LEVELS:
                vq = model.quantiser(level)
                if twins is None:
                    bits += static_bits(vq, codes[level][0].long(), step, model.config)
                error += float((latents[level] - vq.decode(codes[level])).square().sum())
            if twins is not None:
                bits += context_bits(twins, codes, step, model.config)
            n_pixels += height * width
        costs[value] = Cost(bits / n_pixels, error / n_pixels)
    return costs


def static_bits(
    vq: ResidualVQ, codes: torch.Tensor, step: torch.Tensor, config: ImageConfig
) -> float:
    """Add up the static cost of codes [stages, groups, H, W] where they are coded at all."""
    table_bits = vq.bits[int(rate_bin(step_to_position(step, config)))]
    flat = codes.flatten(2)
    reached = torch.cat([torch.ones_like(flat[:1]), flat[:-1]]) != 0
    return float(table_bits.gather(2, flat)[reached].sum())


def context_bits(
    twins: ContextTwins, codes: dict[str, torch.Tensor], step: torch.Tensor, config: ImageConfig
) -> float:
    """Add up the cross-entropy of codes under a context model."""
    whole = {level: array.long() for level, array in codes.items()}
    position = position_to_integer(step_to_position(step, config))
    return sum(
        bits.item()
        for plan in twins.plan
        for index in range(len(plan.passes))
        for bits in twins.bits(plan.name, whole, position, index).values()
    )


if __name__ == "__main__":
    main()
