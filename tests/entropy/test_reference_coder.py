"""A second range coder, written from FORMAT.md alone, agrees with the first one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxvox.entropy import coders
from luxvox.entropy.pmf import counts_from_logits
from luxvox.errors import FormatError
from luxvox.tests.second_decoder import (
    STATE,
    WORD,
    BatchDecoder,
    RangeDecoder,
    Refused,
    boundaries,
    pmf,
)

# The worked examples of FORMAT.md.
EXAMPLE_LOGITS = [20, 16, 0, -37]
EXAMPLE_COUNTS = [27936, 23490, 11745, 2365]
EXAMPLE_BOUNDARIES = [0, 7151615, 13165054, 16171775, 16777216]
EXAMPLE_SYMBOLS = [0, 2, 1, 3, 0]
EXAMPLE_BYTES = "9c31b964"


class ReferenceEncoder:
    """FORMAT.md, Range coder, Encoder: `low` is `lower` with all words written before it."""

    def __init__(self):
        self.low, self.range, self.n_words = 0, STATE - 1, 0

    def push(self, symbol, counts):
        bounds = boundaries(counts).tolist()
        scale = self.range >> 24
        self.low += scale * bounds[symbol]
        self.range = scale * (bounds[symbol + 1] - bounds[symbol])
        if self.range < WORD:
            self.low *= WORD
            self.range *= WORD
            self.n_words += 1

    def finish(self):
        whole = (self.low + WORD - 1) // WORD
        big_endian = whole.to_bytes(4 * self.n_words + 4, "big")
        words = [big_endian[i : i + 4][::-1] for i in range(0, len(big_endian), 4)]
        return b"".join(words).rstrip(b"\0") or b"\0"


def random_counts(generator, n, size, concentration):
    """Draw counts [n, size] of at least 1; rows sum to 2¹⁶, peaked if concentration is small."""
    shares = generator.dirichlet(np.full(size, concentration), n)
    counts = 1 + np.floor(shares * (65536 - size)).astype(np.int64)
    counts[np.arange(n), generator.integers(0, size, n)] += 65536 - counts.sum(1)
    return counts


def random_symbols(generator, counts, uniform):
    """Draw a symbol from each row of counts, or uniformly from all symbols."""
    n, size = counts.shape
    if uniform:
        return generator.integers(0, size, n)
    draws = generator.integers(0, 65536, n)
    return (counts.cumsum(1) <= draws[:, None]).sum(1)


def write(batches):
    encoder = coders.encoder(coders.CONSTRICTION)
    for symbols, counts in batches:
        encoder.push(symbols, counts)
    return encoder.finish()


def assert_reference_agrees(batches):
    data = write(batches)
    pairs = [
        (int(symbol), row)
        for symbols, counts in batches
        for symbol, row in zip(symbols, counts, strict=True)
    ]
    decoder = RangeDecoder(data)
    assert [decoder.pull(row) for _, row in pairs] == [symbol for symbol, _ in pairs]
    if pairs:
        decoder.finish()
    encoder = ReferenceEncoder()
    for symbol, row in pairs:
        encoder.push(symbol, row)
    assert encoder.finish() == data


@pytest.mark.parametrize("uniform", [False, True])
@pytest.mark.parametrize("concentration", [0.02, 1.0, 100.0])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 400])
@pytest.mark.parametrize("size", [2, 255])
def test_streams_of_one_alphabet(size, n, concentration, uniform):
    generator = np.random.default_rng([size, n, uniform])
    counts = random_counts(generator, n, size, concentration)
    assert_reference_agrees([(random_symbols(generator, counts, uniform), counts)])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.sampled_from([2, 3, 64, 255, 256]), max_size=8))
def test_streams_of_several_alphabets(seed, sizes):
    generator = np.random.default_rng(seed)
    batches = []
    for size in sizes:
        counts = random_counts(generator, int(generator.integers(0, 30)), size, 0.1)
        batches.append((random_symbols(generator, counts, bool(generator.integers(2))), counts))
    assert_reference_agrees(batches)


def tables_and_symbols(generator, n, n_tables, size):
    """Draw counts of tables, n ascending numbers of tables, and a symbol for each."""
    counts = random_counts(generator, n_tables, size, 0.3)
    tables = np.sort(generator.integers(0, n_tables, n))
    return counts, tables, random_symbols(generator, counts[tables], uniform=False)


@pytest.mark.parametrize("size", [2, 64, 256])
@pytest.mark.parametrize("n", [0, 1, 40, 3000])
def test_streams_of_tables_equal_streams_of_rows(n, size):
    generator = np.random.default_rng([n, size])
    counts, tables, symbols = tables_and_symbols(generator, n, 9, size)
    encoder = coders.encoder(coders.CONSTRICTION)
    encoder.push_tables(symbols, tables, counts)
    data = encoder.finish()
    assert data == write([(symbols, counts[tables])])
    decoder, reference = coders.decoder(coders.CONSTRICTION, data), RangeDecoder(data)
    assert decoder.pull_tables(tables, counts).tolist() == symbols.tolist()
    assert [reference.pull(counts[table]) for table in tables] == symbols.tolist()
    if n:
        decoder.finish()
        reference.finish()


@pytest.mark.parametrize("n", [0, 1, 40, 2**14, 2**14 + 1])
def test_batches_of_tables(n):
    pytest.importorskip("torchac")
    counts, tables, symbols = tables_and_symbols(np.random.default_rng(n), n, 9, 64)
    encoder = coders.encoder(coders.TORCHAC)
    encoder.push_tables(symbols, tables, counts)
    data = encoder.finish()
    decoder, reference = coders.decoder(coders.TORCHAC, data), BatchDecoder(data)
    assert decoder.pull_tables(tables, counts).tolist() == symbols.tolist()
    for number, table in enumerate(tables):
        if number % 2**14 == 0:
            reference.begin()
        assert reference.pull(counts[table]) == symbols[number]
    decoder.finish()
    reference.finish()


def test_many_flags():
    """Long enough for a carry into words that were written before."""
    generator = np.random.default_rng(7)
    counts = random_counts(generator, 20_000, 2, 0.3)
    assert_reference_agrees([(random_symbols(generator, counts, False), counts)])


@pytest.mark.parametrize("symbol", [0, 1])
def test_one_symbol_again_and_again(symbol):
    counts = np.tile([[65535, 1]], (300, 1))
    assert_reference_agrees([(np.full(300, symbol), counts)])


def test_only_first_symbols_give_one_zero_byte():
    counts = random_counts(np.random.default_rng(3), 500, 2, 1.0)
    zeros = np.zeros(500, np.int64)
    assert write([(zeros, counts)]) == b"\0"
    assert_reference_agrees([(zeros, counts)])


@pytest.mark.parametrize("data", ["0000", "01020300", "0102030400000000"])
def test_both_refuse_a_zero_byte_at_the_end(data):
    with pytest.raises(FormatError, match="end in a zero"):
        coders.decoder(coders.CONSTRICTION, bytes.fromhex(data))
    with pytest.raises(Refused, match="a zero byte at the end"):
        RangeDecoder(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["00", "01", "01020304"])
def test_both_refuse_bytes_without_symbols(data):
    with pytest.raises(FormatError, match="bytes are left"):
        coders.decoder(coders.CONSTRICTION, bytes.fromhex(data)).finish()
    with pytest.raises(Refused, match="bytes are left"):
        RangeDecoder(bytes.fromhex(data)).finish()


@given(st.binary(min_size=1, max_size=12), st.integers(1, 40))
def test_both_accept_or_refuse_the_same_junk(data, n):
    counts = random_counts(np.random.default_rng(n), n, 5, 0.3)

    def first_coder():
        decoder = coders.decoder(coders.CONSTRICTION, data)
        symbols = decoder.pull(counts).tolist()
        decoder.finish()
        return symbols

    def reference():
        decoder = RangeDecoder(data)
        symbols = [decoder.pull(row) for row in counts]
        decoder.finish()
        return symbols

    assert outcome(first_coder) == outcome(reference)


def outcome(read):
    try:
        return read()
    except (FormatError, Refused):
        return "refused"


@pytest.mark.parametrize("size", [2, 3, 255, 256])
def test_boundaries_agree_with_the_coder(size):
    """The first word of a lone symbol 1 is its lower boundary times 2⁸."""
    for first in range(1, 65538 - size, 61):
        counts = np.array([first, 65536 - first - (size - 2), *[1] * (size - 2)])
        data = write([(np.array([1]), counts[None])])
        assert int.from_bytes(data, "little") == boundaries(counts)[1] << 8


@given(st.lists(st.integers(-3000, 3000), min_size=2, max_size=256))
def test_counts_agree_with_the_first_coder(logits):
    counts = counts_from_logits(np.array([logits], np.int32))
    assert pmf(np.array(logits)).tolist() == counts[0].tolist()


def test_worked_examples_of_the_format_document():
    counts = counts_from_logits(np.array([EXAMPLE_LOGITS], np.int32))
    assert counts[0].tolist() == pmf(np.array(EXAMPLE_LOGITS)).tolist() == EXAMPLE_COUNTS
    assert boundaries(counts[0]).tolist() == EXAMPLE_BOUNDARIES
    n = len(EXAMPLE_SYMBOLS)
    batch = (np.array(EXAMPLE_SYMBOLS), np.repeat(counts, n, 0))
    assert write([batch]).hex() == EXAMPLE_BYTES
    assert_reference_agrees([batch])
