"""Codebooks and static tables that follow moving latents by exponential averages.

As in VQ-VAE-2 (Razavi et al., 2019); dead codewords split busy ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from luxvox.models.voice.rvq import N_RATE_BINS, ResidualVQ, rate_bin

FOLLOW_DECAY = 0.99
PRIOR_COUNT = 4000.0  # number of positions that the initial codebooks count as
MIN_COUNT = 1e-3
ALIVE_ABOVE = 0.02  # average positions per step above which a codeword counts as alive


def first_late_stage(n_stages: int) -> int:
    """Return the stage from which a frame counts by the inverse of its length.

    Otherwise late stages fit only the loudest frames (docs/decisions/026).
    """
    return n_stages * 3 // 7


class CodebookFollower:
    """Keeps codebooks of one group at the means of their vectors, and static tables at the counts.

    Args:
        vq: residual VQ of one group.
        restart_share: a codeword chosen less often than this share of the mean is dead.
        even_from: from this stage on, a vector counts by the inverse of its length; otherwise late
            stages fit only the loudest frames (docs/decisions/026).
    """

    def __init__(self, vq: ResidualVQ, restart_share: float, even_from: int) -> None:
        self.vq = vq
        self.restart_share = restart_share
        self.even_from = even_from

        # Codewords start with counts, as if already chosen; otherwise the first batch would move
        # them far.
        self.usage = torch.exp2(-vq.bits) * PRIOR_COUNT  # [bins, stages, groups, K]
        self.counts = self.usage.mean(0)  # [stages, groups, K]
        self.sums = vq.codebooks * self.counts[..., None]  # [stages, groups, K, width]

    def memory(self) -> dict[str, Tensor]:
        """Return the tensors that `learn` changes."""
        return {
            "usage": self.usage,
            "counts": self.counts,
            "sums": self.sums,
            "codebooks": self.vq.codebooks,
            "bits": self.vq.bits,
        }

    @torch.no_grad()
    def learn(
        self, latents: Tensor, codes: Tensor, log_step: Tensor, generator: torch.Generator
    ) -> None:
        """Learn from a batch: latents [B, C, 1, F] in steps and their codes."""
        # [B, C, 1, F] -> [1, B · F, C] -> [N, C]
        residual = self.vq.group(latents)[0].contiguous()
        # [B, stages, 1, 1, F] -> [B, stages, 1, F] -> [stages, N]
        codewords = codes[:, :, 0].permute(1, 0, 2, 3).flatten(1).long()
        # [B] -> [N]
        bins = rate_bin(log_step).repeat_interleave(latents.shape[2] * latents.shape[3])

        for stage in range(self.vq.n_stages):
            if not len(residual):
                break
            chosen = codewords[stage]
            error = residual - self.vq.codebooks[stage, 0].index_select(0, chosen)

            # Errors are taken before codewords move, since the batch was coded with the old ones.
            self._learn_means(stage, residual, chosen)
            self._learn_usage(stage, chosen, bins)
            restarted = self._restart(stage, residual, chosen, generator)
            self._publish(stage, torch.cat([chosen, restarted]))

            # A null ends its frame, so later stages learn only from the others.
            alive = torch.nonzero(chosen)[:, 0]
            residual = error[alive]
            codewords = codewords[:, alive]
            bins = bins[alive]

        # A codeword that was never chosen still has a finite cost.
        usage = self.usage + 0.05
        self.vq.bits.copy_(-torch.log2(usage / usage.sum(-1, keepdim=True)))

    def _learn_means(self, stage: int, vectors: Tensor, codewords: Tensor) -> None:
        """Move the means of codewords [N] towards the vectors [N, C] that they code."""
        size = self.vq.codebooks.shape[2]
        counts = self.counts[stage, 0]
        sums = self.sums[stage, 0]
        counts *= FOLLOW_DECAY
        sums *= FOLLOW_DECAY

        # [N] -> [K], [N, C] -> [K, C]
        if stage < self.even_from:
            counts += torch.bincount(codewords, minlength=size)
            sums.index_add_(0, codewords, vectors)
            return

        # The weights average 1, so counts remain numbers of vectors.
        weights = (vectors.square().sum(1) + 1.0).rsqrt()
        weights /= weights.mean()
        counts += torch.bincount(codewords, weights, minlength=size)
        sums.index_add_(0, codewords, vectors * weights[:, None])

    def _learn_usage(self, stage: int, codewords: Tensor, bins: Tensor) -> None:
        """Follow how often codewords [N] are chosen in the ranges of the log-step [N]."""
        # [N] -> [bins · K] -> [bins, K]
        size = self.vq.codebooks.shape[2]
        joint = torch.bincount(bins * size + codewords, minlength=N_RATE_BINS * size)
        joint = joint.reshape(N_RATE_BINS, size)

        # Ranges that do not occur in this batch keep their counts.
        decay = torch.where(joint.sum(1, keepdim=True) > 0, FOLLOW_DECAY, 1.0)
        self.usage[:, stage, 0] *= decay
        self.usage[:, stage, 0] += joint

    def _restart(
        self, stage: int, vectors: Tensor, codewords: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Move dead codewords next to busy ones [N], towards vectors [N, C] that these code.

        They do not land on the vectors themselves: the best of K codewords of N random numbers is
        only √(2 ln K / N) as long as the vectors it codes, and a longer one would not be chosen.

        Returns the codewords that were dead.
        """
        counts = self.counts[stage, 0]
        sums = self.sums[stage, 0]

        # Null never restarts, however seldom it is chosen.
        typical = float(counts.mean())
        dead = counts < self.restart_share * typical
        dead[0] = False
        numbers = torch.nonzero(dead)[:, 0]

        step = min(1.0, math.sqrt(2.0 * math.log(len(counts)) / self.vq.n_channels))
        for codeword in numbers.tolist():
            # A vector drawn at random is most often coded by a busy codeword.
            pick = int(torch.randint(len(vectors), (1,), generator=generator))
            busy = int(codewords[pick])
            start = self.vq.codebooks[stage, 0, busy]

            # Both share the counts of the busy one.
            counts[busy] *= 0.5
            sums[busy] *= 0.5
            self.usage[:, stage, 0, busy] *= 0.5
            self.usage[:, stage, 0, codeword] = self.usage[:, stage, 0, busy]

            # The restarted one gets that half, or just enough to be alive.
            counts[codeword] = max(float(counts[busy]), self.restart_share * typical)
            sums[codeword] = counts[codeword] * (start + step * (vectors[pick] - start))
        return numbers

    def _publish(self, stage: int, codewords: Tensor) -> None:
        """Set these codewords to their means; no other means have changed."""
        # Null stays zero; too small counts give no mean.
        moved = torch.unique(codewords)
        moved = moved[(moved > 0) & (self.counts[stage, 0, moved] >= MIN_COUNT)]
        means = self.sums[stage, 0, moved] / self.counts[stage, 0, moved, None]
        self.vq.codebooks[stage, 0, moved] = means

    def alive_share(self) -> float:
        """Return the share of first-stage codewords that were used lately."""
        return float((self.counts[0] > ALIVE_ABOVE).float().mean())
