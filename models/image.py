"""Analysis and synthesis networks for pictures.

Pixels become latents on three grids, of strides 32, 16 and 8 (`top`, `base`, `detail`).  Before
any training both networks are exact linear maps: an orthonormal opponent-colour transform, the
8×8 DCT, and Haar steps on the lowest coefficients, so that the untrained codec is a DCT codec.
Residual blocks are added to that skeleton; their last matrix starts at zero.

The unit of all signals in here is 1/32 of the pixel range's 255 levels ("unit" = 8 levels).
The gated block follows NAFNet (Chen et al., 2022) and the shallow synthesis of Yang and Mandt
(2023) in spirit: depthwise 3×3, two 1×1 matrices, a product as the only non-linearity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.dct import N_HAAR_BASE, N_HAAR_TOP, haar_forward, haar_inverse
from luxvox.models.rvq import RATE_WEIGHT, ResidualVQ

LEVELS = ("top", "base", "detail")
STRIDES = {"top": 32, "base": 16, "detail": 8}
PIXELS_PER_UNIT = 8.0


@dataclass(frozen=True)
class ImageConfig:
    """Shape of the picture networks; everything needed to build them.

    The groups are sizes in channels, in order, one tuple a level; each at most 8.
    """

    coarsest_step: float = 160.0
    finest_step: float = 10.0
    width_8: int = 192
    width_16: int = 256
    analysis_blocks_8: int = 1
    analysis_blocks_16: int = 2
    analysis_hidden_8: int = 128
    synthesis_blocks_8: int = 3
    synthesis_blocks_16: int = 3
    codebook_size: int = 256
    n_stages: int = 3
    top_groups: tuple[int, ...] = (1,) * 32
    base_groups: tuple[int, ...] = (1,) * 24 + (2,) * 16 + (4,) * 16
    detail_groups: tuple[int, ...] = (4,) * 4 + (8,) * 6

    def groups(self, level: str) -> tuple[int, ...]:
        """Return the group sizes of a level (`top`, `base` or `detail`)."""
        return {"top": self.top_groups, "base": self.base_groups, "detail": self.detail_groups}[
            level
        ]

    def channels(self, level: str) -> int:
        """Return the number of latent channels of a level."""
        return sum(self.groups(level))


def quality_to_step(quality: float, config: ImageConfig) -> float:
    """Return the quantiser step in 8-bit levels for a quality of 1 (coarse) to 100 (fine)."""
    ratio = config.finest_step / config.coarsest_step
    return config.coarsest_step * float(ratio ** ((quality - 1.0) / 99.0))


def step_to_position(step: Tensor, config: ImageConfig) -> Tensor:
    """Map steps in 8-bit levels [B] to −1 (finest) … 1 (coarsest), linear in log-step."""
    span = math.log(config.coarsest_step / config.finest_step)
    return 2.0 * torch.log(step / config.finest_step) / span - 1.0


class Block(nn.Module):
    """Residual block `x + Δ · W2 gate(W1 depthwise(x))`, modulated by the log-step.

    Args:
        width: channels of the features [B, width, H, W].
        hidden: width of each of the two gated halves.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.scale_slope = nn.Parameter(torch.zeros(width))
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.expand = nn.Conv2d(width, 2 * hidden, 1)
        self.expand_slope = nn.Parameter(torch.zeros(2 * hidden))
        self.project = nn.Conv2d(hidden, width, 1)
        with torch.no_grad():
            self.depthwise.weight.mul_(0.3)
            self.depthwise.weight[:, :, 1, 1] += 1.0
        nn.init.zeros_(self.project.weight)
        if self.project.bias is not None:
            nn.init.zeros_(self.project.bias)

    def forward(self, x: Tensor, position: Tensor, gain: Tensor) -> Tensor:
        """Return [B, width, H, W]; `position` and `gain` are [B, 1, 1, 1]."""
        scale = self.scale[:, None, None] * torch.exp(self.scale_slope[:, None, None] * position)
        hidden = self.expand(self.depthwise(x * scale))
        hidden = hidden + self.expand_slope[:, None, None] * position
        value, gate = hidden.chunk(2, dim=1)
        changed: Tensor = x + gain * self.project(value * F.hardswish(gate))
        return changed


class Analysis(nn.Module):
    """Pixels to latents: {level: [B, channels, H / stride, W / stride]}."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        w8, w16 = config.width_8, config.width_16
        self.front = nn.Conv2d(192, w8, 1)
        self.blocks_8 = nn.ModuleList(
            Block(w8, config.analysis_hidden_8) for _ in range(config.analysis_blocks_8)
        )
        self.to_detail = nn.Conv2d(w8, config.channels("detail"), 1)
        self.down = nn.Conv2d(w8, w16, 2, stride=2)
        self.blocks_16 = nn.ModuleList(Block(w16, w16) for _ in range(config.analysis_blocks_16))
        self.to_base = nn.Conv2d(w16, N_HAAR_TOP + config.channels("base"), 1)
        self.to_top = nn.Conv2d(4 * N_HAAR_TOP, config.channels("top"), 1)

    def forward(self, pixels: Tensor, position: Tensor, gain: Tensor) -> dict[str, Tensor]:
        """Map pixels [B, 3, H, W] in units (H, W multiples of 32) to latents in units."""
        x = self.front(F.pixel_unshuffle(pixels, 8).contiguous(memory_format=torch.channels_last))
        for block in self.blocks_8:
            x = block(x, position, gain)
        detail = self.to_detail(x)
        x = self.down(x)
        for block in self.blocks_16:
            x = block(x, position, gain)
        merged = self.to_base(x)
        top = self.to_top(haar_forward(merged[:, :N_HAAR_TOP]))
        return {"top": top, "base": merged[:, N_HAAR_TOP:], "detail": detail}


class GradientFeatures(nn.Module):
    """Differences of the lowest coefficients between neighbours, for blocks to smooth by.

    Smooth areas are coded by little more than their mean; that the mean goes on rising across
    the border of a cell is seen in small differences of large numbers, which this layer brings
    out: a 3×3 filter, in steps, squashed to −1 … 1.
    """

    SOFTNESS = 4.0

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        kernels = 0.1 * torch.randn(n_outputs, n_inputs, 3, 3, generator=generator)
        kernels = kernels - kernels.mean(dim=(2, 3), keepdim=True)
        slope, bend = torch.tensor([-0.5, 0.0, 0.5]), torch.tensor([0.5, -1.0, 0.5])
        for channel in range(n_inputs):
            for row, axis in enumerate((slope, bend)):
                kernels[4 * channel + 2 * row : 4 * channel + 2 * row + 2] = 0.0
                kernels[4 * channel + 2 * row, channel, 1] = axis
                kernels[4 * channel + 2 * row + 1, channel, :, 1] = axis
        self.weight = nn.Parameter(kernels)

    def forward(self, x: Tensor, gain: Tensor) -> Tensor:
        """Map [B, n_inputs, H, W] in units to [B, n_outputs, H, W]."""
        padded = F.pad(x / (self.SOFTNESS * gain), (1, 1, 1, 1), mode="replicate")
        return F.softsign(F.conv2d(padded, self.weight))


class Synthesis(nn.Module):
    """Latents to pixels, the mirror of `Analysis`."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        w8, w16 = config.width_8, config.width_16
        self.from_top = nn.Conv2d(config.channels("top"), 4 * N_HAAR_TOP, 1)
        n_base = N_HAAR_TOP + config.channels("base")
        self.from_base = nn.Conv2d(n_base, w16, 1)
        self.gradients = GradientFeatures(N_HAAR_TOP, w16 - n_base)
        self.blocks_16 = nn.ModuleList(Block(w16, w16) for _ in range(config.synthesis_blocks_16))
        self.up = nn.Conv2d(w16, 4 * w8, 1)
        self.from_detail = nn.Conv2d(config.channels("detail"), w8, 1)
        self.blocks_8 = nn.ModuleList(Block(w8, w8) for _ in range(config.synthesis_blocks_8))
        self.back = nn.Conv2d(w8, 192, 1)

    def forward(self, latents: dict[str, Tensor], position: Tensor, gain: Tensor) -> Tensor:
        """Map latents in units to pixels [B, 3, H, W] in units (not clipped)."""
        lowest = haar_inverse(self.from_top(latents["top"]))
        merged = torch.cat([lowest, latents["base"]], 1)
        x = self.from_base(merged.contiguous(memory_format=torch.channels_last))
        x = x + F.pad(self.gradients(lowest, gain), (0, 0, 0, 0, merged.shape[1], 0))
        for block in self.blocks_16:
            x = block(x, position, gain)
        detail = latents["detail"].contiguous(memory_format=torch.channels_last)
        x = F.pixel_shuffle(self.up(x), 2) + self.from_detail(detail)
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks_8:
            x = block(x, position, gain)
        return F.pixel_shuffle(self.back(x), 8)


class PictureModel(nn.Module):
    """All float parts of the picture codec: networks, codebooks, gains of the latents.

    Attributes:
        order_16, order_32: which Haar coefficient each channel of the untrained skeleton is
            (`ChannelStatistics`); the context model undoes the Haar steps with them.
    """

    order_16: Tensor
    order_32: Tensor

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.config = config
        self.analysis = Analysis(config)
        self.synthesis = Synthesis(config)
        self.vq = nn.ModuleDict(
            {
                level: ResidualVQ(config.groups(level), config.n_stages, config.codebook_size)
                for level in LEVELS
            }
        )
        self.register_buffer("order_16", torch.zeros(4 * N_HAAR_BASE, dtype=torch.int64))
        self.register_buffer("order_32", torch.zeros(4 * N_HAAR_TOP, dtype=torch.int64))
        self.gains = nn.ParameterDict(
            {level: nn.Parameter(torch.zeros(2, config.channels(level))) for level in LEVELS}
        )

    def quantiser(self, level: str) -> ResidualVQ:
        """Return the residual VQ of a level."""
        module = self.vq[level]
        if not isinstance(module, ResidualVQ):
            raise AssertionError("not a residual VQ")
        return module

    def latents(self, pixels: Tensor, step: Tensor) -> dict[str, Tensor]:
        """Map pixels [B, 3, H, W] in units and steps [B] in 8-bit levels to latents in steps."""
        position, gain = self._conditions(step)
        latents = self.analysis(pixels, position, gain)
        return {level: y / self._scale(level, position, gain) for level, y in latents.items()}

    def choose(
        self, latents: dict[str, Tensor], step: Tensor, rate_weight: float = RATE_WEIGHT
    ) -> dict[str, Tensor]:
        """Choose codes by static rates: {level: uint8 [B, stages, groups, H, W]}."""
        position = step_to_position(step, self.config)
        return {
            level: self.quantiser(level).encode(y, position, rate_weight)
            for level, y in latents.items()
        }

    def synthesise(self, quantised: dict[str, Tensor], step: Tensor) -> Tensor:
        """Map quantised latents in steps to pixels [B, 3, H, W] in units, not clipped."""
        position, gain = self._conditions(step)
        scaled = {level: y * self._scale(level, position, gain) for level, y in quantised.items()}
        pixels: Tensor = self.synthesis(scaled, position, gain)
        return pixels

    def at_step(self, latents: dict[str, Tensor], before: float, after: float) -> dict[str, Tensor]:
        """Return latents in steps of another size: those of a step nearby, but for its analysis.

        Args:
            latents: [B, C, H, W] in steps, by level.
            before, after: step they are in, and step they shall be in, in 8-bit levels.
        """
        device = self.order_16.device
        old, new = (self._conditions(torch.tensor([s], device=device)) for s in (before, after))
        with torch.no_grad():
            return {
                level: y * (self._scale(level, *old) / self._scale(level, *new)).to(y.device)
                for level, y in latents.items()
            }

    def _conditions(self, step: Tensor) -> tuple[Tensor, Tensor]:
        position = step_to_position(step, self.config)[:, None, None, None]
        return position, (step / PIXELS_PER_UNIT)[:, None, None, None]

    def _scale(self, level: str, position: Tensor, gain: Tensor) -> Tensor:
        offset, slope = self.gains[level][:, None, :, None, None]
        return gain * torch.exp(offset + slope * position)


def multiply_accumulates_per_pixel(module: Analysis | Synthesis) -> float:
    """Count multiply–accumulates a pixel of all convolutions of a network."""
    total = 0.0
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | GradientFeatures):
            total += layer.weight.numel() / _area(name)
    return total


def _area(name: str) -> int:
    if "top" in name:
        return 32 * 32
    at_16 = ("blocks_16", "base", "up", "down", "gradients")
    return 16 * 16 if any(part in name for part in at_16) else 8 * 8
