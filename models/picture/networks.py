"""Analysis and synthesis networks for pictures.

Pixels become latents on four grids, of strides 64, 32, 16 and 8 (`apex`, `top`, `base`,
`detail`). Before any training both networks are exact linear maps, a lapped transform and Haar
steps (`luxvox.models.picture.transform`). Residual blocks are added to that skeleton; their last
matrix starts at zero.

All signals in here are in units of 8 of the 255 levels. The gated block follows NAFNet (Chen et
al., 2022) and the shallow synthesis of Yang and Mandt (2023): depthwise 3×3, two 1×1 matrices,
a product of a value and a gate (hard swish). Both factors of the product are bounded: unbounded
ones blew up in training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.picture.conditions import (
    FINEST,
    LEVELS,
    PIXELS_PER_UNIT,
    STRIDES,
    Conditions,
    PictureConfig,
    Setting,
    log_step,
)
from luxvox.models.picture.step_maps import StepMap
from luxvox.models.picture.transform import BLOCK, mirror

FACTOR_MAX = 6.0  # bound of both factors of a block's product


Source = Callable[[str, Tensor], Tensor]
"""Gives the latents of a level in units [B, C, H, W], from its name and factors on its steps."""
Quantise = Callable[[Tensor], Tensor]


class Block(nn.Module):
    """Residual block `x + gain · W2 gate(W1 depthwise(x))`, modulated by log-step and tuning.

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
        self.tune_slope = nn.Parameter(torch.zeros(2 * hidden))
        self.project = nn.Conv2d(hidden, width, 1)

        # A block starts as the identity: it adds nothing, and its kernel is nearly a point.
        with torch.no_grad():
            self.depthwise.weight.mul_(0.3)
            self.depthwise.weight[:, :, 1, 1] += 1.0
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(_bias(self.project))

    def forward(self, x: Tensor, at: Conditions) -> Tensor:
        """Return [B, width, H, W]."""
        # The log-step scales what enters: [width] -> [B, width, 1, 1].
        scale = self.scale[:, None, None] * torch.exp(self.scale_slope[:, None, None] * at.log_step)
        # [B, width, H, W] -> [B, 2 · hidden, H, W]
        hidden = self.expand(self.depthwise(x * scale.to(x.dtype)))

        # Log-step and tuning shift the gates.
        offset = self.expand_slope[:, None, None] * at.log_step
        offset = offset + self.tune_slope[:, None, None] * at.tune
        hidden = F.hardtanh(hidden + offset.to(x.dtype), -FACTOR_MAX, FACTOR_MAX)

        # [B, 2 · hidden, H, W] -> [B, hidden, H, W] -> [B, width, H, W]
        value, gate = hidden.chunk(2, 1)
        changed: Tensor = x + at.gain.to(x.dtype) * self.project(value * F.hardswish(gate))
        return changed


class Analysis(nn.Module):
    """Pixels to latents: {level: [B, channels, H / stride, W / stride]}."""

    def __init__(self, config: PictureConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths

        # A 2×2 kernel over 8×8 blocks sees 16×16 pixels, as a lapped transform does.
        self.front = nn.Conv2d(192, widths[3], 2)
        self.blocks = _blocks(widths, config.analysis_hidden, config.analysis_blocks)

        self.down = nn.ModuleList(
            nn.Conv2d(widths[n + 1], widths[n], 2, stride=2) for n in range(len(LEVELS) - 1)
        )
        self.to_latents = nn.ModuleList(
            nn.Conv2d(width, n, 1) for width, n in zip(widths, config.channels, strict=True)
        )

    def forward(self, pixels: Tensor, at: Conditions) -> dict[str, Tensor]:
        """Map pixels [B, 3, H, W] in units (H, W multiples of 64) to latents in units."""
        detail, features = self.fine(pixels, at)
        return self.coarse(features, at) | {"detail": detail}

    def fine(self, pixels: Tensor, at: Conditions) -> tuple[Tensor, Tensor]:
        """Return the latents of `detail`, and features [B, width, H / 16, W / 16] of the rest."""
        # [B, 3, H, W] -> [B, 192, H / 8 + 1, W / 8 + 1] -> [B, width, H / 8, W / 8]
        blocks = F.pixel_unshuffle(mirror(pixels), BLOCK)
        x = self.front(blocks.contiguous(memory_format=torch.channels_last))

        for block in blocks_of(self, FINEST):
            x = block(x, at)

        # [B, width, H / 8, W / 8] -> [B, channels, H / 8, W / 8], [B, next width, H / 16, W / 16]
        return self.to_latents[FINEST](x), self.down[FINEST - 1](x)

    def coarse(self, features: Tensor, at: Conditions) -> dict[str, Tensor]:
        """Return the latents of all levels but `detail`."""
        latents = {}

        # From fine to coarse; each level gives its latents and hands its features down.
        for number in reversed(range(FINEST)):
            latents[LEVELS[number]], features = self.level(number, features, at)
        return latents

    def level(self, number: int, features: Tensor, at: Conditions) -> tuple[Tensor, Tensor]:
        """Return the latents of a level, and the features of the next coarser one.

        Features are [B, width, H, W], then [B, next width, H / 2, W / 2]; after the coarsest level
        they are its own.
        """
        for block in blocks_of(self, number):
            features = block(features, at)
        latents = self.to_latents[number](features)
        return latents, self.down[number - 1](features) if number else features


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
        self.step_maps = nn.ModuleList(
            StepMap(widths[n], config.channels[n + 1]) for n in range(len(LEVELS) - 1)
        )

        self.back = nn.Conv2d(widths[3], 192, 2)
        self.register_buffer("row_signs", torch.ones(widths[3]))
        self.register_buffer("column_signs", torch.ones(widths[3]))

    def forward(self, source: Source, at: Conditions) -> Tensor:
        """Map latents to pixels [B, 3, H, W] in units (not clipped)."""
        return self.fine(self.coarse(source, at), source, at)

    def coarse(self, source: Source, at: Conditions) -> Tensor:
        """Map the latents of all levels but `detail` to features [B, width, H / 16, W / 16]."""
        x: Tensor | None = None
        for number in range(FINEST):
            x = self.level(number, x, source, at)
        assert x is not None
        return x

    def level(self, number: int, features: Tensor | None, source: Source, at: Conditions) -> Tensor:
        """Return the features of a level from those of the coarser one and its own latents."""
        # [B, channels, H, W] -> [B, width, H, W], plus the coarser features brought to this grid.
        own = source(LEVELS[number], self.step_factors(number, features, at))
        x: Tensor = self.from_latents[number](_channels_last(own))
        if features is not None:
            x = x + self._up(number - 1, features)
        for block in blocks_of(self, number):
            x = block(x, at)
        return x

    def step_factors(self, number: int, features: Tensor | None, at: Conditions) -> Tensor:
        """Return factors on the steps of a level, from the features of the coarser one."""
        if features is None:
            return torch.ones_like(at.gain)
        factors: Tensor = self.step_map(number)(features, at)
        return factors

    def step_map(self, number: int) -> StepMap:
        """Return the module for the factors on the steps of a level, by the level's number."""
        step_map = self.step_maps[number - 1]
        if not isinstance(step_map, StepMap):
            raise AssertionError("not a step map")
        return step_map

    def fine(self, features: Tensor, source: Source, at: Conditions) -> Tensor:
        """Map those features and the latents of `detail` to pixels [B, 3, H, W] in units."""
        x = self.level(FINEST, features, source, at)

        # Beyond the borders the picture continues mirrored, which flips the sign of odd
        # frequencies.
        rows = self.row_signs[:, None, None].to(x.dtype)
        columns = self.column_signs[:, None, None].to(x.dtype)
        x = torch.cat([x[:, :, :1] * rows, x, x[:, :, -1:] * rows], 2)
        x = torch.cat([x[..., :1] * columns, x, x[..., -1:] * columns], 3)
        x = x.contiguous(memory_format=torch.channels_last)

        # [B, width, H / 8 + 2, W / 8 + 2] -> [B, 3, H + 8, W + 8], 4 of them beyond each border
        return F.pixel_shuffle(self.back(x), BLOCK)[:, :, 4:-4, 4:-4]

    def _up(self, number: int, x: Tensor) -> Tensor:
        """Pass features on to the next grid: [B, width, H, W] -> [B, next width, 2 H, 2 W]."""
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

    def latents(self, pixels: Tensor, at: Conditions) -> dict[str, Tensor]:
        """Map pixels [B, 3, H, W] in units to latents in steps, before local factors on steps."""
        latents = self.analysis(pixels, at)
        return {level: y.float() / self.scale(level, at) for level, y in latents.items()}

    def synthesise(self, quantised: Mapping[str, Tensor], at: Conditions) -> Tensor:
        """Map quantised latents in steps to pixels [B, 3, H, W] in units, not clipped."""
        pixels: Tensor = self.synthesis(self.source(quantised, at), at)
        return pixels

    def source(self, quantised: Mapping[str, Tensor], at: Conditions) -> Source:
        """Return the function that gives the synthesis quantised latents in steps."""
        return lambda level, factor: quantised[level] * (self.scale(level, at) * factor)

    def code_latents(
        self, latents: Mapping[str, Tensor], at: Conditions, quantise: Quantise
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
        """Quantise latents level by level, as the factors on their steps become known.

        Args:
            latents: [B, C, H, W] by level, in steps, before the local factors on steps.
            at: the conditions of each file.
            quantise: rounds.

        Returns:
            The latents in their local steps, the same quantised, and the pixels in units.
        """
        placed: dict[str, Tensor] = {}
        quantised: dict[str, Tensor] = {}

        # The synthesis asks for a level when it has the factors that decoding will have there.
        def source(level: str, factor: Tensor) -> Tensor:
            placed[level] = latents[level] / factor
            quantised[level] = quantise(placed[level])
            return quantised[level] * (self.scale(level, at) * factor)

        pixels: Tensor = self.synthesis(source, at)
        return placed, quantised, pixels

    def at_step(
        self, latents: Mapping[str, Tensor], before: Setting, after: Setting
    ) -> dict[str, Tensor]:
        """Rescale latents to another step, as a stand-in for analysing again.

        Args:
            latents: [B, C, H, W] in steps, by level.
            before, after: the setting they were made for, and the new one.
        """
        old = self.conditions_at(before)
        new = self.conditions_at(after)
        with torch.no_grad():
            return {
                level: y * (self.scale(level, old) / self.scale(level, new)).to(y.device, y.dtype)
                for level, y in latents.items()
            }

    def conditions_at(self, setting: Setting) -> Conditions:
        """Return the conditions of one picture."""
        step, tune = torch.tensor([[setting.step], [setting.tune]], device=self.device)
        return self.conditions(step, tune)

    def conditions(self, step: Tensor, tune: Tensor) -> Conditions:
        """Return the conditions for steps [B] in 8-bit levels and tunings [B]."""
        # [B] -> [B, 1, 1, 1], to multiply features [B, C, H, W]
        log_steps = log_step(step, self.config)[:, None, None, None]
        gain = (step / PIXELS_PER_UNIT)[:, None, None, None]
        return Conditions(log_steps, gain, tune[:, None, None, None])

    def scale(self, level: str, at: Conditions) -> Tensor:
        """Return the step of each channel of a level in units, [B, C, 1, 1]."""
        # [2, C] -> twice [1, C, 1, 1]
        offset, slope = self.gains[level][:, None, :, None, None]
        return at.gain * torch.exp(offset + slope * at.log_step)


def multiply_accumulates_per_pixel(module: Analysis | Synthesis) -> float:
    """Count multiply–accumulates per pixel in all convolutions of a network."""
    total = 0.0
    for name, layer in module.named_modules():
        # Each weight is used once at each position of the layer's grid.
        if isinstance(layer, nn.Conv2d):
            total += layer.weight.numel() / _stride(name) ** 2

        # The mix is not a module of its own, and works on the finer grid.
        elif isinstance(layer, StepMap):
            total += layer.mix.numel() / (_stride(f"{name}.mix") // 2) ** 2
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
