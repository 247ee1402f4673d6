"""Factors on the steps of latents, which a small network reads off the coarser level."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.models.picture.conditions import Conditions

N_PROBES, N_MAPS = 24, 4  # of steps, per level
MAX_LOG_FACTOR = 1.5  # of a step, either way


class StepMap(nn.Module):
    """Factors on the steps of a level by position and channel, from the coarser level.

    Where that is flat the eye needs finer steps. Both sides know it, so the factors take no bits.

    Args:
        width: features of the coarser level.
        n_channels: of the level itself.
    """

    def __init__(self, width: int, n_channels: int) -> None:
        super().__init__()
        self.probe = nn.Conv2d(width, N_PROBES, 1)
        self.maps = nn.Conv2d(N_PROBES, 4 * N_MAPS, 1)
        self.mix = nn.Parameter(torch.ones(n_channels, N_MAPS, 1, 1))

        # All factors start at 1; the maps differ in sign so that they learn different things.
        for layer in (self.probe, self.maps):
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.maps.weight)
        # On the meta device, `torch.sign` and `torch.randn` would import a compiler: 2.5 s.
        with torch.no_grad():
            self.mix[:, 1:].bernoulli_().mul_(0.6).sub_(0.3)

    def forward(self, features: Tensor, at: Conditions) -> Tensor:
        """Map features [B, width, H, W] to factors [B, n_channels, 2 H, 2 W]; 1 at tune 0."""
        return self.factors(self.look(features, at), at)

    def look(self, features: Tensor, at: Conditions) -> Tensor:
        """Map features [B, width, H, W] to all that factors depend on, [B, 4, 2 H, 2 W]."""
        # [B, width, H, W] -> [B, 24, H, W]: energies of the features, averaged over 3×3.
        probed = self.probe(features / at.gain.to(features.dtype)).float()
        energy = F.avg_pool2d(probed.square(), 3, 1, 1, count_include_pad=False)

        # [B, 24, H, W] -> [B, 16, H, W] -> [B, 4, 2 H, 2 W]
        return F.pixel_shuffle(self.maps(torch.log1p(energy)), 2)

    def factors(self, maps: Tensor, at: Conditions) -> Tensor:
        """Map what `look` returns, or rows of it, to factors [B, n_channels, 2 H, 2 W]."""
        logarithm = F.conv2d(maps, self.mix).float()

        # A factor lies between exp(−1.5) and exp(1.5); at tune 0 all of them are 1.
        logarithm = F.hardtanh(logarithm, -MAX_LOG_FACTOR, MAX_LOG_FACTOR)
        return torch.exp(at.tune * logarithm)
