"""Phases 1 and 4: the context model, trained on stored codes.

Pictures are coded once, at several steps each; training reads the codes.  One random pass of
each level a sample is an unbiased estimate of the whole walk.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from luxvox.entropy.context import Context
from luxvox.entropy.walk import CodesMeter, walk
from luxvox.errors import InputError
from luxvox.models.choice import RateAwareChoice
from luxvox.models.context import ContextTwins, picture_twins
from luxvox.models.image import LEVELS, PictureModel, step_to_position
from luxvox.models.rvq import RATE_WEIGHT, rate_bin
from luxvox.models.training.data import Pictures, crop
from luxvox.models.training.initialise import random_steps
from luxvox.models.training.loop import save_atomically

log = logging.getLogger(__name__)

SHAPES = {"wide": (256, 384), "tall": (384, 256)}
N_VARIANTS = 5  # codings of each picture, at steps spread over the range
N_CONTEXT_VARIANTS = 2  # the same, where the context model chooses the codes, which takes longer
BATCH = 8
TOP_BATCH = 32
TOP_PHASE = "1-top"


class CodeStore:
    """Codes of crops of training pictures, on disk: one array a level and orientation."""

    def __init__(self, folder: Path) -> None:
        self.arrays: dict[str, dict[str, NDArray[np.uint8]]] = {}
        self.positions: dict[str, NDArray[np.int64]] = {}
        for shape in SHAPES:
            if (folder / f"{shape}-positions.npy").exists():
                self.positions[shape] = np.load(folder / f"{shape}-positions.npy")
                self.arrays[shape] = {
                    level: np.load(folder / f"{shape}-{level}.npy", mmap_mode="r")
                    for level in LEVELS
                }
        counts = np.array([len(p) for p in self.positions.values()], np.float64)
        self.shares = counts / counts.sum()

    def batch(
        self, n: int, generator: torch.Generator, levels: Sequence[str] = LEVELS
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return codes, int64 [n, stages, groups, H, W] by level, and positions [n]."""
        weights = torch.from_numpy(self.shares)
        shape = list(self.positions)[int(torch.multinomial(weights, 1, generator=generator))]
        picks = torch.randint(len(self.positions[shape]), (n,), generator=generator).numpy()
        codes = {
            level: torch.from_numpy(self.arrays[shape][level][np.sort(picks)]).long()
            for level in levels
        }
        return codes, torch.from_numpy(self.positions[shape][np.sort(picks)]).float()


@torch.no_grad()
def store_codes(
    model: PictureModel, pictures: Pictures, folder: Path, seed: int, context: Context | None
) -> None:
    """Code every picture a few times and write the arrays of a `CodeStore`.

    Codes are chosen by the context model's rates if one is given, by static rates if not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    n_variants = N_VARIANTS if context is None else N_CONTEXT_VARIANTS
    parts: dict[str, list[tuple[dict[str, Tensor], Tensor]]] = {name: [] for name in SHAPES}
    for number, picture in enumerate(pictures.pictures):
        shape = _orientation(picture)
        if shape is None:
            continue
        step = random_steps(n_variants, model.config, generator)
        pixels = torch.stack([crop(picture, *SHAPES[shape], generator) for _ in step])
        position = position_to_integer(step_to_position(step, model.config))
        latents = model.latents(pixels, step)
        if context is None:
            weight = RATE_WEIGHT * (1.0 + 0.5 * float(torch.rand(1, generator=generator)))
            codes = model.choose(latents, step, weight)
        else:
            codes = _choose_in_context(model, context, latents, position)
        parts[shape].append((codes, position))
        if number % 100 == 0:
            log.info("coded %d of %d pictures", number, len(pictures))
    if not any(parts.values()):
        sizes = " or ".join(f"{width}×{height}" for height, width in SHAPES.values())
        raise InputError(f"no picture of at least {sizes} pixels to train the context model on")
    for shape, coded in parts.items():
        if coded:
            for level in LEVELS:
                array = torch.cat([codes[level] for codes, _ in coded]).numpy()
                np.save(folder / f"{shape}-{level}.npy", array)
            positions = torch.cat([position for _, position in coded])
            np.save(folder / f"{shape}-positions.npy", positions.long().numpy())


def _choose_in_context(
    model: PictureModel, context: Context, latents: dict[str, Tensor], position: Tensor
) -> dict[str, Tensor]:
    quantisers = {level: model.quantiser(level) for level in LEVELS}
    grids = {level: (y.shape[2], y.shape[3]) for level, y in latents.items()}
    chosen: dict[str, list[Tensor]] = {level: [] for level in LEVELS}
    for item, number in enumerate(position.tolist()):
        one = {level: y[item : item + 1] for level, y in latents.items()}
        meter = CodesMeter(RateAwareChoice(quantisers, one).choose)
        for level, codes in walk(context, grids, int(number), meter).items():
            chosen[level].append(torch.from_numpy(codes))
    return {level: torch.stack(arrays) for level, arrays in chosen.items()}


def position_to_integer(position: Tensor) -> Tensor:
    """Round log-steps −1 … 1 to the whole numbers −127 … 127 that the context model takes."""
    return torch.floor(position * 127.0 + 0.5)


def _orientation(picture: Tensor) -> str | None:
    for name, (height, width) in SHAPES.items():
        if picture.shape[1] >= height and picture.shape[2] >= width:
            return name
    return None


class ContextPhase:
    """The context model on stored codes: of all levels, or of the top alone."""

    learning_rate = 1.5e-3

    def __init__(self, model: PictureModel, run: Path, name: str, codes: str) -> None:
        self.name = name
        self.model = model
        self.twins = picture_twins(model)
        self.top_only = name == TOP_PHASE
        if self.top_only:
            self.twins.requires_grad_(False)
            self.twins.twin("top").requires_grad_(True)
        self.store = CodeStore(run / codes)
        self.held_back = CodeStore(run / f"{codes}-held-back")

    def trained(self) -> nn.Module:
        """Return the float twins of all levels."""
        return self.twins

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Move all at one rate but those whose unit is an activation or an eighth of an octave."""
        if "slope_bias" in parameter_name:
            return 100.0
        return 30.0 if "embedding" in parameter_name else 1.0

    def memory(self) -> dict[str, Tensor]:
        """Return nothing: all that this phase changes has a gradient."""
        return {}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return bits a pixel of a batch, estimated from one pass of each level."""
        batch, plans = (
            (TOP_BATCH, self.twins.plan[:1]) if self.top_only else (BATCH, self.twins.plan)
        )
        codes, position = self.store.batch(batch, generator, [plan.name for plan in plans])
        n_pixels = codes["top"].shape[-1] * codes["top"].shape[-2] * 1024 * batch
        total = torch.zeros(())
        figures = {}
        for plan in plans:
            index = int(torch.randint(len(plan.passes), (1,), generator=generator))
            costs = self.twins.bits(plan.name, codes, position, index)
            level = torch.stack(list(costs.values())).sum() * len(plan.passes) / n_pixels
            figures[plan.name] = level.item()
            total = total + level
        return total, figures

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure bits a pixel on held-back codes, by level, and against the static tables."""
        folder.mkdir(exist_ok=True)
        figures: dict[str, float] = {}
        n_pixels, static = 0, 0.0
        for number in range(6):
            generator = torch.Generator().manual_seed(number)
            codes, position = self.held_back.batch(BATCH, generator)
            n_pixels += codes["detail"].shape[-1] * codes["detail"].shape[-2] * 64 * BATCH
            static += static_cost(self.model, codes, position / 127.0)
            for plan in self.twins.plan:
                for index in range(len(plan.passes)):
                    for stage, bits in self.twins.bits(plan.name, codes, position, index).items():
                        key = f"{plan.name}_{stage}"
                        figures[key] = figures.get(key, 0.0) + bits.item()
        figures = {key: value / n_pixels for key, value in figures.items()}
        total = sum(figures.values())
        return {"bpp": total, "saved": 1.0 - total * n_pixels / static, **figures}

    def finish(self, run: Path) -> None:
        """Write `context.safetensors`."""
        save_atomically(dict(self.twins.state_dict()), run / "context.safetensors")


def static_cost(model: PictureModel, codes: dict[str, Tensor], position: Tensor) -> float:
    """Return the cost in bits of codes under the static tables."""

    total = 0.0
    for level, array in codes.items():
        vq = model.quantiser(level)
        for item, number in enumerate(rate_bin(position).tolist()):
            flat = array[item].flatten(2)
            bits = vq.bits[number].gather(2, flat)
            alive = torch.cat([torch.ones_like(flat[:1]), flat[:-1]]) != 0
            total += float(bits[alive].sum())
    return total


def load_context(twins: ContextTwins, run: Path) -> None:
    """Load the twins of a run folder."""
    state = load_file(run / "context.safetensors")
    twins.load_state_dict({**twins.state_dict(), **state})
