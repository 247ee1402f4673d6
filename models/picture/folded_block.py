"""Residual blocks folded for one step and tuning, as both networks run outside training.

`Block` is what training differentiates. Here its modulation by the step is folded into the weights,
and its products run in bfloat16 where the processor has units for that; the features that blocks
add to stay in float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.models.picture.conditions import Conditions
from luxvox.models.picture.networks import FACTOR_MAX, Block
from luxvox.models.picture.windows import Window, windows
from luxvox.models.processor import has_bfloat16


class FoldedBlock:
    """A block at one setting: its scale lies in its first kernels, its gain in the last ones."""

    def __init__(self, block: Block, at: Conditions) -> None:
        on_cpu = block.scale.device.type == "cpu"
        self.kind = torch.bfloat16 if on_cpu and has_bfloat16() else torch.float32
        log_step, gain = at.log_step.flatten(), at.gain
        scale = block.scale * torch.exp(block.scale_slope * log_step)
        expand, project = block.expand, block.project
        assert expand.bias is not None and project.bias is not None
        assert block.depthwise.bias is not None
        bias = expand.bias + block.expand_slope * log_step
        bias = bias + block.tune_slope * at.tune.flatten()
        values, gates = expand.weight.chunk(2), bias.chunk(2)
        first = block.depthwise.weight * scale[:, None, None, None]
        layers = (
            (first, block.depthwise.bias),
            (values[0], gates[0]),
            (values[1], gates[1]),
            (project.weight * gain, project.bias * gain.flatten()),
        )
        self._layers = [
            (
                weight.to(self.kind).contiguous(memory_format=torch.channels_last),
                offset.to(self.kind),
            )
            for weight, offset in layers
        ]

    def add(self, window: Window) -> Tensor:
        """Return a chunk of features as changed by the block; it is not used afterwards."""
        first, value, gate, last = self._layers
        rows = window.rows.to(self.kind)
        hidden = window.inner(F.conv2d(rows, *first, padding=1, groups=rows.shape[1]))
        product = F.conv2d(hidden, *value).clamp_(-FACTOR_MAX, FACTOR_MAX)
        # Hard swish with its upper end cut off.
        product *= F.hardswish(F.conv2d(hidden, *gate), inplace=True).clamp_(max=FACTOR_MAX)
        return window.chunk.add_(F.conv2d(product, *last))

    def add_to_chunks(self, chunks: Iterator[Tensor]) -> Iterator[Tensor]:
        """Return all chunks of some features as changed by the block."""
        return map(self.add, windows(chunks, self.kind))
