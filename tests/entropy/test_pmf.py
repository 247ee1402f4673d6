"""Integer probability mass functions: laws and exact integers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy.pmf import BASE, TOTAL, bits_of, counts_from_logits

EXTREME = 1 << 24  # no accumulator of the context model can reach it


@st.composite
def random_logits(draw):
    """2 to 256 logits: near each other, far apart, or both."""
    size = draw(st.integers(2, 256))
    reach = draw(st.sampled_from([2, 40, 400, EXTREME]))
    generator = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    logits = generator.integers(-reach, reach, size, endpoint=True)
    outliers = draw(st.dictionaries(st.integers(0, size - 1), st.integers(-EXTREME, EXTREME)))
    for index, value in outliers.items():
        logits[index] = value
    return logits.tolist()


def counts_in_python(logits):
    """Compute the formula of the module's docstring with Python's integers."""
    distances = [max(logits) - logit for logit in logits]
    weights = [max(1, BASE[d % 16] >> (d // 16)) for d in distances]
    counts = [1 + weight * (TOTAL - len(logits)) // sum(weights) for weight in weights]
    counts[distances.index(0)] += TOTAL - sum(counts)
    return counts


def counts_of(logits):
    return counts_from_logits(np.array([logits], np.int32))[0].tolist()


@given(random_logits())
def test_counts_follow_the_formula(logits):
    counts = counts_of(logits)
    assert counts == counts_in_python(logits)
    assert sum(counts) == TOTAL
    assert min(counts) >= 1


@given(random_logits())
def test_likelier_symbols_get_at_least_as_many_counts(logits):
    counts = counts_of(logits)
    by_logit = [count for _, count in sorted(zip(logits, counts, strict=True))]
    assert by_logit == sorted(by_logit)


@given(random_logits(), st.integers(-EXTREME, EXTREME))
def test_only_differences_matter(logits, shift):
    assert counts_of([logit + shift for logit in logits]) == counts_of(logits)


@pytest.mark.parametrize("size", [2, 3, 16, 255, 256])
def test_rows_are_independent(size):
    logits = np.random.default_rng(size).integers(-300, 300, (50, size)).astype(np.int32)
    counts = counts_from_logits(logits)
    assert counts.tolist() == [counts_of(row) for row in logits.tolist()]


@pytest.mark.parametrize(
    ("logits", "counts"),
    [
        ([0, 0], [32768, 32768]),
        ([0, 0, 0], [21846, 21845, 21845]),
        ([16, 0], [43691, 21845]),
        ([0, 16], [21845, 43691]),
        ([1, 0], [33478, 32058]),
        ([32, 16, 0, 0], [32768, 16384, 8192, 8192]),
        ([0, EXTREME], [1, 65535]),
        ([5] * 256, [256] * 256),
        ([EXTREME] + [-EXTREME] * 255, [65281] + [1] * 255),
    ],
)
def test_known_counts(logits, counts):
    assert counts_of(logits) == counts


def test_base_is_the_rounded_power_of_two():
    assert list(BASE) == [math.floor(2 ** (16 - r / 16) + 0.5) for r in range(16)]


def test_no_symbols_cost_nothing():
    assert counts_from_logits(np.zeros((0, 5), np.int32)).shape == (0, 5)
    assert bits_of(np.zeros((0, 5), np.int64), np.zeros(0, np.int64)) == 0.0


def test_bits_are_negative_logarithms():
    counts = np.array([[32768, 32768], [16384, 49152], [1, 65535]])
    symbols = np.array([1, 0, 0])
    assert bits_of(counts, symbols) == pytest.approx(1 + 2 + 16)
