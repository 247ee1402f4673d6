"""Symbols of pictures: their order and cost, and illegal escapes."""

import numpy as np
import pytest

from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.symbols import code_bits, pull_codes, push_codes
from luxvox.entropy.picture.tables import ESCAPE, REACH, coding_of, start_tables
from luxvox.errors import FormatError


def prediction_of(mean, scale):
    """Return a prediction [N, 1] with these means and scales."""
    mean, scale = (np.array(values, np.int32)[:, None] for values in (mean, scale))
    rows = np.arange(len(mean))
    coding = coding_of(mean, scale)
    return Prediction("apex", 1, 0, 1, rows, coding, mean, start_tables())


def test_known_bits():
    costs = 16 - np.log2(start_tables())
    scales = [8, 8, 8, 31, 0]
    codes = np.array([[1], [33], [-133], [70], [0]], np.int32)
    bits = code_bits(prediction_of([0, 0, 0, 560, 0], scales), codes)[:, 0]
    table = 8 * 8 + 4
    assert bits[0] == pytest.approx(costs[table, REACH + 1])
    assert bits[1] == pytest.approx(costs[table, ESCAPE] + 5 + 2)  # 33 − 31 = 2, and a sign
    assert bits[2] == pytest.approx(costs[table, ESCAPE] + 5 + 7)  # 133 − 31 = 102
    assert bits[3] == pytest.approx(costs[8 * 23 + 4, REACH] + 2)  # 70 lies 2 above its base
    assert bits[4] == 0.0


class ScriptedDecoder:
    """A stand-in for a decoder that gives prepared symbols, and records the requests."""

    def __init__(self, *symbols):
        self.symbols = list(symbols)
        self.requests = []

    def pull(self, counts):
        raise AssertionError("pictures are coded by tables")

    def pull_tables(self, tables, counts):
        self.requests.append((len(tables), counts.shape[1]))
        return np.array([self.symbols.pop(0) for _ in tables], np.int64)

    def finish(self):
        assert not self.symbols


class RecordingEncoder:
    """A stand-in for an encoder that keeps symbols and sizes of tables."""

    def __init__(self):
        self.pushed = []

    def push(self, symbols, counts):
        raise AssertionError("pictures are coded by tables")

    def push_tables(self, symbols, tables, counts):
        assert (np.diff(tables) >= 0).all()
        self.pushed.append((symbols.tolist(), tables.tolist(), counts.shape[1]))

    def finish(self):
        return b""


def test_symbols_of_one_prediction():
    """Tables in ascending order, plain bits by their number, then escapes (FORMAT.md)."""
    prediction = prediction_of([0, 560, 0, 800, 0], [8, 31, 0, 27, 4])
    codes = np.array([[-40], [71], [0], [98], [1]], np.int32)
    coder = RecordingEncoder()
    push_codes(coder, prediction, codes)
    tables = [8 * 4 + 4, 8 * 8 + 4, 8 * 23 + 4, 8 * 23 + 4]
    assert coder.pushed == [
        # 71 = 68 + 0 · 4 + 3; 98 = 99 − 1 · 2 + 1
        ([REACH + 1, ESCAPE, REACH, REACH - 1], tables, 64),
        ([1], [0], 2),
        ([3], [0], 4),
        ([4], [0], 32),  # of −40: 2 · (40 − 31) + 1 = 19 = 16 + 3
        ([3], [0], 16),
    ]
    script = [symbol for symbols, _, _ in coder.pushed for symbol in symbols]
    decoder = ScriptedDecoder(*script)
    np.testing.assert_array_equal(pull_codes(decoder, prediction), codes)
    decoder.finish()
    assert decoder.requests == [(len(symbols), size) for symbols, _, size in coder.pushed]


@pytest.mark.parametrize("n_bits", [0, 17, 31])
def test_escapes_of_other_lengths_are_refused(n_bits):
    decoder = ScriptedDecoder(ESCAPE, n_bits, *[0] * 4)
    with pytest.raises(FormatError, match=f"an escape of {n_bits} bits, legal: 1..16"):
        pull_codes(decoder, prediction_of([0], [8]))


@pytest.mark.parametrize(("low", "code"), [(192, CODE_MAX), (193, -CODE_MAX)])
def test_escapes_reach_the_farthest_codes(low, code):
    decoder = ScriptedDecoder(ESCAPE, 15, low, 127)  # 2¹⁵ + 127 · 2⁸ + low
    assert pull_codes(decoder, prediction_of([0], [8])) == [[code]]


@pytest.mark.parametrize("symbols", [(15, 194, 127), (15, 195, 127), (16, 255, 255)])
def test_codes_beyond_the_range_are_refused(symbols):
    with pytest.raises(FormatError, match="a code lies beyond ±32767"):
        pull_codes(ScriptedDecoder(ESCAPE, *symbols), prediction_of([0], [8]))
