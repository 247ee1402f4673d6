"""The wide networks of voices: paths that correct the output of narrower ones, and start at zero.

Inside, frames come before channels, [B, F, C].  Blocks are those of ConvNeXt (Liu et al., 2022)
with ReLU, and with dilated convolutions in time, so that a few of them see a second of context. A
path whose last matrix is zero changes nothing, so weights without wide paths can get them without
any change of the output, and continue learning from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

KERNEL = 7
MAX_LOG_GAIN = 2.0


class DilatedBlock(nn.Module):
    """Residual block on [B, F, width]: dilated depthwise convolution, layer norm, two matrices."""

    def __init__(self, width: int, expansion: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.taps = nn.Parameter(torch.empty(KERNEL, width))
        nn.init.uniform_(self.taps, -(KERNEL**-0.5), KERNEL**-0.5)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, expansion * width)
        self.project = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, F, width]."""
        y = self.norm(depthwise(x, self.taps, self.dilation))
        y = self.project(F.relu(self.expand(y)))
        changed: Tensor = x + y * self.scale.to(y.dtype)
        return changed


def depthwise(x: Tensor, taps: Tensor, dilation: int) -> Tensor:
    """Convolve each channel of [B, F, C] with its own taps [taps, C], zeros outside.

    Sums are in the precision of the taps: in bfloat16 they would take twice as long.
    """
    convolved: Tensor = _Depthwise.apply(x, taps, dilation)  # type: ignore[no-untyped-call]
    return convolved


class _Depthwise(torch.autograd.Function):
    """Sum shifted frames, several times faster than a grouped convolution of so few frames."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, dilation: int) -> Tensor:
        learns = ctx.needs_input_grad[1]  # False for corrections, which do not change the networks
        ctx.save_for_backward(x if learns else None, taps)
        ctx.dilation, ctx.kind = dilation, x.dtype
        return _sum_shifted(_pad_ends(x, taps, dilation), taps, dilation, x.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, taps = ctx.saved_tensors
        n_frames = gradient.shape[1]
        back = _pad_ends(gradient, taps, ctx.dilation)
        of_inputs = _sum_shifted(back, taps.flip(0), ctx.dilation, n_frames).to(ctx.kind)
        if x is None:
            return of_inputs, None, None
        padded = _pad_ends(x, taps, ctx.dilation)
        of_taps = torch.stack(
            [
                (padded[:, n * ctx.dilation :][:, :n_frames] * gradient).sum((0, 1))
                for n in range(len(taps))
            ]
        )
        return of_inputs, of_taps, None


def _pad_ends(x: Tensor, taps: Tensor, dilation: int) -> Tensor:
    """Return [B, F, C] in the precision of the taps, with the zeros that they reach."""
    reach = len(taps) // 2 * dilation
    return F.pad(x.to(torch.promote_types(x.dtype, taps.dtype)), (0, 0, reach, reach))


def _sum_shifted(padded: Tensor, taps: Tensor, dilation: int, n_frames: int) -> Tensor:
    total = padded[:, :n_frames] * taps[0]
    for n in range(1, len(taps)):
        total.addcmul_(padded[:, n * dilation :][:, :n_frames], taps[n])
    return total


class WidePath(nn.Module):
    """Corrections [B, F, outputs] from frames and features of another path; they start at zero."""

    def __init__(
        self, n_inputs: int, n_outputs: int, width: int, expansion: int, dilations: Sequence[int]
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(n_inputs, width)
        self.blocks = nn.ModuleList(DilatedBlock(width, expansion, d) for d in dilations)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.leave = nn.Linear(width, n_outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, *inputs: Tensor, bfloat16: bool = False) -> tuple[Tensor, Tensor]:
        """Return the corrections, and the features [B, F, width] of the last layer.

        Args:
            inputs: [B, F, …], n_inputs channels in all.
            bfloat16: whether to compute in bfloat16.
        """
        device, exact = inputs[0].device.type, inputs[0].dtype
        with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
            kind = torch.bfloat16 if bfloat16 else exact
            x = self.enter(torch.cat([part.to(kind) for part in inputs], 2))
            for block in self.blocks:
                x = block(x)
            features = self.norm(x)
            return self.leave(features).to(exact), features

    @property
    def reach(self) -> int:
        """Frames on each side that a correction depends on."""
        return sum(KERNEL // 2 * block.dilation for block in self.blocks)  # type: ignore[operator, misc]


def correct_spectra(spectra: Tensor, corrections: Tensor) -> Tensor:
    """Apply gains and add complex numbers.

    Args:
        spectra: [B, F, 2 · bins], real parts, then imaginary parts.
        corrections: [B, F, 3 · bins], logarithms of gains, then the numbers to add.
    """
    n_bins = spectra.shape[2] // 2
    log_gain = MAX_LOG_GAIN * torch.tanh(corrections[:, :, :n_bins] / MAX_LOG_GAIN)
    gain = torch.exp(log_gain).repeat(1, 1, 2)
    corrected: Tensor = torch.addcmul(corrections[:, :, n_bins:], spectra, gain)
    return corrected
