"""A second decoder, written from the text of FORMAT.md alone, reads what the first one wrote."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luxvox.entropy import coders
from luxvox.entropy.pmf import counts_from_logits

WORD, STATE = 1 << 32, 1 << 64

# The worked examples of FORMAT.md.
EXAMPLE_LOGITS = [20, 16, 0, -37]
EXAMPLE_COUNTS = [27936, 23490, 11745, 2365]
EXAMPLE_BOUNDARIES = [0, 7151615, 13165055, 16171775, 16777216]
EXAMPLE_SYMBOLS = [0, 2, 1, 3, 0]
EXAMPLE_BYTES = "c831b964"


def boundaries(counts):
    """FORMAT.md, Range coder, Boundaries."""
    size, cumulative, result = len(counts), 0, []
    for k, count in enumerate(counts):
        product = cumulative * (2**24 - size)
        excess = max(0, product.bit_length() - 24)
        kept, rest = divmod(product, 1 << excess)
        if 2 * rest > 1 << excess or (2 * rest == 1 << excess and kept % 2 == 1):
            kept += 1
        result.append(((kept << excess) >> 16) + k)
        cumulative += count
    return [*result, 2**24]


class ReferenceDecoder:
    """FORMAT.md, Range coder, Decoder."""

    def __init__(self, data):
        data = data + bytes(-len(data) % 4)
        self.words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self.lower, self.range = 0, STATE - 1
        self.point = self.next_word() * WORD + self.next_word()

    def next_word(self):
        return self.words.pop(0) if self.words else 0

    def pull(self, counts):
        bounds = boundaries(counts)
        scale = self.range >> 24
        quantile = (self.point - self.lower) % STATE // scale
        if quantile >= 2**24:
            raise ValueError("malformed")
        symbol = next(k for k in range(len(counts)) if quantile < bounds[k + 1])
        self.lower = (self.lower + scale * bounds[symbol]) % STATE
        self.range = scale * (bounds[symbol + 1] - bounds[symbol])
        if self.range < WORD:
            self.lower = self.lower * WORD % STATE
            self.range *= WORD
            self.point = self.point * WORD % STATE + self.next_word()
        return symbol

    def at_the_end(self):
        return not self.words and (self.point - self.lower) % STATE < 2 * WORD - 1


class ReferenceEncoder:
    """FORMAT.md, Range coder, Encoder: `low` is `lower` with all words written before it."""

    def __init__(self):
        self.low, self.range, self.n_words = 0, STATE - 1, 0

    def push(self, symbol, counts):
        bounds = boundaries(counts)
        scale = self.range >> 24
        self.low += scale * bounds[symbol]
        self.range = scale * (bounds[symbol + 1] - bounds[symbol])
        if self.range < WORD:
            self.low *= WORD
            self.range *= WORD
            self.n_words += 1

    def finish(self):
        if self.range == STATE - 1:
            return b""
        whole = (self.low + WORD - 1) // WORD
        big_endian = whole.to_bytes(4 * self.n_words + 4, "big")
        words = [big_endian[i : i + 4][::-1] for i in range(0, len(big_endian), 4)]
        return b"".join(words).rstrip(b"\0")


def some_counts(generator, n, size, concentration):
    """Counts [n, size], each at least 1, rows sum to 2¹⁶; peaked for small concentrations."""
    shares = generator.dirichlet(np.full(size, concentration), n)
    counts = 1 + np.floor(shares * (65536 - size)).astype(np.int64)
    counts[np.arange(n), generator.integers(0, size, n)] += 65536 - counts.sum(1)
    return counts


def some_symbols(generator, counts, wild):
    """Symbols drawn from counts, or from all symbols alike."""
    n, size = counts.shape
    if wild:
        return generator.integers(0, size, n)
    draws = generator.integers(0, 65536, n)
    return (counts.cumsum(1) <= draws[:, None]).sum(1)


def written(batches):
    encoder = coders.encoder(coders.CONSTRICTION)
    for symbols, counts in batches:
        encoder.push(symbols, counts)
    return encoder.finish()


def assert_reference_agrees(batches):
    data = written(batches)
    pairs = [
        (int(symbol), row)
        for symbols, counts in batches
        for symbol, row in zip(symbols, counts.tolist(), strict=True)
    ]
    decoder = ReferenceDecoder(data)
    assert [decoder.pull(row) for _, row in pairs] == [symbol for symbol, _ in pairs]
    if pairs:
        assert decoder.at_the_end()
    encoder = ReferenceEncoder()
    for symbol, row in pairs:
        encoder.push(symbol, row)
    assert encoder.finish() == data


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("concentration", [0.02, 1.0, 100.0])
@pytest.mark.parametrize("n", [1, 2, 3, 17, 400])
@pytest.mark.parametrize("size", [2, 255])
def test_streams_of_one_alphabet(size, n, concentration, wild):
    generator = np.random.default_rng([size, n, wild])
    counts = some_counts(generator, n, size, concentration)
    assert_reference_agrees([(some_symbols(generator, counts, wild), counts)])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1 << 32), st.lists(st.sampled_from([2, 3, 64, 255, 256]), max_size=8))
def test_streams_of_several_alphabets(seed, sizes):
    generator = np.random.default_rng(seed)
    batches = []
    for size in sizes:
        counts = some_counts(generator, int(generator.integers(0, 30)), size, 0.1)
        batches.append((some_symbols(generator, counts, bool(generator.integers(2))), counts))
    assert_reference_agrees(batches)


def test_many_flags():
    """Long enough for carries through words already written."""
    generator = np.random.default_rng(7)
    counts = some_counts(generator, 20_000, 2, 0.3)
    assert_reference_agrees([(some_symbols(generator, counts, False), counts)])


@pytest.mark.parametrize("symbol", [0, 1])
def test_one_symbol_again_and_again(symbol):
    counts = np.tile([[65535, 1]], (300, 1))
    assert_reference_agrees([(np.full(300, symbol), counts)])


def test_first_symbols_alone_leave_no_bytes():
    counts = some_counts(np.random.default_rng(3), 500, 2, 1.0)
    assert written([(np.zeros(500, np.int64), counts)]) == b""
    decoder = ReferenceDecoder(b"")
    assert [decoder.pull(row) for row in counts.tolist()] == [0] * 500


@pytest.mark.parametrize("size", [2, 255])
def test_boundaries_are_float32_products(size):
    cumulative = np.arange(65537 - size)
    shares = cumulative.astype(np.float32) / np.float32(65536)
    expected = (shares * np.float32(2**24 - size)).astype(np.int64)
    # A pair of counts in an alphabet of `size` symbols: only the second boundary varies.
    rest = [1] * (size - 2)
    found = [boundaries([c, 0, *rest])[1] - 1 for c in cumulative[::7].tolist()]
    assert found == expected[::7].tolist()


def test_worked_examples_of_the_format_document():
    counts = counts_from_logits(np.array([EXAMPLE_LOGITS], np.int32))
    assert counts[0].tolist() == EXAMPLE_COUNTS
    assert boundaries(EXAMPLE_COUNTS) == EXAMPLE_BOUNDARIES
    n = len(EXAMPLE_SYMBOLS)
    batch = (np.array(EXAMPLE_SYMBOLS), np.repeat(counts, n, 0))
    assert written([batch]).hex() == EXAMPLE_BYTES
    assert_reference_agrees([batch])
