"""Codebooks fitted by entropy-constrained Lloyd iterations, and how evenly they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from luxvox.models.voice.rvq import RATE_WEIGHT


def usage(counts: Tensor) -> tuple[float, float]:
    """Return the share of codewords used at all, and the mean perplexity of the groups.

    Args:
        counts: how often each codeword was chosen [groups, K].
    """
    # [groups, K] -> [groups]; the floors keep logarithms finite where nothing was chosen.
    shares = counts / counts.sum(-1, keepdim=True).clamp(min=1e-9)
    entropy = -(shares * torch.log2(shares.clamp(min=1e-30))).sum(-1)
    return float((counts > 0).float().mean()), float(torch.exp2(entropy).mean())


def codeword_counts(codes: Tensor, codebook_size: int) -> Tensor:
    """Count the codewords [stages, groups, K] in codes [B, stages, groups, H, W].

    Positions after a null are not coded, so they are not counted.
    """
    _, stages, groups, _, _ = codes.shape

    # A position is coded in the first stage, and in later ones after a code that is not null.
    reached = torch.cat([torch.ones_like(codes[:, :1]), codes[:, :-1]], 1) != 0

    # Codewords of all codebooks are numbered consecutively, so one count covers them.
    offsets = torch.arange(stages * groups).reshape(1, stages, groups, 1, 1) * codebook_size

    # [B, stages, groups, H, W] -> [n] -> [stages · groups · K] -> [stages, groups, K]
    codewords = (codes.long() + offsets.to(codes.device))[reached]
    size = stages * groups * codebook_size
    return torch.bincount(codewords, minlength=size).reshape(stages, groups, codebook_size)


def entropy_constrained_lloyd(
    vectors: Tensor,
    book: Tensor,
    n_iterations: int,
    generator: torch.Generator,
    *,
    rate_weight: float = RATE_WEIGHT,
    weights: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Train one codebook by entropy-constrained Lloyd iterations.

    Args:
        vectors: [N, width] in steps.
        book: [K, width] to start from; codeword 0 stays the zero vector.
        n_iterations: passes over the vectors. In all but the last 3, dead codewords are moved to
            badly coded vectors.
        generator: source of random numbers.
        rate_weight: worth of a bit in squared steps.
        weights: the weight of the squared error of each vector [N]; one by default.

    Returns:
        Codebook [K, width] and the chosen codewords [N].
    """
    n, codebook_size = len(vectors), len(book)
    weights = torch.ones(n) if weights is None else weights
    book = book.clone()

    # Before anything is counted, null is assumed to be likely.
    bits = torch.full((codebook_size,), 8.0)
    bits[0] = 1.0

    for iteration in range(n_iterations):
        choice, cost = _nearest(vectors, book, bits, rate_weight)
        counts = torch.bincount(choice, minlength=codebook_size)
        _move_to_means(book, vectors, weights, choice, counts)
        bits = -torch.log2((counts + 0.5) / (n + 0.5 * codebook_size))

        # A dead codeword helps most where the error is large.
        dead = torch.nonzero((counts < 2) & (torch.arange(codebook_size) > 0))[:, 0]
        if len(dead) and iteration < n_iterations - 3:
            errors = (cost * weights).clamp(min=1e-6)
            worst = torch.multinomial(errors, len(dead), generator=generator)
            book[dead] = vectors[worst]
            bits[dead] = bits.max()
    return book, _nearest(vectors, book, bits, rate_weight)[0]


def _move_to_means(
    book: Tensor, vectors: Tensor, weights: Tensor, choice: Tensor, counts: Tensor
) -> None:
    """Move the codewords of a book [K, width] to the weighted means of their vectors.

    Args:
        book: changed in place.
        vectors: [N, width].
        weights: of the vectors [N].
        choice: codeword of each vector [N].
        counts: how often each codeword is chosen [K].
    """
    # [N, width] -> [K, width], [N] -> [K, 1]
    sums = torch.zeros_like(book).index_add_(0, choice, vectors * weights[:, None])
    totals = torch.zeros(len(book)).index_add_(0, choice, weights)[:, None]

    # Null stays the zero vector; codewords that were not chosen have no mean.
    used = counts > 0
    used[0] = False
    book[used] = (sums / totals)[used]


def nearest(vectors: Tensor, book: Tensor) -> Tensor:
    """Return the codewords [N] of a codebook [K, width] nearest to vectors [N, width]."""
    return _nearest(vectors, book, torch.zeros(len(book)), 0.0)[0]


def _nearest(
    vectors: Tensor, book: Tensor, bits: Tensor, rate_weight: float
) -> tuple[Tensor, Tensor]:
    """Return the cheapest codewords [N] for vectors [N, width], and their squared errors [N]."""
    bias = book.square().sum(-1) + rate_weight * bits  # [K]
    choices, costs = [], []

    # A few vectors at a time, since the costs of all codewords take much memory.
    for part in torch.split(vectors, 16384):
        # ‖r − c‖² less ‖r‖², plus the rate: [n, width] -> [n, K] -> [n]
        cost = torch.addmm(bias[None], part, book.T, alpha=-2.0)
        best = cost.min(1)
        choices.append(best.indices)
        costs.append(best.values + part.square().sum(-1) - rate_weight * bits[best.indices])
    return torch.cat(choices), torch.cat(costs)
