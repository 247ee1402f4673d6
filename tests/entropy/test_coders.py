"""Range coders: symbols come back, the bytes follow the format, junk is refused."""

import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.entropy import coders
from luxvox.entropy.pmf import TOTAL, bits_of, counts_from_logits
from luxvox.errors import FormatError, SystemFailure, UnsupportedError, UsageError

needs_torchac = pytest.mark.skipif(
    importlib.util.find_spec("torchac") is None, reason="needs luxvox[torchac]"
)
every_coder = pytest.mark.parametrize(
    "number", [coders.CONSTRICTION, pytest.param(coders.TORCHAC, marks=needs_torchac)]
)
HALF = [TOTAL // 2, TOTAL // 2]
STEEP = [TOTAL - 255] + [1] * 255


def encode(batches, number=coders.CONSTRICTION):
    coder = coders.encoder(number)
    for symbols, counts in batches:
        coder.push(np.array(symbols, np.int64), np.array(counts, np.int64))
    return coder.finish()


def decode(data, batches, number=coders.CONSTRICTION):
    """Read symbols from data under the counts of batches, by batch."""
    coder = coders.decoder(number, data)
    symbols = [coder.pull(np.array(counts, np.int64)).tolist() for _, counts in batches]
    coder.finish()
    return symbols


@st.composite
def batches_of_symbols(draw):
    """Batches of symbols with counts: 2 to 256 symbols, flat to steep; one code or more."""
    generator = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    batches = []
    for n in draw(st.lists(st.integers(0, 40), max_size=6).filter(any)):
        size = draw(st.sampled_from([2, 3, 17, 255, 256]))
        reach = draw(st.sampled_from([1, 100, 100_000]))
        logits = generator.integers(-reach, reach, (n, size)).astype(np.int32)
        batches.append((generator.integers(0, size, n), counts_from_logits(logits)))
    return batches


@every_coder
@given(batches=batches_of_symbols())
def test_round_trip(number, batches):
    data = encode(batches, number)
    assert decode(data, batches, number) == [symbols.tolist() for symbols, _ in batches]


@given(batches_of_symbols())
def test_bytes_are_close_to_the_cross_entropy(batches):
    bits = sum(bits_of(counts, symbols) for symbols, counts in batches)
    assert 8 * len(encode(batches)) <= 1.001 * bits + 64


@pytest.mark.parametrize(
    ("symbols", "counts", "constriction", "torchac"),
    [
        ([0] * 8, [HALF] * 8, "00", "020000000040"),
        ([1] * 8, [HALF] * 8, "000000ff", "02000000ff40"),
        ([0, 1, 1, 0, 1, 0, 0, 1] * 4, [HALF] * 32, "68696969000000f8", "050000006969696940"),
        ([255, 0, 3], [STEEP] * 3, "02feffff", "05000000fffffe0500"),
        ([0] * 1000, [STEEP] * 1000, "00", "0100000002"),
    ],
)
@every_coder
def test_known_bytes(number, symbols, counts, constriction, torchac):
    data = {coders.CONSTRICTION: constriction, coders.TORCHAC: torchac}[number]
    assert encode([(symbols, counts)], number).hex() == data
    assert decode(bytes.fromhex(data), [(symbols, counts)], number) == [symbols]


@st.composite
def tables_and_batches(draw):
    """Batches of symbols under rows of shared tables, the rows ascending."""
    generator = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    size = draw(st.sampled_from([2, 17, 64, 256]))
    logits = generator.integers(-90, 90, (5, size)).astype(np.int32)
    batches = []
    for n in draw(st.lists(st.integers(0, 40), max_size=6).filter(any)):
        tables = np.sort(generator.integers(0, 5, n))
        batches.append((generator.integers(0, size, n), tables))
    return counts_from_logits(logits), batches


@every_coder
@given(case=tables_and_batches())
def test_tables_round_trip(number, case):
    counts, batches = case
    coder = coders.encoder(number)
    for symbols, tables in batches:
        coder.push_tables(symbols, tables, counts)
    data = coder.finish()
    reader = coders.decoder(number, data)
    for symbols, tables in batches:
        np.testing.assert_array_equal(reader.pull_tables(tables, counts), symbols)
    reader.finish()


@every_coder
@given(case=tables_and_batches())
def test_tables_give_the_bytes_of_their_rows(number, case):
    counts, batches = case
    coder = coders.encoder(number)
    for symbols, tables in batches:
        coder.push_tables(symbols, tables, counts)
    assert coder.finish() == encode([(symbols, counts[rows]) for symbols, rows in batches], number)


@every_coder
@pytest.mark.parametrize("limit", [1, 7, 1 << 14])
def test_long_batches_of_tables_come_back(number, limit, monkeypatch):
    monkeypatch.setattr(coders, "TABLES_AT_ONCE", limit)
    generator = np.random.default_rng(5)
    counts = counts_from_logits(generator.integers(-90, 90, (3, 64)).astype(np.int32))
    symbols, tables = generator.integers(0, 64, 40), np.sort(generator.integers(0, 3, 40))
    coder = coders.encoder(number)
    coder.push_tables(symbols, tables, counts)
    reader = coders.decoder(number, coder.finish())
    np.testing.assert_array_equal(reader.pull_tables(tables, counts), symbols)
    reader.finish()


def test_rare_symbols_cost_sixteen_bits():
    symbols, counts = [255] * 100, [STEEP] * 100
    assert len(encode([(symbols, counts)])) == pytest.approx(200, abs=8)
    assert decode(encode([(symbols, counts)]), [(symbols, counts)]) == [symbols]


def test_batches_do_not_change_the_bytes():
    generator = np.random.default_rng(1)
    counts = counts_from_logits(generator.integers(-99, 99, (90, 7)).astype(np.int32))
    symbols = generator.integers(0, 7, 90)
    parts = [(symbols[n : n + 13], counts[n : n + 13]) for n in range(0, 90, 13)]
    assert encode(parts) == encode([(symbols, counts)])


@every_coder
def test_unread_bytes_are_refused(number):
    data = encode([([0, 1, 1] * 50, [HALF] * 150)], number)
    coder = coders.decoder(number, data + bytes(7) + b"\1")
    coder.pull(np.array([HALF] * 150))
    with pytest.raises(FormatError, match="left"):
        coder.finish()


def pull_single(coder, n):
    return coder.pull(np.array([STEEP] * n, np.int64).reshape(n, 256))


def pull_under_tables(coder, n):
    return coder.pull_tables(np.zeros(n, np.int64), np.array([STEEP], np.int64))


@every_coder
@pytest.mark.parametrize("pull", [pull_single, pull_under_tables])
@given(data=st.binary(max_size=40), n=st.integers(0, 60))
def test_junk_gives_symbols_or_a_format_error(number, pull, data, n):
    try:
        coder = coders.decoder(number, data)
        symbols = pull(coder, n)
        assert symbols.shape == (n,)
        coder.finish()
    except FormatError:
        pass


def test_nothing_to_pull_needs_no_section():
    coder = coders.decoder(coders.CONSTRICTION, b"\0")
    assert coder.pull(np.zeros((0, 2), np.int64)).shape == (0,)
    with pytest.raises(FormatError, match="left"):
        coder.finish()


def test_zeros_at_the_end_are_refused():
    data = encode([([0, 1, 1] * 50, [HALF] * 150)])
    with pytest.raises(FormatError, match="end in a zero"):
        coders.decoder(coders.CONSTRICTION, data + b"\0")


def test_unknown_coders_are_refused():
    with pytest.raises(UsageError, match="coder 3 is unknown"):
        coders.encoder(3)
    with pytest.raises(UnsupportedError, match="coder 0 is unknown"):
        coders.decoder(0, b"")


@pytest.mark.skipif(importlib.util.find_spec("torchac") is not None, reason="torchac is there")
def test_absent_torchac_is_named():
    with pytest.raises(SystemFailure, match=r"pip install 'luxvox\[torchac\]'"):
        encode([([0], [HALF])], coders.TORCHAC)
