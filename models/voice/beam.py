"""A search over stages of a residual VQ that keeps several sequences of codewords.

The greedy choice takes the best codeword of each stage; a beam keeps the `width` best sequences
from stage to stage (as in Vali and Bäckström, 2023), and in the end takes the one with the smallest
residual.
"""

from __future__ import annotations

import torch
from torch import Tensor

from luxvox.models.voice.rvq import ResidualVQ

_FRAMES_AT_ONCE = 1 << 8


@torch.no_grad()
def beam_codes(
    vq: ResidualVQ, latents: Tensor, depths: Tensor, width: int, costs_of_bits: Tensor
) -> Tensor:
    """Choose the codes of vectors, each to its own depth.

    Args:
        vq: residual VQ of one group.
        latents: [F, width of the VQ] in steps.
        depths: how many stages each may have, int64 [F].
        width: sequences kept, at least 1.
        costs_of_bits: the cost of each codeword's bits, in squared steps [stages, K].

    Returns:
        Codes int64 [stages, F]; null where a position has ended.
    """
    # A few frames at a time, since the costs of all beams and codewords take much memory.
    latent_parts = torch.split(latents, _FRAMES_AT_ONCE)
    depth_parts = torch.split(depths, _FRAMES_AT_ONCE)
    parts = [
        _codes(vq, frames, depth, width, costs_of_bits)
        for frames, depth in zip(latent_parts, depth_parts, strict=True)
    ]
    return torch.cat(parts, 1)


def _codes(
    vq: ResidualVQ, latents: Tensor, depths: Tensor, width: int, costs_of_bits: Tensor
) -> Tensor:
    """Return codes [stages, n] of latents [n, width of the VQ], as `beam_codes`."""
    n = len(latents)
    residual = latents[:, None]  # [n, beams, width of the VQ]
    cost = latents.new_zeros(n, 1)  # of the bits so far
    ended = torch.zeros(n, 1, dtype=torch.bool)
    codes = torch.zeros(0, n, 1, dtype=torch.int64)
    for stage in range(vq.n_stages):
        is_open = ~ended & (depths[:, None] > stage)
        if not is_open.any():
            break

        # ‖r − c‖² plus the cost of all bits so far, by beam and codeword [n, beams, K].
        book = vq.codebooks[stage, 0]
        squares = residual.square().sum(-1, keepdim=True)  # [n, beams, 1]
        distortion = squares - 2.0 * residual @ book.T + book.square().sum(-1)
        total = distortion + cost[..., None] + costs_of_bits[stage]

        # Beams that have ended can only continue with null.
        if_ended = torch.full_like(total, torch.inf)
        if_ended[..., 0] = residual.square().sum(-1) + cost
        total = torch.where(is_open[..., None], total, if_ended)

        # [n, beams, K] -> [n, beams · K] -> the best pairs of beam and codeword [n, kept].
        n_kept = min(width, total.shape[1] * total.shape[2])
        kept = total.flatten(1).topk(n_kept, largest=False)
        beam = kept.indices // len(book)
        codeword = kept.indices % len(book)

        # Kept pairs continue from their beam's residual: [n, beams, width] -> [n, kept, width].
        before = residual.gather(1, beam[..., None].expand(-1, -1, residual.shape[2]))
        residual = before - book[codeword]

        # And from its cost, and whether it has ended; impossible pairs never win.
        added = costs_of_bits[stage][codeword] * is_open.gather(1, beam)
        cost = (cost.gather(1, beam) + added).where(kept.values.isfinite(), torch.inf)
        ended = ended.gather(1, beam) | (codeword == 0)

        # [stages, n, beams] -> [stages + 1, n, kept]
        earlier = codes.gather(2, beam.expand(len(codes), -1, -1))
        codes = torch.cat([earlier, codeword[None]])

    # [n, beams] -> [n]; stages after the last one that any frame reached are null.
    best = (residual.square().sum(-1) + cost).argmin(1)
    chosen = codes[:, torch.arange(n), best]
    missing = chosen.new_zeros(vq.n_stages - len(chosen), n)
    return torch.cat([chosen, missing])
