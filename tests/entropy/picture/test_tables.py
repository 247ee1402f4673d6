"""Tables of counts: only legal ones, and a coding for every code under any mean and scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy.picture.layers import CODE_MAX, MEAN_UNITS, N_SCALES
from luxvox.entropy.picture.tables import (
    ESCAPE,
    N_SYMBOLS,
    N_TABLE_SCALES,
    N_TABLES,
    REACH,
    check_counts,
    coding_of,
    counts_from_shares,
    start_tables,
)
from luxvox.entropy.pmf import TOTAL
from luxvox.errors import ModelError

legal_means = st.integers(-CODE_MAX * MEAN_UNITS, CODE_MAX * MEAN_UNITS)
legal_scales = st.integers(0, N_SCALES - 1)


def coding(mean, scale):
    """Return base, table, shift and silence of one code."""
    fields = coding_of(np.array([mean], np.int32), np.array([scale], np.int32))
    return int(fields.base[0]), int(fields.table[0]), int(fields.shift[0]), bool(fields.silent[0])


def test_start_tables_are_legal():
    tables = start_tables()
    check_counts(tables)
    assert tables.shape == (N_TABLES, N_SYMBOLS) == (216, 64)
    assert (tables.sum(axis=1) == TOTAL).all()
    assert tables.min() == 1


def test_start_tables_widen_with_the_scale():
    """If the mean is a whole number, difference 0 is likeliest, but less so at wider scales."""
    centred = start_tables()[MEAN_UNITS // 2 :: MEAN_UNITS]
    assert (centred[:, :ESCAPE].argmax(axis=1) == REACH).all()
    assert (np.diff(centred[:, REACH]) <= 0).all()
    assert (np.diff(centred[:, ESCAPE]) >= 0).all()
    mirrored = centred[:, :ESCAPE][:, ::-1]
    assert (np.abs(mirrored - centred[:, :ESCAPE]) <= 1).all()


@given(
    st.lists(
        st.lists(st.floats(0.0, 1e6), min_size=64, max_size=64), min_size=1, max_size=3
    ).filter(lambda rows: all(sum(row) > 1e-3 for row in rows))
)
def test_any_shares_make_legal_counts(rows):
    shares = np.array(rows)
    shares /= shares.sum(axis=1, keepdims=True)
    counts = counts_from_shares(shares)
    assert (counts.sum(axis=1) == TOTAL).all()
    assert counts.min() >= 1
    assert (np.abs(counts - shares * TOTAL) <= N_SYMBOLS + 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts: counts[:-1], "tables of .*legal: 216"),
        (lambda counts: counts[:, :-1], "tables of .*legal: 216"),
        (lambda counts: counts + (np.arange(64) == 3), "does not sum to 2"),
        (lambda counts: counts - 65535 * (np.arange(64) == 3), "does not sum to 2"),
        (lambda counts: counts + np.where(np.arange(64) == 3, -counts, 0), "does not sum to 2"),
    ],
)
def test_other_tables_are_refused(change, message):
    with pytest.raises(ModelError, match=message):
        check_counts(change(start_tables()))


def test_a_zero_is_refused():
    counts = start_tables()
    counts[5, 1] += counts[5, 0]
    counts[5, 0] = 0
    with pytest.raises(ModelError, match="holds a zero"):
        check_counts(counts)


@pytest.mark.parametrize(
    ("mean", "scale", "expected"),
    [
        # Fractions run from −1/2 (0) to 3/8 (7) of a step around the rounded mean.
        (0, 1, (0, 12, 0, False)),
        (3, 1, (0, 15, 0, False)),
        (4, 1, (1, 8, 0, False)),
        (-4, 1, (0, 8, 0, False)),
        (-5, 1, (-1, 15, 0, False)),
        (80, 0, (10, 4, 0, True)),
        (83, 26, (10, 215, 0, False)),
        # One plain bit for each octave beyond scale 26; difference 0 is centred on the mean.
        (83, 27, (9, 8 * 23 + 4, 1, False)),
        (83, 30, (9, 8 * 26 + 4, 1, False)),
        (83, 31, (8, 8 * 23 + 4, 2, False)),
        (-800, 55, (-100 - 128, 8 * 23 + 4, 8, False)),
    ],
)
def test_known_codings(mean, scale, expected):
    assert coding(mean, scale) == expected


@given(legal_means, legal_scales)
def test_codings_are_in_range(mean, scale):
    base, table, shift, silent = coding(mean, scale)
    assert 0 <= table < N_TABLES
    assert 0 <= shift <= 8
    assert silent == (scale == 0)
    assert (shift == 0) == (scale < N_TABLE_SCALES)
    assert abs(8 * (base + ((1 << shift) >> 1)) - mean) <= 4
    assert abs(base + ((1 << shift) >> 1)) <= CODE_MAX


@given(st.integers(-CODE_MAX, CODE_MAX), legal_means, legal_scales)
def test_every_code_has_a_coding(code, mean, scale):
    """A symbol, plain bits and, beyond the table, an escape of at most 16 bits."""
    base, _, shift, _ = coding(mean, scale)
    quotient, rest = (code - base) >> shift, (code - base) & ((1 << shift) - 1)
    assert base + (quotient << shift) + rest == code
    if abs(quotient) > REACH:
        escape = 2 * (abs(quotient) - REACH) + int(quotient < 0)
        assert 1 <= escape.bit_length() - 1 <= 16
