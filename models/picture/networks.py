"""Analysis and synthesis networks for pictures.

Pixels become latents on four grids, of strides 64, 32, 16 and 8 (`apex`, `top`, `base`,
`detail`). Before any training both networks are exact linear maps, a lapped transform and Haar
steps (`luxvox.models.picture.transform`). Residual blocks are added to that skeleton; their last
matrix starts at zero.

All signals in here are in units of 8 of the 255 levels. The gated block follows NAFNet (Chen et
al., 2022) and the shallow synthesis of Yang and Mandt (2023): depthwise 3×3, two 1×1 matrices,
a product as the only non-linearity. Both factors of the product are bounded: unbounded ones blew
up in training.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.picture.transform import BLOCK, mirrored

LEVELS = ("apex", "top", "base", "detail")  # coarse to fine, in coding order
STRIDES = {"apex": 64, "top": 32, "base": 16, "detail": 8}
FINEST = len(LEVELS) - 1
PIXELS_PER_UNIT = 8.0
PAD_MULTIPLE = 64  # the coarsest stride, in pixels
FACTOR_MAX = 6.0  # bound of both factors of a block's product


@dataclass(frozen=True)
class PictureConfig:
    """Shape of the picture networks; everything needed to build them.

    Attributes:
        coarsest_step, finest_step: quantiser steps of quality 1 and 100, in 8-bit levels.
        channels: latent channels by level, coarse to fine.
        passed: features that the linear start hands on from strides 8, 16 and 32.
        widths: features at strides 64, 32, 16 and 8.
        analysis_blocks, synthesis_blocks: residual blocks at those strides.
        analysis_hidden, synthesis_hidden: widths of each half of their gated product.
    """

    coarsest_step: float = 160.0
    finest_step: float = 3.5
    channels: tuple[int, ...] = (32, 24, 120, 112)
    passed: tuple[int, ...] = (8, 8, 32)
    widths: tuple[int, ...] = (192, 256, 256, 192)
    analysis_blocks: tuple[int, ...] = (2, 3, 4, 2)
    synthesis_blocks: tuple[int, ...] = (2, 3, 3, 3)
    analysis_hidden: tuple[int, ...] = (192, 256, 256, 192)
    synthesis_hidden: tuple[int, ...] = (192, 256, 256, 176)

    def n_channels(self, level: str) -> int:
        """Return the number of latent channels of a level."""
        return self.channels[LEVELS.index(level)]


def quality_to_step(quality: float, config: PictureConfig) -> float:
    """Return the quantiser step in 8-bit levels for a quality of 1 (coarse) to 100 (fine)."""
    ratio = config.finest_step / config.coarsest_step
    return config.coarsest_step * float(ratio ** ((quality - 1.0) / 99.0))


def log_step(step: Tensor, config: PictureConfig) -> Tensor:
    """Map steps in 8-bit levels [B] to −1 (finest) … 1 (coarsest), linear in log-step."""
    span = math.log(config.coarsest_step / config.finest_step)
    return 2.0 * torch.log(step / config.finest_step) / span - 1.0


class Block(nn.Module):
    """Residual block `x + gain · W2 gate(W1 depthwise(x))`, modulated by the log-step.

    Args:
        width: channels of the features [B, width, H, W].
        hidden: width of each of the two gated halves.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.scale_slope = nn.Parameter(torch.full((width,), -0.5))
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.expand = nn.Conv2d(width, 2 * hidden, 1)
        self.expand_slope = nn.Parameter(torch.zeros(2 * hidden))
        self.project = nn.Conv2d(hidden, width, 1)
        with torch.no_grad():
            self.depthwise.weight.mul_(0.3)
            self.depthwise.weight[:, :, 1, 1] += 1.0
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(_bias(self.project))

    def forward(self, x: Tensor, position: Tensor, gain: Tensor) -> Tensor:
        """Return [B, width, H, W]; `position` and `gain` are [B, 1, 1, 1]."""
        scale = self.scale[:, None, None] * torch.exp(self.scale_slope[:, None, None] * position)
        hidden = self.expand(self.depthwise(x * scale.to(x.dtype)))
        offset = self.expand_slope[:, None, None] * position
        value, gate = (hidden + offset.to(x.dtype)).chunk(2, 1)

        # Hard swish with its upper end cut off.
        gate = gate.clamp(max=FACTOR_MAX)
        product = value.clamp(-FACTOR_MAX, FACTOR_MAX) * F.hardswish(gate)
        changed: Tensor = x + gain.to(x.dtype) * self.project(product)
        return changed


class Analysis(nn.Module):
    """Pixels to latents: {level: [B, channels, H / stride, W / stride]}."""

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.front = nn.Conv2d(192, widths[3], 2)
        self.blocks = _blocks(widths, config.analysis_hidden, config.analysis_blocks)
        self.down = nn.ModuleList(
            nn.Conv2d(widths[n + 1], widths[n], 2, stride=2) for n in range(len(LEVELS) - 1)
        )
        self.to_latents = nn.ModuleList(
            nn.Conv2d(width, n, 1) for width, n in zip(widths, config.channels, strict=True)
        )

    def forward(self, pixels: Tensor, position: Tensor, gain: Tensor) -> dict[str, Tensor]:
        """Map pixels [B, 3, H, W] in units (H, W multiples of 64) to latents in units."""
        detail, features = self.fine(pixels, position, gain)
        return self.coarse(features, position, gain) | {"detail": detail}

    def fine(self, pixels: Tensor, position: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latents of `detail`, and features [B, width, H / 16, W / 16] of the rest."""
        # [B, 3, H, W] -> [B, 192, H / 8 + 1, W / 8 + 1] -> [B, width, H / 8, W / 8]
        blocks = F.pixel_unshuffle(mirrored(pixels), BLOCK)
        x = self.front(blocks.contiguous(memory_format=torch.channels_last))
        for block in blocks_of(self, FINEST):
            x = block(x, position, gain)
        return self.to_latents[FINEST](x), self.down[FINEST - 1](x)

    def coarse(self, features: Tensor, position: Tensor, gain: Tensor) -> dict[str, Tensor]:
        """Return the latents of all levels but `detail`."""
        x = features
        latents = {}
        for number in reversed(range(FINEST)):
            for block in blocks_of(self, number):
                x = block(x, position, gain)
            latents[LEVELS[number]] = self.to_latents[number](x)
            if number:
                x = self.down[number - 1](x)  # [B, width, H, W] -> [B, next width, H / 2, W / 2]
        return latents


class Synthesis(nn.Module):
    """Latents to pixels, the mirror of `Analysis`."""

    row_signs: Tensor
    column_signs: Tensor

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.from_latents = nn.ModuleList(
            nn.Conv2d(n, width, 1) for width, n in zip(widths, config.channels, strict=True)
        )
        self.blocks = _blocks(widths, config.synthesis_hidden, config.synthesis_blocks)
        self.up = nn.ModuleList(
            nn.Conv2d(widths[n], 4 * widths[n + 1], 1) for n in range(len(LEVELS) - 1)
        )
        self.back = nn.Conv2d(widths[3], 192, 2)
        self.register_buffer("row_signs", torch.ones(widths[3]))
        self.register_buffer("column_signs", torch.ones(widths[3]))

    def forward(self, latents: dict[str, Tensor], position: Tensor, gain: Tensor) -> Tensor:
        """Map latents in units to pixels [B, 3, H, W] in units (not clipped)."""
        features = self.coarse(latents, position, gain)
        return self.fine(features, latents["detail"], position, gain)

    def coarse(self, latents: Mapping[str, Tensor], position: Tensor, gain: Tensor) -> Tensor:
        """Map the latents of all levels but `detail` to features [B, width, H / 16, W / 16]."""
        x: Tensor | None = None
        for number, level in enumerate(LEVELS[:FINEST]):
            own = self.from_latents[number](_channels_last(latents[level]))
            x = own if x is None else own + self._up(number - 1, x)
            for block in blocks_of(self, number):
                x = block(x, position, gain)
        assert x is not None
        return x

    def fine(self, features: Tensor, detail: Tensor, position: Tensor, gain: Tensor) -> Tensor:
        """Map those features and the latents of `detail` to pixels [B, 3, H, W] in units."""
        own = self.from_latents[FINEST](_channels_last(detail))
        x = own + self._up(FINEST - 1, features)
        for block in blocks_of(self, FINEST):
            x = block(x, position, gain)

        # Beyond the borders the picture goes on mirrored, which turns the sign of odd frequencies.
        rows = self.row_signs[:, None, None].to(x.dtype)
        columns = self.column_signs[:, None, None].to(x.dtype)
        x = torch.cat([x[:, :, :1] * rows, x, x[:, :, -1:] * rows], 2)
        x = torch.cat([x[..., :1] * columns, x, x[..., -1:] * columns], 3)
        x = x.contiguous(memory_format=torch.channels_last)

        # [B, width, H / 8 + 2, W / 8 + 2] -> [B, 3, H + 8, W + 8], of which 4 samples hang over
        return F.pixel_shuffle(self.back(x), BLOCK)[:, :, 4:-4, 4:-4]

    def _up(self, number: int, x: Tensor) -> Tensor:
        """Hand features on to the next grid: [B, width, H, W] -> [B, next width, 2 H, 2 W]."""
        return _channels_last(F.pixel_shuffle(self.up[number](x), 2))


class PictureModel(nn.Module):
    """All float parts of the picture codec: both networks, and the gains of the latents."""

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.synthesis = Synthesis(config)
        self.gains = nn.ParameterDict(
            {level: nn.Parameter(torch.zeros(2, config.n_channels(level))) for level in LEVELS}
        )

    @property
    def device(self) -> torch.device:
        """Return where the networks are."""
        return self.synthesis.row_signs.device

    def latents(self, pixels: Tensor, step: Tensor) -> dict[str, Tensor]:
        """Map pixels [B, 3, H, W] in units and steps [B] in 8-bit levels to latents in steps."""
        position, gain = self.conditions(step)
        latents = self.analysis(pixels, position, gain)
        return {
            level: y.float() / self.scale(level, position, gain) for level, y in latents.items()
        }

    def synthesise(self, quantised: dict[str, Tensor], step: Tensor) -> Tensor:
        """Map quantised latents in steps to pixels [B, 3, H, W] in units, not clipped."""
        position, gain = self.conditions(step)
        scaled = {level: y * self.scale(level, position, gain) for level, y in quantised.items()}
        pixels: Tensor = self.synthesis(scaled, position, gain)
        return pixels

    def at_step(self, latents: dict[str, Tensor], before: float, after: float) -> dict[str, Tensor]:
        """Rescale latents to another step, as a stand-in for analysing again.

        Args:
            latents: [B, C, H, W] in steps, by level.
            before, after: the step they are in and the new one, in 8-bit levels.
        """
        old, new = (self.conditions(torch.tensor([s], device=self.device)) for s in (before, after))
        with torch.no_grad():
            return {
                level: y * (self.scale(level, *old) / self.scale(level, *new)).to(y.device)
                for level, y in latents.items()
            }

    def conditions(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-steps and steps in units, both [B, 1, 1, 1], of steps [B] in 8-bit levels."""
        position = log_step(step, self.config)[:, None, None, None]
        return position, (step / PIXELS_PER_UNIT)[:, None, None, None]

    def scale(self, level: str, position: Tensor, gain: Tensor) -> Tensor:
        """Return what a step of each channel of a level is in units, [B, C, 1, 1]."""
        offset, slope = self.gains[level][:, None, :, None, None]
        return gain * torch.exp(offset + slope * position)


def multiply_accumulates_per_pixel(module: Analysis | Synthesis) -> float:
    """Count multiply–accumulates a pixel of all convolutions of a network."""
    total = 0.0
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() / _stride(name) ** 2
    return total


def _stride(name: str) -> int:
    """Return the grid a layer of either network runs on, by its name."""
    part, _, rest = name.partition(".")
    if part in ("front", "back"):
        return BLOCK
    return STRIDES[LEVELS[int(rest.split(".")[0])]]


def _blocks(
    widths: tuple[int, ...], hidden: tuple[int, ...], counts: tuple[int, ...]
) -> nn.ModuleList:
    return nn.ModuleList(
        nn.ModuleList(Block(width, inner) for _ in range(count))
        for width, inner, count in zip(widths, hidden, counts, strict=True)
    )


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def blocks_of(network: Analysis | Synthesis, number: int) -> list[Block]:
    """Return the blocks of a network on the grid of a level, by the level's number."""
    blocks = network.blocks[number]
    if not isinstance(blocks, nn.ModuleList):
        raise AssertionError("not a list of blocks")
    return [block for block in blocks if isinstance(block, Block)]


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise AssertionError("a layer without bias")
    return layer.bias
