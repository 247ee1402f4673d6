"""FORMAT.md, Codes of pictures: parts to codes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from luxvox.tests.second_decoder.arithmetic import (
    Integers,
    Tensors,
    compand,
    convolve,
    fingerprint,
    log_step,
    round_shift,
)
from luxvox.tests.second_decoder.coders import Stream, stream_of
from luxvox.tests.second_decoder.container import Picture, Refused, read_picture

CODE_MAX = 32767
NO_SYMBOLS = b"\0"
STRIDES = {"apex": 64, "top": 32, "base": 16, "detail": 8}

# Levels, slices and passes

EVEN, ODD = ((0, 0), (1, 1)), ((0, 1), (1, 0))
FIRST_END = {"apex": 8, "top": 8, "base": 24, "detail": 16}  # of the first slice
SECTIONS = {"apex": (1, 1), "top": (2, 2), "base": (3, 4), "detail": (5, 6)}


class Pass(NamedTuple):
    """The channels and positions of one evaluation, and the section of its symbols."""

    first: int
    end: int
    phases: tuple[tuple[int, int], ...]
    section: int


def passes(level: str, n_channels: int, joined: bool = False) -> list[Pass]:
    split, (first_section, second_section) = FIRST_END[level], (1, 1) if joined else SECTIONS[level]
    halves = (EVEN, ODD)
    start = (((0, 0),), ((1, 1),), ODD) if level == "apex" else halves
    first_passes = [Pass(0, split, phases, first_section) for phases in start]
    return first_passes + [Pass(split, n_channels, phases, second_section) for phases in halves]


def read_codes(data: bytes, tensors: Tensors) -> dict[str, Integers]:
    """Return the codes of a file by level, [channels, h, w], given its model's tensors."""
    picture = read_picture(data)
    if picture.fingerprint != fingerprint(tensors):
        raise Refused("other weights")
    bands = [
        read_band(picture, tensors, len(rows), payloads)
        for rows, payloads in zip(picture.bands, picture.parts, strict=True)
    ]
    return {level: np.concatenate([band[level] for band in bands], 1) for level in STRIDES}


def read_band(
    picture: Picture, tensors: Tensors, n_cell_rows: int, payloads: dict[int, bytes]
) -> dict[str, Integers]:
    sections = {
        n: Section(stream_of(picture.coder, payload), payload) for n, payload in payloads.items()
    }
    counts = tensors["context.tables"].astype(np.int64)
    cells = n_cell_rows, -(-picture.width // 64)
    state, codes = None, {}
    for name, stride in STRIDES.items():
        shape = 64 // stride * cells[0], 64 // stride * cells[1]
        level = Level(tensors, name, shape, state, log_step(picture.quality))
        for number, pass_ in enumerate(passes(name, len(level.codes), picture.joined)):
            if pass_.section in sections:
                level.read_pass(number, pass_, sections[pass_.section], counts)
        codes[name] = level.codes
        if name != "detail":
            state = level.next_state()
    for section in sections.values():
        section.finish()
    return codes


class Section:
    """The symbols of a section, and whether any was read."""

    def __init__(self, stream: Stream, payload: bytes) -> None:
        self._stream, self._payload = stream, payload
        self._used = False
        self._n_left = 0

    def begin(self) -> None:
        """Begin a run of symbols."""
        self._n_left = 0

    def pull(self, counts: Integers) -> int:
        if not self._n_left:
            self._stream.begin()
            self._n_left = 2**14
        self._n_left -= 1
        self._used = True
        return self._stream.pull(counts)

    def plain(self, n_bits: int) -> int:
        return self.pull(np.full(2**n_bits, 2 ** (16 - n_bits)))

    def finish(self) -> None:
        if self._used:
            self._stream.finish()
        elif self._payload != NO_SYMBOLS:
            raise Refused("bytes of which no symbol is read")


# The context network


class Level:
    """What is known about a level during the walk, and its tensors."""

    def __init__(
        self,
        tensors: Tensors,
        name: str,
        shape: tuple[int, int],
        state: Integers | None,
        p: int,
    ) -> None:
        prefix = f"context.{name}."
        self._tensors = {
            key.removeprefix(prefix): values.astype(np.int64)
            for key, values in tensors.items()
            if key.startswith(prefix)
        }
        n_channels = FIRST_END[name] + len(self._tensors[f"pass{last_pass(name)}.out.bias"]) // 2
        self.codes = np.zeros((n_channels, *shape), np.int64)
        steps = np.broadcast_to(np.array([p, p * p // 128])[:, None, None], (2, *shape))
        self._state = steps if state is None else np.concatenate([state, steps])

    def _layer(self, name: str, x: Integers) -> Integers:
        """Return Σ w·x + b of a matrix at each position."""
        total: Integers = np.tensordot(self._tensors[f"{name}.weight"], x, 1)
        return total + self._tensors[f"{name}.bias"][:, None, None]

    def next_state(self) -> Integers:
        planes = np.concatenate([compand(16 * self.codes), self._state])
        x = convolve(planes, self._tensors["spread.weight"])
        x = activate(x + self._tensors["spread.bias"][:, None, None], 8)
        x = activate(self._layer("grow", x), 7)
        n, rows, columns = x.shape
        grown = x.reshape(n // 4, 2, 2, rows, columns).transpose(0, 3, 1, 4, 2)
        return grown.reshape(n // 4, 2 * rows, 2 * columns)

    def predict(self, number: int, pass_: Pass) -> tuple[Integers, Integers]:
        """Return means in 1/8 step and scales on the whole grid, [channels, h, w]."""
        name = f"pass{number}"
        x = np.tensordot(self._tensors[f"{name}.state.weight"], self._state, 1)
        x = x + self._tensors[f"{name}.own.bias"][:, None, None]
        if f"{name}.own.weight" in self._tensors:
            weight = self._tensors[f"{name}.own.weight"]
            x = x + convolve(compand(16 * self.codes[: weight.shape[1]]), weight)
        x = activate(x, 8)
        x = activate(self._layer(f"{name}.mid", x), 7)
        mean, scale = np.split(round_shift(self._layer(f"{name}.out", x), 9), 2)
        if f"{name}.line.weight" in self._tensors:
            for c, taps in enumerate(self._tensors[f"{name}.line.weight"]):
                own = self.codes[pass_.first + c][None]
                mean[c] += round_shift(convolve(own, taps.reshape(1, 1, 3, 3))[0], 4)
        return np.clip(mean, -8 * CODE_MAX, 8 * CODE_MAX), np.clip(scale, 0, 55)

    def read_pass(self, number: int, pass_: Pass, section: Section, counts: Integers) -> None:
        mean, scale = self.predict(number, pass_)
        where = np.zeros(self.codes.shape[1:], bool)
        for row, column in pass_.phases:
            where[row::2, column::2] = True
        positions = [
            (y, x, c)
            for y, x in np.argwhere(where).tolist()
            for c in range(pass_.end - pass_.first)
        ]
        codings = {
            (y, x, c): coding_of(int(mean[c, y, x]), int(scale[c, y, x])) for y, x, c in positions
        }
        codes = read_positions(codings, section, counts)
        for (y, x, c), code in codes.items():
            self.codes[pass_.first + c, y, x] = code


def last_pass(level: str) -> int:
    return 4 if level == "apex" else 3


def activate(total: Integers, shift: int) -> Integers:
    return np.clip(round_shift(total, shift), 0, 127)


# Means and scales to codes

Place = tuple[int, int, int]


class Coding(NamedTuple):
    """How one code is coded; its table is None if it is silent."""

    base: int
    table: int | None
    shift: int


def coding_of(mean: int, scale: int) -> Coding:
    base, fraction = divmod(mean + 4, 8)
    if scale == 0:
        return Coding(base, None, 0)
    if scale <= 26:
        return Coding(base, 8 * scale + fraction, 0)
    shift = (scale - 23) // 4
    return Coding(base - 2 ** (shift - 1), 8 * (scale - 4 * shift) + 4, shift)


def read_positions(
    codings: dict[Place, Coding], section: Section, counts: Integers
) -> dict[Place, int]:
    """Read the codes of a pass: tables first, then plain bits, then escapes."""
    coded = {position: coding for position, coding in codings.items() if coding.table is not None}
    symbols, rests = {}, dict.fromkeys(coded, 0)
    section.begin()
    for position in sorted(coded, key=lambda position: coded[position].table or 0):
        symbols[position] = section.pull(counts[coded[position].table])
    for shift in range(1, 9):
        section.begin()
        for position, coding in coded.items():
            if coding.shift == shift:
                rests[position] = section.plain(shift)
    codes = {position: coding.base for position, coding in codings.items()}
    for position, coding in coded.items():
        symbol = symbols[position]
        quotient = read_escape(section) if symbol == 63 else symbol - 31
        codes[position] += quotient * 2**coding.shift + rests[position]
        if abs(codes[position]) > CODE_MAX:
            raise Refused("a code out of range")
    return codes


def read_escape(section: Section) -> int:
    section.begin()
    n_bits = int(section.plain(5))
    if not 1 <= n_bits <= 16:
        raise Refused("an escape of no legal length")
    value: int = 2**n_bits
    for start in range(0, n_bits, 8):
        section.begin()
        value += section.plain(min(8, n_bits - start)) * 2**start
    magnitude = value // 2 + 31
    return -magnitude if value % 2 else magnitude
