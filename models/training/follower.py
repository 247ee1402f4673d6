"""Codebooks and static tables that follow moving latents by exponential averages.

As in VQ-VAE-2 (Razavi et al., 2019); dead words split busy ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from luxvox.models.rvq import N_RATE_BINS, ResidualVQ, rate_bin

FOLLOW_DECAY = 0.99
PRIOR_PLACES = 4000.0  # places that the codebooks at the start are worth
ALIVE_ABOVE = 0.02  # places a step, averaged, above which a word counts as alive


class CodebookFollower:
    """Keeps a level's codebooks at the means of what they code, and its tables at the counts.

    Args:
        vq: the level.
        restarted_stages: the first so many stages have their dead words restarted.
        may_restart: bool [groups], which groups have.
        restart_share: a word is dead that is chosen less often than this share of the mean.
    """

    def __init__(
        self,
        vq: ResidualVQ,
        restarted_stages: int,
        may_restart: Tensor,
        restart_share: float,
    ) -> None:
        self.vq = vq
        self.restarted_stages = restarted_stages
        self.may_restart = may_restart
        self.restart_share = restart_share
        self.usage = torch.exp2(-vq.bits) * PRIOR_PLACES  # [bins, stages, groups, K]
        self.counts = self.usage.mean(0)
        self.sums = vq.codebooks * self.counts[..., None]

    def memory(self) -> dict[str, Tensor]:
        """Return the tensors that change as codebooks follow."""
        return {
            "usage": self.usage,
            "counts": self.counts,
            "sums": self.sums,
            "codebooks": self.vq.codebooks,
            "bits": self.vq.bits,
        }

    @torch.no_grad()
    def learn(
        self, latents: Tensor, codes: Tensor, position: Tensor, generator: torch.Generator
    ) -> None:
        """Take in one batch: latents [B, C, H, W] in steps and their codes."""
        residual = self.vq.group(latents)
        flat = codes.permute(1, 2, 0, 3, 4).flatten(2).long()
        bins = rate_bin(position).repeat_interleave(latents.shape[2] * latents.shape[3])
        alive = torch.ones_like(flat[0], dtype=torch.bool)
        for stage in range(self.vq.n_stages):
            for group in torch.nonzero(alive.any(1))[:, 0].tolist():
                some = alive[group]
                vectors = residual[group, some]
                self._learn_group(stage, group, vectors, flat[stage, group, some])
                self._learn_usage(stage, group, flat[stage, group, some], bins[some])
                if stage < self.restarted_stages and self.may_restart[group]:
                    self._restart(stage, group, (vectors, flat[stage, group, some]), generator)
            index = flat[stage][..., None].expand(-1, -1, self.vq.width)
            residual = residual - self.vq.codebooks[stage].gather(1, index)
            alive &= flat[stage] != 0
        self._publish()

    def _learn_group(self, stage: int, group: int, vectors: Tensor, words: Tensor) -> None:
        size = self.vq.codebooks.shape[2]
        self.counts[stage, group] *= FOLLOW_DECAY
        self.sums[stage, group] *= FOLLOW_DECAY
        self.counts[stage, group] += torch.bincount(words, minlength=size)
        self.sums[stage, group].index_add_(0, words, vectors)

    def _learn_usage(self, stage: int, group: int, words: Tensor, bins: Tensor) -> None:
        size = self.vq.codebooks.shape[2]
        joint = torch.bincount(bins * size + words, minlength=N_RATE_BINS * size)
        joint = joint.reshape(N_RATE_BINS, size)
        decay = torch.where(joint.sum(1, keepdim=True) > 0, FOLLOW_DECAY, 1.0)
        self.usage[:, stage, group] *= decay
        self.usage[:, stage, group] += joint

    def _restart(
        self,
        stage: int,
        group: int,
        coded: tuple[Tensor, Tensor],
        generator: torch.Generator,
    ) -> None:
        """Put dead words beside busy ones, towards vectors [N, width] that those words [N] code.

        Not on the vectors themselves: the best of K words of N random numbers is only
        √(2 ln K / N) as long as the vectors it codes, and a longer one would not be chosen again.
        """
        vectors, words = coded
        counts, sums = self.counts[stage, group], self.sums[stage, group]
        typical = float(counts.mean())
        dead = counts < self.restart_share * typical
        dead[0] = False
        size = int((self.vq.slots[group] < self.vq.n_channels).sum())
        step = min(1.0, math.sqrt(2.0 * math.log(len(counts)) / size))
        for word in torch.nonzero(dead)[:, 0].tolist():
            pick = int(torch.randint(len(vectors), (1,), generator=generator))
            busy = int(words[pick])
            start = self.vq.codebooks[stage, group, busy]
            counts[busy] *= 0.5
            sums[busy] *= 0.5
            self.usage[:, stage, group, busy] *= 0.5
            self.usage[:, stage, group, word] = self.usage[:, stage, group, busy]
            counts[word] = max(float(counts[busy]), self.restart_share * typical)
            sums[word] = counts[word] * (start + step * (vectors[pick] - start))

    def _publish(self) -> None:
        books = self.sums / self.counts[..., None].clamp(min=1e-6)
        keep = self.counts < 1e-3
        books[keep] = self.vq.codebooks[keep]
        books[:, :, 0] = 0.0
        self.vq.codebooks.copy_(books)
        usage = self.usage + 0.05
        self.vq.bits.copy_(-torch.log2(usage / usage.sum(-1, keepdim=True)))

    def alive_share(self) -> float:
        """Return the share of first-stage words that were used lately."""
        return float((self.counts[0] > ALIVE_ABOVE).float().mean())
