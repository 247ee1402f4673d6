"""Grouped residual vector quantisation with null codewords and rate-aware choice.

The channels of a level are divided into groups of at most 8 neighbouring channels. Each group of
each position is quantised stage by stage (residual VQ; Juang and Gray, 1982; Zeghidour et al.,
2021); each stage codes the residual of the earlier ones.  Codeword 0 of every codebook is the zero
vector, "null".  A null ends its position: all later stages are null too, and cost nothing.
Codewords are chosen by distortion plus rate (entropy-constrained VQ; Chou, Lookabaugh and Gray,
1989).

All vectors are in units of the quantiser step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUP_WIDTH = 8
RATE_WEIGHT = 0.1155  # 2 ln 2 / 12: worth of a bit in squared steps at high rate
POSITIONS_AT_ONCE = (
    1 << 10
)  # positions coded at a time, since the costs of all codewords take much memory
N_RATE_BINS = 8  # static tables are kept for this many ranges of the log-step


class ResidualVQ(nn.Module):
    """Codebooks and static rates of one level.

    Attributes:
        codebooks: float [stages, groups, K, width]; channels past a group's size are zero. The
            width is 8, or the size of the largest group.
        bits: float [N_RATE_BINS, stages, groups, K]: static cost of each codeword, by range of the
            log-step, where the earlier stages were not null.
    """

    codebooks: Tensor
    bits: Tensor

    def __init__(self, group_sizes: tuple[int, ...], n_stages: int, codebook_size: int) -> None:
        super().__init__()
        self.n_channels = sum(group_sizes)
        self.n_stages = n_stages
        self.width = max(GROUP_WIDTH, *group_sizes)

        shape = (n_stages, len(group_sizes), codebook_size)
        self.register_buffer("codebooks", torch.zeros(*shape, self.width))
        self.register_buffer("bits", torch.zeros(N_RATE_BINS, *shape))
        self._group_sizes = group_sizes

    @property
    def slots(self) -> Tensor:
        """The channel of each component, int64 [groups, width]; padding refers to channel C."""
        return group_slots(self._group_sizes, self.width)

    @property
    def code_type(self) -> torch.dtype:
        """The type that holds codes: uint8, or int16 for more than 256 codewords."""
        return torch.uint8 if self.codebooks.shape[2] <= 256 else torch.int16

    def group(self, latents: Tensor) -> Tensor:
        """Map [B, C, H, W] to vectors [groups, B·H·W, width]."""
        # [B, C, H, W] -> [C, B·H·W], and a channel of zeros for padding.
        flat = latents.permute(1, 0, 2, 3).reshape(self.n_channels, -1)
        padded = torch.cat([flat, flat.new_zeros(1, flat.shape[1])])

        # [C + 1, N] -> [groups, width, N] -> [groups, N, width]
        return padded[self.slots].transpose(1, 2)

    def ungroup(self, vectors: Tensor, shape: torch.Size) -> Tensor:
        """Map [groups, B·H·W, width] back to latents of `shape` [B, C, H, W]."""
        # [groups, N, width] -> [groups · width, N], scattered to [C + 1, N].
        flat = vectors.new_zeros(self.n_channels + 1, vectors.shape[1])
        flat[self.slots.reshape(-1)] = vectors.transpose(1, 2).reshape(-1, vectors.shape[1])

        # [C, B·H·W] -> [B, C, H, W]; the padding is dropped.
        batch, channels, height, width = shape
        return flat[:channels].reshape(channels, batch, height, width).permute(1, 0, 2, 3)

    def encode(
        self,
        latents: Tensor,
        log_step: Tensor,
        rate_weight: float | Tensor = RATE_WEIGHT,
        limits: Tensor | None = None,
    ) -> Tensor:
        """Choose codes greedily, stage by stage, by ‖r − c‖² + rate_weight · static bits.

        Args:
            latents: [B, C, H, W] in steps.
            log_step: [B] or [1], log-step in −1 … 1, picks the static tables.
            rate_weight: worth of a bit in squared steps, for all samples or for each [B].
            limits: how many stages each position may have, int64 [B, H, W]; all by default.

        Returns:
            Codes, `code_type` [B, stages, groups, H, W].
        """
        batch, _, height, width = latents.shape
        device = latents.device

        # [B, C, H, W] -> [groups, N, width]
        vectors = self.group(latents)
        shape = (self.n_stages, len(self._group_sizes), vectors.shape[1])
        codes = torch.zeros(shape, dtype=self.code_type, device=device)

        # Which sample each position belongs to, and what each codeword costs there.
        item = torch.arange(batch, device=device).repeat_interleave(height * width)
        weights = torch.as_tensor(rate_weight, device=device).reshape(-1, 1, 1, 1)
        bits = weights * self.bits[rate_bin(log_step)]
        costs = self.codebooks.square().sum(-1) + bits  # [B or 1, stages, groups, K]

        depth = torch.full_like(item, self.n_stages) if limits is None else limits.flatten()

        # A limited number of positions at a time, since the costs of all codewords take much
        # memory.
        for rows in torch.split(torch.arange(shape[2], device=device), POSITIONS_AT_ONCE):
            open_positions = _Positions(rows, vectors[:, rows], item, depth)
            for stage in range(self.n_stages):
                if not open_positions.keep_alive(stage):
                    break
                choice = open_positions.choose(self.codebooks[stage], costs[:, stage])
                codes[stage][:, open_positions.rows] = choice

        # [stages, groups, B·H·W] -> [B, stages, groups, H, W]
        return codes.reshape(*shape[:2], batch, height, width).permute(2, 0, 1, 3, 4).contiguous()

    def decode(self, codes: Tensor, n_stages: int | None = None) -> Tensor:
        """Sum the codewords of the first `n_stages` stages: latents [B, C, H, W] in steps."""
        batch, stages, groups, height, width = codes.shape
        total = self.codebooks.new_zeros(groups, batch * height * width, self.width)
        for stage in range(stages if n_stages is None else n_stages):
            # [B, groups, H, W] -> [groups, B·H·W]
            index = codes[:, stage].permute(1, 0, 2, 3).reshape(groups, -1).long()
            total += _gather_codewords(self.codebooks[stage], index)
        return self.ungroup(total, torch.Size((batch, self.n_channels, height, width)))

    def static_bits(self, codes: Tensor, log_step: Tensor) -> Tensor:
        """Return the cost of each code by the static tables; codes after a null cost nothing.

        Args:
            codes: [B, stages, groups, H, W].
            log_step: [B] or [1], log-step in −1 … 1, picks the static tables.

        Returns:
            Bits, float [B, stages, groups, H, W].
        """
        # [B or 1, stages, groups, K] -> [B, stages, groups, H · W] -> [B, stages, groups, H, W]
        tables = self.bits[rate_bin(log_step)].expand(len(codes), -1, -1, -1)
        bits = tables.gather(3, codes.long().flatten(3)).reshape(codes.shape)

        first = torch.ones_like(codes[:, :1], dtype=torch.bool)
        return bits * torch.cat([first, codes[:, :-1] != 0], 1)


def _gather_codewords(books: Tensor, choice: Tensor) -> Tensor:
    """Return the chosen codewords [groups, N, width] of codebooks [groups, K, width]."""
    if len(books) == 1:  # whole rows are copied faster than single numbers
        return books[0].index_select(0, choice[0])[None]
    return books.gather(1, choice[..., None].expand(-1, -1, books.shape[2]))


def group_slots(group_sizes: tuple[int, ...], width: int = GROUP_WIDTH) -> Tensor:
    """Return the channel of each component, int64 [groups, width]; padding is the channel count."""
    n_channels = sum(group_sizes)
    slots = torch.full((len(group_sizes), width), n_channels, dtype=torch.int64)

    start = 0
    for row, size in zip(slots, group_sizes, strict=True):
        row[:size] = torch.arange(start, start + size)
        start += size
    return slots


class _Positions:
    """Positions that are quantised together: those that remain, and their residuals.

    Args:
        rows: of the positions among all.
        residuals: their residual vectors [groups, N, width].
        item: the sample that each of all positions belongs to.
        depth: how many stages each of all positions may have.
    """

    def __init__(self, rows: Tensor, residuals: Tensor, item: Tensor, depth: Tensor) -> None:
        self.rows = rows
        self._residuals = residuals
        self._item = item
        self._depth = depth
        self._alive = torch.ones(residuals.shape[:2], dtype=torch.bool, device=residuals.device)

    def keep_alive(self, stage: int) -> bool:
        """Drop the positions that do not reach a stage; return whether any remain."""
        self._alive = self._alive & (self._depth[self.rows] > stage)

        # Positions at which all groups have ended are dropped.
        any_alive = self._alive.any(0)
        self.rows, self._residuals = self.rows[any_alive], self._residuals[:, any_alive]
        self._alive = self._alive[:, any_alive]
        return len(self.rows) > 0

    def choose(self, books: Tensor, costs: Tensor) -> Tensor:
        """Choose codes [groups, N] of a stage, and keep their residuals.

        Args:
            books: codewords [groups, K, width].
            costs: squared length and cost in bits of each codeword, [B, groups, K].
        """
        # Under autocast only the products are in half precision.
        products = torch.bmm(self._residuals, books.transpose(1, 2))
        own = costs if len(costs) == 1 else costs[self._item[self.rows]]
        cost = torch.add(own.transpose(0, 1), products, alpha=-2.0)

        # ‖r − c‖² less ‖r‖², which is the same for all: [groups, N, K] -> [groups, N].
        choice = cost.argmin(-1) * self._alive
        self._alive = choice != 0
        self._residuals = self._residuals - _gather_codewords(books, choice)
        return choice.to(torch.uint8 if books.shape[1] <= 256 else torch.int16)


def rate_bin(log_step: Tensor) -> Tensor:
    """Return the range (0 … N_RATE_BINS − 1) of log-steps −1 … 1."""
    return ((log_step + 1.0) * (N_RATE_BINS / 2)).floor().long().clamp(0, N_RATE_BINS - 1)
