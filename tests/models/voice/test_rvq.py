"""Residual VQ: null ends a cell, prefixes decode, rate counts, codebooks keep their promises."""

import pytest
import torch

from luxvox.models.training.voice.lloyd import (
    codeword_counts,
    entropy_constrained_lloyd,
    usage,
)
from luxvox.models.voice.rvq import (
    GROUP_WIDTH,
    N_RATE_BINS,
    RATE_WEIGHT,
    ResidualVQ,
    group_slots,
    rate_bin,
)

SIZES = (1, 2, 5)
K, N_STAGES = 16, 3


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vq():
    """Random codebooks that shrink from stage to stage, and random static rates."""
    quantiser = ResidualVQ(SIZES, N_STAGES, K)
    books = torch.randn(quantiser.codebooks.shape, generator=generator(1))
    books *= torch.tensor([2.0, 1.0, 0.5])[:, None, None, None]
    books *= (quantiser.slots < quantiser.n_channels)[None, :, None, :]
    books[:, :, 0] = 0.0
    quantiser.codebooks.copy_(books)
    quantiser.bits.copy_(1 + 9 * torch.rand(quantiser.bits.shape, generator=generator(2)))
    quantiser.bits[..., 0] = 0.5
    return quantiser


@pytest.fixture
def latents():
    return 2 * torch.randn(2, sum(SIZES), 4, 5, generator=generator(3))


POSITION = torch.tensor([-0.9, 0.4])


def test_groups_hold_neighbouring_channels(vq, latents):
    assert group_slots(SIZES).tolist() == [
        [0] + [8] * 7,
        [1, 2] + [8] * 6,
        [3, 4, 5, 6, 7] + [8] * 3,
    ]
    vectors = vq.group(latents)
    assert vectors.shape == (3, 2 * 4 * 5, GROUP_WIDTH)
    assert torch.equal(vectors[1, :, 0], latents[:, 1].flatten())
    assert not vectors[0, :, 1:].any()
    assert torch.equal(vq.ungroup(vectors, latents.shape), latents)


def test_null_ends_a_cell(vq, latents):
    codes = vq.encode(latents, POSITION)
    assert codes.dtype == torch.uint8
    assert codes.shape == (2, N_STAGES, len(SIZES), 4, 5)
    assert (codes == 0).any() and (codes[:, -1] != 0).any()
    assert not codes[:, 1:][codes[:, :-1] == 0].any()


def test_zero_is_null(vq):
    codes = vq.encode(torch.zeros(1, 8, 2, 2), torch.zeros(1))
    assert not codes.any()
    assert not vq.decode(codes).any()


def test_choice_is_the_cheapest_codeword(vq, latents):
    codes = vq.encode(latents, POSITION)
    rest = vq.group(latents)
    alive = torch.ones(rest.shape[:2], dtype=torch.bool)
    bins = rate_bin(POSITION).repeat_interleave(4 * 5)
    for stage in range(N_STAGES):
        distances = torch.cdist(rest, vq.codebooks[stage]).square()
        bits = vq.bits[bins, stage].transpose(0, 1)
        cheapest = (distances + RATE_WEIGHT * bits).argmin(2) * alive
        chosen = codes[:, stage].permute(1, 0, 2, 3).flatten(1).long()
        assert torch.equal(chosen, cheapest)
        codewords = vq.codebooks[stage].gather(1, chosen[..., None].expand(-1, -1, GROUP_WIDTH))
        rest, alive = rest - codewords, alive & (chosen != 0)


def test_dearer_bits_give_more_nulls(vq, latents):
    weights = (0.0, 0.1, 1.0, 100.0)
    nulls = [int((vq.encode(latents, POSITION, weight)[:, 0] == 0).sum()) for weight in weights]
    assert nulls == sorted(nulls)
    assert nulls[0] < nulls[-1]


def test_each_signal_has_its_own_range_of_rates(vq, latents):
    batch = vq.encode(latents, POSITION)
    for item in range(2):
        alone = vq.encode(latents[item : item + 1], POSITION[item : item + 1])
        assert torch.equal(alone[0], batch[item])


def test_prefixes_decode(vq, latents):
    codes = vq.encode(latents, POSITION, 0.0)
    errors = []
    for n_stages in range(N_STAGES + 1):
        cut = codes.clone()
        cut[:, n_stages:] = 0
        decoded = vq.decode(codes, n_stages)
        assert torch.equal(decoded, vq.decode(cut))
        errors.append(float((decoded - latents).square().sum()))
    assert errors == sorted(errors, reverse=True)
    assert torch.equal(vq.decode(codes), vq.decode(codes, N_STAGES))


def test_decode_sums_codewords(vq):
    codes = torch.zeros(1, N_STAGES, len(SIZES), 1, 1, dtype=torch.uint8)
    codes[0, :, 1] = torch.tensor([3, 7, 1])[:, None, None]
    expected = vq.codebooks[0, 1, 3] + vq.codebooks[1, 1, 7] + vq.codebooks[2, 1, 1]
    decoded = vq.decode(codes)[0, :, 0, 0]
    assert torch.allclose(decoded[1:3], expected[:2])
    assert not decoded[3:].any() and not decoded[0].any()


def test_ranges_of_the_step():
    ends = torch.tensor([-1.0, -0.76, -0.74, 0.0, 0.99, 1.0, 7.0])
    assert rate_bin(ends).tolist() == [
        0,
        0,
        1,
        4,
        N_RATE_BINS - 1,
        N_RATE_BINS - 1,
        N_RATE_BINS - 1,
    ]


def test_codewords_are_counted_where_they_are_coded(vq, latents):
    codes = vq.encode(latents, POSITION)
    counts = codeword_counts(codes, K)
    assert counts.shape == (N_STAGES, len(SIZES), K)
    assert counts[0].sum(1).tolist() == [2 * 4 * 5] * len(SIZES)
    for stage in range(1, N_STAGES):
        assert torch.equal(counts[stage].sum(1), counts[stage - 1, :, 1:].sum(1))
    for stage, group, codeword in ((0, 1, 0), (0, 2, 3), (2, 2, 5)):
        assert counts[stage, group, codeword] == (codes[:, stage, group] == codeword).sum()


def test_usage():
    counts = torch.tensor([[5.0, 5.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0]])
    assert list(usage(counts)) == pytest.approx([6 / 8, (2 + 4) / 2])


def total_cost(vectors, book, choice):
    counts = torch.bincount(choice, minlength=len(book)).float()
    bits = -torch.log2((counts + 0.5) / (len(vectors) + 0.5 * len(book)))
    return float(((vectors - book[choice]).square().sum(1) + RATE_WEIGHT * bits[choice]).sum())


def test_lloyd_lowers_the_cost():
    vectors = torch.zeros(3000, GROUP_WIDTH)
    vectors[:, :3] = torch.randn(3000, 3, generator=generator(4)).pow(3)
    start = vectors[:K].clone()
    start[0] = 0.0
    costs = []
    for n_iterations in (1, 4, 16):
        book, choice = entropy_constrained_lloyd(vectors, start, n_iterations, generator(5))
        assert not book[0].any()
        assert choice.shape == (3000,) and int(choice.max()) < K
        costs.append(total_cost(vectors, book, choice))
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < 0.9 * costs[0]


def test_lloyd_weighs_errors():
    vectors = torch.tensor([[4.0], [6.0], [0.1]])
    start, weights = torch.tensor([[0.0], [5.0]]), torch.tensor([3.0, 1.0, 9.0])
    book, choice = entropy_constrained_lloyd(
        vectors, start, 2, generator(6), rate_weight=0.0, weights=weights
    )
    assert book.tolist() == [[0.0], [4.5]]
    assert choice.tolist() == [1, 1, 0]


def test_static_bits_are_those_of_the_table_and_end_at_a_null(vq):
    codes = torch.tensor([[3, 5, 2], [1, 0, 0], [0, 0, 0]])[:, :, None, None, None]
    codes = codes.expand(-1, -1, len(SIZES), 1, 2)
    position = torch.tensor([-1.0, 0.0, 0.99])
    bits = vq.static_bits(codes, position)
    assert bits.shape == codes.shape
    for item, item_codes in enumerate(codes[:, :, :, 0, 0]):
        table = vq.bits[int(rate_bin(position[item]))]
        for stage in range(N_STAGES):
            for group in range(len(SIZES)):
                reached = stage == 0 or item_codes[stage - 1, group] != 0
                expected = table[stage, group, item_codes[stage, group]] if reached else 0.0
                assert bits[item, stage, group].tolist() == [[pytest.approx(float(expected))] * 2]
