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
        costs_of_bits: what each codeword's bits are worth, in squared steps [stages, K].

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
    rest = latents[:, None]  # [n, beams, width of the VQ]
    spent = latents.new_zeros(n, 1)  # what the bits so far are worth
    ended = torch.zeros(n, 1, dtype=torch.bool)
    codes = torch.zeros(0, n, 1, dtype=torch.int64)
    for stage in range(vq.n_stages):
        open_ = ~ended & (depths[:, None] > stage)
        if not open_.any():
            break

        # ‖r − c‖² plus what all bits so far are worth, by beam and codeword [n, beams, K].
        book = vq.codebooks[stage, 0]
        lengths = rest.square().sum(-1, keepdim=True)  # [n, beams, 1]
        left = lengths - 2.0 * rest @ book.T + book.square().sum(-1)
        total = left + spent[..., None] + costs_of_bits[stage]

        # Beams that have ended stay as they are: null.
        stays = torch.full_like(total, torch.inf)
        stays[..., 0] = rest.square().sum(-1) + spent
        total = torch.where(open_[..., None], total, stays)

        # [n, beams, K] -> [n, beams · K] -> the best pairs of beam and codeword [n, kept].
        n_kept = min(width, total.shape[1] * total.shape[2])
        kept = total.flatten(1).topk(n_kept, largest=False)
        beam = kept.indices // len(book)
        codeword = kept.indices % len(book)

        # Each kept pair takes over what its beam had left: [n, beams, width] -> [n, kept, width].
        before = rest.gather(1, beam[..., None].expand(-1, -1, rest.shape[2]))
        rest = before - book[codeword]

        # And what it had spent, and whether it had ended; impossible pairs never win.
        paid = costs_of_bits[stage][codeword] * open_.gather(1, beam)
        spent = (spent.gather(1, beam) + paid).where(kept.values.isfinite(), torch.inf)
        ended = ended.gather(1, beam) | (codeword == 0)

        # [stages, n, beams] -> [stages + 1, n, kept]
        known = codes.gather(2, beam.expand(len(codes), -1, -1))
        codes = torch.cat([known, codeword[None]])

    # [n, beams] -> [n]; stages after the last one that any frame reached are null.
    best = (rest.square().sum(-1) + spent).argmin(1)
    chosen = codes[:, torch.arange(n), best]
    missing = chosen.new_zeros(vq.n_stages - len(chosen), n)
    return torch.cat([chosen, missing])
