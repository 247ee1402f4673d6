"""Both decoders read the bytes of FORMAT.md's worked examples as it says."""

import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from luxvox.entropy.picture import tables as lattice_tables
from luxvox.tests.golden.record import HERE
from luxvox.tests.golden.tiny_weights import TINY
from luxvox.tests.second_decoder import (
    STATE,
    RangeDecoder,
    Refused,
    coders,
    pictures,
    read_codes,
    read_picture,
)

FORMAT_MD = Path(__file__).resolve().parent.parent / "FORMAT.md"


def chapter(heading):
    return FORMAT_MD.read_text(encoding="utf-8").split(f"\n{heading}\n")[1]


def table(text, number):
    """Return the cells of a table of a text as numbers or strings; None for a dash."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [line.strip("|\n ").split(" | ") for line in tables[number].splitlines()[2:]]
    return [[cell_value(cell) for cell in row] for row in rows]


def cell_value(cell):
    cell = cell.strip("` ").replace("−", "-")
    if cell == "–":
        return None
    return int(cell) if re.fullmatch(r"-?\d{1,9}", cell) else cell


class Traced(RangeDecoder):
    """Record what the document shows of each symbol."""

    rows: list[list[object]] = []
    rest = 0

    def pull(self, counts):
        quantile = (self._point - self._lower) % STATE // (self._range // 2**24)
        symbol = super().pull(counts)
        before, own = int(counts[:symbol].sum()), int(counts[symbol])
        state = f"{self._lower:016x}", f"{self._range:016x}"
        self.rows.append([symbol, before, own, quantile, *state])
        Traced.rest = (self._point - self._lower) % STATE
        return symbol


def test_how_codes_are_coded():
    rows = table(chapter("### Means and scales to codes"), 1)
    assert len(rows) == 9
    for mean, scale, base, shift, row, code, symbol, rest, escape in rows:
        coded = pictures.coding_of(mean, scale)
        assert coded == (base, row, shift or 0)
        coding = lattice_tables.coding_of(np.array(mean, np.int32), np.array(scale, np.int32))
        assert (coding.base, coding.shift, coding.silent) == (base, shift or 0, scale == 0)
        assert coding.silent or coding.table == row
        if row is None:
            assert code == base
            continue
        quotient, low = divmod(code - base, 2**shift)
        assert low == (rest or 0)
        assert symbol == (quotient + 31 if abs(quotient) <= 31 else 63)
        if symbol == 63:
            assert pictures.read_escape(Given(escape)) == quotient


class Given(pictures.Section):
    """A section whose next plain numbers come from a cell of a table."""

    def __init__(self, cell):
        self.numbers = [int(part) for part in re.findall(r"\d+", cell)]

    def begin(self):
        pass

    def plain(self, n_bits):
        value = self.numbers.pop(0)
        assert value < 2**n_bits
        return value


def test_the_file_of_one_pixel(monkeypatch):
    text = chapter("### Example").split("\n## ")[0]
    rows = re.findall(r"^    [0-9a-f]{2}  ([0-9a-f ]+)$", text, re.MULTILINE)
    data = bytes.fromhex(" ".join(rows))
    assert data == (HERE / "tiny-1x1.lvx").read_bytes()
    monkeypatch.setattr(coders, "RangeDecoder", Traced)
    monkeypatch.setattr(Traced, "rows", [])
    codes = read_codes(data, load_file(TINY / "picture-0.safetensors"))

    first, symbols = table(text, 0), table(text, 1)
    assert [row[-1] for row in first] == codes["apex"][:8, 0, 0].tolist()
    assert [row[2:] for row in symbols] == Traced.rows[: len(symbols)]
    by_table = [(row, channel) for channel, *_, row, _, _, _ in first]
    assert [(row, channel) for channel, row, *_ in symbols[:8]] == sorted(by_table)
    for channel, mean, scale, base, shift, row, symbol, rest, code in first:
        assert pictures.coding_of(mean, scale) == (base, row, shift), channel
        assert code == base + (symbol - 31) * 2**shift + (rest or 0)
    assert codes["top"][3, 1, 1] == -1177
    assert "channel 3 at (1, 1) has symbol 63, then m = 11, and 245 (8 bits)" in text
    assert f"In all {len(Traced.rows)} symbols are read" in text
    assert f"point − lower is {Traced.rest:x}" in text


def test_the_file_of_made_up_parts():
    text = chapter("## Worked example")
    rows = re.findall(r"^    [0-9a-f]{2}  ([0-9a-f ]+)$", text, flags=re.MULTILINE)
    data = bytes.fromhex(" ".join(rows[:4]))
    picture = read_picture(data)
    assert len(data) == 64
    assert (picture.model, picture.fingerprint.hex()) == (1, "5ec0de01")
    assert (picture.width, picture.height, picture.quality) == (300, 200, 5000)
    assert picture.bands == (range(2), range(2, 4))
    assert picture.parts == ({1: b"\1\2\3", 2: b"\xaa"}, {1: b"\4\5"})
    for end in (44, 48, 51, 56, 63):
        read_picture(data[:end])
    for end in (24, 30, 38, 43):
        with pytest.raises(Refused):
            read_picture(data[:end])
    for offset in range(len(data)):
        altered = data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]
        if offset not in (52, 57):  # a section's length, which may look like a cut
            with pytest.raises(Refused):
                read_picture(altered)
