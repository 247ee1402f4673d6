"""What each phase of training learns, and from what."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from luxvox.models.catalogue import config_from_json
from luxvox.models.image import LEVELS, PIXELS_PER_UNIT, ImageConfig, PictureModel
from luxvox.models.rvq import RATE_WEIGHT, usage, word_counts
from luxvox.models.training.data import Pictures
from luxvox.models.training.initialise import random_steps
from luxvox.models.training.loop import save_atomically
from luxvox.models.training.losses import distortion, psnr

VALIDATION_STEPS = (20.0, 40.0, 80.0)
N_VALIDATION = 12
PREFIX_SHARE = 0.1  # samples that see only a prefix of the stages


class SynthesisPhase:
    """Phase 2: the synthesis network alone, on hard codes of a frozen analysis."""

    name = "2"
    learning_rate = 6e-4

    def __init__(self, model: PictureModel, pictures: Pictures, held_back: Pictures) -> None:
        self.model = model
        self.pictures = pictures
        model.requires_grad_(False)
        model.synthesis.requires_grad_(True)
        generator = torch.Generator().manual_seed(7)
        self.device = model.order_16.device
        self.validation = held_back.crops(N_VALIDATION, 256, generator).to(self.device)

    def trained(self) -> nn.Module:
        """Return the synthesis network."""
        return self.model.synthesis

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Move the linear skeleton more slowly than the blocks."""
        return 1.0 if "blocks" in parameter_name else 0.5

    def memory(self) -> dict[str, Tensor]:
        """Return nothing: all that this phase changes has a gradient."""
        return {}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return the distortion of a batch of 8 crops of 128² at random steps."""
        pixels = self.pictures.crops(8, 128, generator).to(self.device)
        step = random_steps(8, self.model.config, generator).to(self.device)
        with torch.no_grad():
            rate_weight = RATE_WEIGHT * (1.0 + 0.8 * float(torch.rand(1, generator=generator)))
            codes = self.model.choose(self.model.latents(pixels, step), step, rate_weight)
            quantised = dequantise(self.model, codes)
            drop_stages(self.model, codes, quantised, generator)
        decoded = self.model.synthesise(quantised, step)
        return distortion(decoded, pixels, step), {"psnr": psnr(decoded, pixels).mean().item()}

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure PSNR and static bits a pixel at three steps."""
        folder.mkdir(exist_ok=True)
        figures: dict[str, float] = {}
        counts: dict[str, Tensor] = {}
        for value in VALIDATION_STEPS:
            step = torch.full((len(self.validation),), value, device=self.device)
            codes = self.model.choose(self.model.latents(self.validation, step), step)
            decoded = self.model.synthesise(dequantise(self.model, codes), step)
            figures[f"psnr_{value:.0f}"] = psnr(decoded, self.validation).mean().item()
            for level, array in codes.items():
                some = word_counts(array, self.model.config.codebook_size)
                counts[level] = counts.get(level, torch.zeros_like(some)) + some
            save_picture(
                torch.cat([self.validation[:4], decoded[:4]], 2), folder / f"{value:.0f}.png"
            )
        for level, tables in counts.items():
            for stage, table in enumerate(tables):
                alive, perplexity = usage(table.float())
                figures[f"used_{level}_{stage + 1}"] = alive
                figures[f"perplexity_{level}_{stage + 1}"] = perplexity
        return figures

    def finish(self, run: Path) -> None:
        """Write `synthesis.safetensors`."""
        save_atomically(dict(self.model.synthesis.state_dict()), run / "synthesis.safetensors")


def dequantise(model: PictureModel, codes: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sum all codewords: latents in steps."""
    return {level: model.quantiser(level).decode(codes[level]) for level in LEVELS}


def drop_stages(
    model: PictureModel,
    codes: dict[str, Tensor],
    quantised: dict[str, Tensor],
    generator: torch.Generator,
) -> None:
    """Cut some samples of a batch to a prefix of the sections, in place."""
    draws = torch.rand(len(codes["top"]), generator=generator)
    for item in torch.nonzero(draws < PREFIX_SHARE)[:, 0].tolist():
        n_base, n_detail = ((1, 0), (3, 0), (3, 1))[int(draws[item] / PREFIX_SHARE * 3)]
        one = slice(item, item + 1)
        base, detail = codes["base"][one], codes["detail"][one]
        quantised["base"][one] = model.quantiser("base").decode(base, n_base)
        quantised["detail"][one] = model.quantiser("detail").decode(detail, n_detail)


def save_picture(units: Tensor, path: Path) -> None:
    """Write pictures [B, 3, H, W] in units side by side as PNG."""
    row = torch.cat(list(units), dim=2) * PIXELS_PER_UNIT + 128.0
    array = row.clamp(0.0, 255.0).add(0.5).floor().to(torch.uint8)
    Image.fromarray(np.ascontiguousarray(array.permute(1, 2, 0).cpu().numpy())).save(path)


def run_config(run: Path) -> ImageConfig:
    """Return the configuration of a run."""
    return config_from_json(json.loads((run / "run.json").read_text())["config"])


def load_parts(model: PictureModel, run: Path) -> None:
    """Load analysis (with codebooks and gains) and synthesis from a run folder."""
    rest = load_file(run / "analysis.safetensors")
    synthesis = load_file(run / "synthesis.safetensors")
    model.load_state_dict({**rest, **{f"synthesis.{name}": t for name, t in synthesis.items()}})


def save_parts(model: PictureModel, run: Path) -> None:
    """Write analysis (with codebooks and gains) and synthesis to a run folder."""
    state = model.state_dict()
    rest = {k: v for k, v in state.items() if not k.startswith("synthesis.")}
    save_atomically(rest, run / "analysis.safetensors")
    save_atomically(dict(model.synthesis.state_dict()), run / "synthesis.safetensors")
