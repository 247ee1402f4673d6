"""A second decoder: the bytes of a picture or a voice to its codes, written from FORMAT.md alone.

It shares no code with luxvox, so that where both agree, the document says enough and luxvox does
what it says.  Whole numbers throughout, slow and plain; each part names the chapter it follows.
It keeps nothing but the codes.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Tensors = Mapping[str, NDArray[Any]]


class Refused(ValueError):
    """The file is not one that can be decoded."""


class Cut(Refused):
    """The file ends too early."""


def read_codes(data: bytes, tensors: Tensors) -> dict[str, Integers]:
    """Return the codes of a file by level, [stages, groups, h, w], given its model's tensors."""
    picture = read_picture(data)
    if picture.fingerprint != fingerprint(tensors):
        raise Refused("other weights")
    if len(picture.codes) > N_SECTIONS:
        raise Refused("too many code sections")
    streams = {
        n: stream_of(picture.coder, codes) for n, codes in enumerate(picture.codes, 1) if codes
    }
    codes, merged = {}, None
    for name, stride in STRIDES.items():
        level = Level(tensors, name)
        parent = None
        if merged is not None:
            parent = haar(merged, tensors[PARENT_ORDERS[name]].astype(np.int64))
        shape = -(-picture.height // 32) * 32 // stride, -(-picture.width // 32) * 32 // stride
        state = LevelState(level, shape, parent, log_step(picture.quality))
        for index, one in enumerate(passes(name, level.n_groups, level.n_stages)):
            if one.section in streams:
                state.read_pass(index, one, streams[one.section])
        codes[name] = state.codes
        merged = state.known if parent is None else np.concatenate([parent, state.known])
    for stream in streams.values():
        stream.finish()
    return codes


def read_voice_codes(data: bytes, tensors: Tensors, first_stages: int) -> list[Integers]:
    """Return the codes of each channel, [stages, frames]; `first_stages` is in the model card."""
    voice = read_voice(data)
    if voice.fingerprint != fingerprint(tensors):
        raise Refused("other weights")
    level = Level(tensors, "frames")
    walked = voice_passes(level.n_stages, first_stages)
    channels: list[list[Integers]] = [[] for _ in range(voice.channels)]
    period = 2 * voice.channels
    n_whole = len(voice.codes) // period + (len(voice.codes) % period > period - 2)
    for segment in range(n_whole):
        n_frames = min(750, voice.n_frames - 750 * segment)
        for channel, parts in enumerate(channels):
            first = period * segment + 2 * channel
            payloads = enumerate(voice.codes[first : first + 2], 1)
            streams = {n: stream_of(voice.coder, payload) for n, payload in payloads if payload}
            state = LevelState(level, (1, n_frames), None, log_step(voice.quality))
            for index, one in enumerate(walked):
                if one.section in streams:
                    state.read_pass(index, one, streams[one.section])
            for stream in streams.values():
                stream.finish()
            parts.append(state.codes[:, 0, 0])
    return [np.concatenate(parts, 1) for parts in channels]


# Layout


@dataclass(frozen=True)
class Voice:
    """What a voice's file holds, as far as its codes depend on it; quality in hundredths."""

    fingerprint: bytes
    n_frames: int
    channels: int
    quality: int
    coder: int
    codes: tuple[bytes, ...]


@dataclass(frozen=True)
class Picture:
    """What a file holds, as far as its codes depend on it; quality in hundredths."""

    model: int
    fingerprint: bytes
    width: int
    height: int
    quality: int
    coder: int
    codes: tuple[bytes, ...]


class Bytes:
    """The bytes of a file, taken one field after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, size: int) -> bytes:
        self.offset += size
        if self.offset > len(self.data):
            raise Cut("the file ends inside a field")
        return self.data[self.offset - size : self.offset]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.number(1)
            value |= (byte & 127) << shift
            if byte < 128:
                if (byte == 0 and shift) or value >> 32:
                    break
                return value
        raise Refused("not a varint")


def read_picture(data: bytes) -> Picture:
    """Read the container; a file that was cut gives its whole sections."""
    if len(data) < 6 and b"\x89LVX\1\1".startswith(data):
        raise Cut("the file ends inside the header")
    if data[:6] != b"\x89LVX\1\1":
        raise Refused("not a picture of format version 1")
    source = Bytes(data)
    source.take(6)
    model, print_ = source.number(2), source.take(4)
    width, height = source.varint(), source.varint()
    flags, quality = source.number(1), source.number(2)
    coder, n_sections = source.number(1), source.number(1)
    if zlib.crc32(data[: source.offset]) != source.number(4):
        raise Refused("the header was altered")
    if flags > 3 or coder not in (1, 2) or not 100 <= quality <= 10000:
        raise Refused("a header field is out of range")
    if not 1 <= width * height <= 2**30:
        raise Refused("no pixels, or too many")
    sections: dict[int, bytes] = {}
    try:
        for _ in range(n_sections):
            kind, payload = read_section(source)
            if kind <= max(sections, default=0) or 65 <= kind <= 127:
                raise Refused("sections out of order")
            sections[kind] = payload
    except Cut:
        if not sections:
            raise
    else:
        if source.offset < len(data) or flags >> 1 != (64 in sections):
            raise Refused("too much or too little")
    codes = [payload for kind, payload in sections.items() if kind < 64]
    if any(number not in sections for number in range(1, len(codes) + 1)):
        raise Refused("a gap among the code sections")
    return Picture(model, print_, width, height, quality, coder, tuple(codes))


RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


def read_voice(data: bytes) -> Voice:
    """Read the container of a voice; a file that was cut gives its whole sections."""
    if data[:6] != b"\x89LVX\1\2":
        raise Refused("not a voice of format version 1")
    source = Bytes(data)
    source.take(8)
    print_, n_samples = source.take(4), source.varint()
    kind = source.number(1)
    number = kind & 15
    rate = source.varint() if number == 15 else RATES[number] if number < len(RATES) else 0
    source.number(1)  # gain
    quality, coder, n_sections = source.number(2), source.number(1), source.varint()
    if zlib.crc32(data[: source.offset]) != source.number(4):
        raise Refused("the header was altered")
    check_voice_header(kind, coder, quality, n_samples)
    if not 8000 <= rate <= 96000 or (number == 15 and rate in RATES):
        raise Refused("a rate out of range, or spelt out though it has a number")
    channels = 1 + (kind >> 4)
    n_coded = -(-n_samples * 16000 // rate)
    n_frames = -(-n_coded // 320) + 1
    n_codes = 2 * channels * -(-n_frames // 750)
    if n_sections > n_codes + 128:
        raise Refused("more sections than a voice can have")
    sections: list[tuple[int, bytes]] = []
    try:
        for _ in range(n_sections):
            sections.append(read_section(source))
    except Cut:
        if not sections:
            raise
    else:
        if source.offset < len(data) or len(sections) < n_codes:
            raise Refused("too much or too little")
    for position, (section, _) in enumerate(sections[:n_codes]):
        if section != position % (2 * channels) + 1:
            raise Refused("code sections out of order")
    check_other_sections([section for section, _ in sections[n_codes:]])
    if len(sections) < 2 * channels - 1:
        raise Cut("no segment is whole")
    codes = tuple(payload for _, payload in sections[:n_codes])
    return Voice(print_, n_frames, channels, quality, coder, codes)


def check_other_sections(kinds: list[int]) -> None:
    if any(kind < 128 for kind in kinds) or kinds != sorted(set(kinds)):
        raise Refused("other sections out of order")


def check_voice_header(kind: int, coder: int, quality: int, n_samples: int) -> None:
    if kind > 31 or coder not in (1, 2) or not 100 <= quality <= 10000 or not n_samples:
        raise Refused("a header field is out of range")


def read_section(source: Bytes) -> tuple[int, bytes]:
    start = source.offset
    kind, length = source.number(1), source.varint()
    front = source.data[start : source.offset]
    checksum, payload = source.number(2), source.take(length)
    if crc16(front + payload) != checksum:
        raise Refused("a section was altered")
    return kind, payload


def crc16(data: bytes) -> int:
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value >> 15 else 0)) & 0xFFFF
    return value


# Codes and the walk

STRIDES = {"top": 32, "base": 16, "detail": 8}
N_SECTIONS = 4
EVEN, ODD = ((0, 0), (1, 1)), ((0, 1), (1, 0))


class Pass(NamedTuple):
    stages: Sequence[int]
    groups: tuple[int, int]
    phases: tuple[tuple[int, int], ...]
    section: int
    period: int = 2


def passes(level: str, n_groups: int, n_stages: int) -> list[Pass]:
    first, later, every, top_split = [0], range(1, n_stages), (0, n_groups), n_groups // 4
    if level == "top":
        return [
            Pass(first, (0, top_split), ((0, 0),), 1),
            Pass(first, (0, top_split), ((1, 1),), 1),
            Pass(first, (0, top_split), ODD, 1),
            Pass(first, (top_split, n_groups), EVEN, 1),
            Pass(first, (top_split, n_groups), ODD, 1),
            Pass(later, every, EVEN + ODD, 1),
        ]
    if level == "base":
        split = 3 * n_groups // 7
        return [
            Pass(first, (0, split), EVEN, 1),
            Pass(first, (0, split), ODD, 1),
            Pass(first, (split, n_groups), EVEN + ODD, 1),
            Pass(later, every, EVEN + ODD, 2),
        ]
    return [
        Pass(first, every, EVEN, 3),
        Pass(first, every, ODD, 3),
        Pass(later, every, EVEN + ODD, 4),
    ]


def voice_passes(n_stages: int, first_stages: int) -> list[Pass]:
    found = []
    for stage in range(n_stages):
        early = stage < first_stages
        columns = [(0,), (2,), (1, 3)] if early else [(0, 2), (1, 3)]
        for some in columns:
            phases = tuple((0, column) for column in some)
            found.append(Pass([stage], (0, 1), phases, 1 if early else 2, 4))
    return found


class LevelState:
    """What is known of a level in the course of the walk: codes, and Y as `known`."""

    def __init__(
        self, level: Level, shape: tuple[int, int], parent: Integers | None, log_step: int
    ) -> None:
        self.level, self.parent, self.log_step = level, parent, log_step
        self.codes = np.zeros((level.n_stages, level.n_groups, *shape), np.int64)
        self.known = np.zeros((level.n_channels, *shape), np.int64)
        self.earlier = np.zeros(shape, np.int64)  # 1 where an earlier pass was

    def read_pass(self, index: int, one: Pass, stream: Stream) -> None:
        where = np.zeros(self.known.shape[1:], np.int64)
        for row, column in one.phases:
            where[row :: one.period, column :: one.period] = 127
        depth = None
        if self.level.name == "frames":
            depth = np.minimum(6 * (self.codes != 0).sum((0, 1)), 127)
        planes = input_planes(self.known, self.parent, where, self.log_step, depth)
        features = self.level.trunk(planes, index)
        for stage in one.stages:
            self.read_stage(stage, (index, one), np.argwhere(where), features, stream)
        self.earlier = np.maximum(self.earlier, where // 127)

    def mean(self, g: int, y: int, x: int, known: Integers) -> int:
        """Mean of the known neighbours, those beside and above counting twice."""
        total = weight = 0
        for r, s in np.ndindex(3, 3):
            v, u = y + r - 1, x + s - 1
            inside = 0 <= v < known.shape[0] and 0 <= u < known.shape[1]
            if inside and (r, s) != (1, 1) and known[v, u]:
                n = 2 if 1 in (r, s) else 1
                total, weight = total + n * int(self.known[g, v, u]), weight + n
        return (2 * total + weight) // (2 * weight)

    def read_stage(
        self,
        stage: int,
        place: tuple[int, Pass],
        positions: Integers,
        features: Integers,
        stream: Stream,
    ) -> None:
        index, one = place
        known = self.earlier
        groups = range(*one.groups)
        leans = stage == 0 and 0 < index < 3 and self.level.name == "top"
        hidden = {}  # of the places whose flag is 1
        rows, columns = positions.T
        before = self.codes[stage - 1, groups.start : groups.stop][:, rows, columns]
        if before.any() if stage else len(positions):
            stream.begin()
        for y, x in positions:
            for g in groups:
                word = int(self.codes[stage - 1, g, y, x]) if stage else None
                if word == 0:
                    continue
                vector = self.level.hidden(stage, g, features[:, y, x], word)
                flag = self.level.flag_logits(stage, g, vector)
                if leans:
                    mean = self.mean(g, y, x, known)
                    flag[0] -= self.level.cost(g, vector, abs(mean))
                if stream.pull(pmf(flag)):
                    hidden[g, y, x] = vector
        for g in groups:
            n_words = 0
            for y, x in positions:
                if (g, y, x) in hidden:
                    if n_words % 2**14 == 0:
                        stream.begin()
                    n_words += 1
                    logits = self.level.word_logits(stage, g, hidden[g, y, x])
                    if leans:
                        mean = self.mean(g, y, x, known)
                        far = np.abs(self.level["codewords"][0, 1:, g] - mean)
                        logits = logits - self.level.cost(g, hidden[g, y, x], far)
                    self.codes[stage, g, y, x] = stream.pull(pmf(logits)) + 1
        for g, y, x in hidden:
            channels = self.level.channels(g)
            words = self.level["codewords"][stage, self.codes[stage, g, y, x]]
            self.known[channels, y, x] += words[channels]


# Context model arithmetic

PARENT_ORDERS = {"base": "order_32", "detail": "order_16"}


def shifted(a: Integers, shift: int) -> Integers:
    """Round a / 2^shift; `round` of the document."""
    rounded: Integers = (a + (1 << shift - 1)) >> shift
    return rounded


def compand(v: Integers) -> Integers:
    u = 2 * np.minimum(np.abs(v), 32767) + 8
    exponent = np.frexp(u)[1] - 1
    companded: Integers = np.sign(v) * (8 * (exponent - 3) + (u >> (exponent - 3)) - 8)
    return companded


def fingerprint(tensors: Tensors) -> bytes:
    digest = hashlib.sha256()
    types = {"uint8": "u1", "int8": "i1", "int16": "i2", "int32": "i4"}
    for name in sorted(tensors):
        if name.startswith(("context.", "order_")):
            values = tensors[name]
            kind = types[values.dtype.name]
            digest.update(f"{name} {kind} {values.shape}\n".encode())
            digest.update(values.astype("<" + kind).tobytes())
    return digest.digest()[:4]


def log_step(quality: int) -> int:
    return 127 - (508 * (quality - 100) + 9900) // 19800


def haar(merged: Integers, order: Integers) -> Integers:
    """Bring what is known of the levels above, M, to the grid of this one: P."""
    ordered = np.zeros_like(merged)
    ordered[order] = merged
    m, h, v, d = (ordered[band::4] for band in range(4))
    channels, rows, columns = m.shape
    parent = np.zeros((channels, 2 * rows, 2 * columns), np.int64)
    parent[:, 0::2, 0::2] = (m + h + v + d) // 2
    parent[:, 0::2, 1::2] = (m - h + v - d) // 2
    parent[:, 1::2, 0::2] = (m + h - v - d) // 2
    parent[:, 1::2, 1::2] = (m - h - v + d) // 2
    return parent


def input_planes(
    known: Integers,
    parent: Integers | None,
    where: Integers,
    log_step: int,
    depth: Integers | None = None,
) -> Integers:
    planes = [compand(known)]
    if parent is not None:
        edged = np.pad(parent[:4], ((0, 0), (1, 1), (1, 1)), mode="edge")
        across = edged[:, 1:-1, 2:] - edged[:, 1:-1, :-2]
        down = edged[:, 2:, 1:-1] - edged[:, :-2, 1:-1]
        planes += [compand(parent), compand(across), compand(down)]
    if depth is not None:
        planes.append(depth[None])
    steps = [np.full_like(where, log_step), np.full_like(where, log_step**2 // 128)]
    return np.concatenate([*planes, np.stack([where, *steps])])


class Level:
    """The tensors of a level, by their names without `context.LEVEL.`."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self.name = name
        prefix = f"context.{name}."
        self._tensors = {
            key.removeprefix(prefix): values.astype(np.int64)
            for key, values in tensors.items()
            if key.startswith(prefix)
        }
        if "exponents" in self._tensors:
            self._tensors["codewords"] <<= self["exponents"][:, None]
        self._ends = np.cumsum(self["groups"])
        self.n_groups = len(self["groups"])
        self.n_stages, _, self.n_channels = self["codewords"].shape

    def __getitem__(self, name: str) -> Integers:
        return self._tensors[name]

    def channels(self, group: int) -> slice:
        end = int(self._ends[group])
        return slice(end - int(self["groups"][group]), end)

    def trunk(self, planes: Integers, index: int) -> Integers:
        x = planes
        for layer, shift in (("conv1", 8), ("conv2", 7), ("conv3", 8), ("conv4", 7)):
            bias = self[f"{layer}.bias"]
            bias = bias[index] if layer == "conv1" else bias
            total = convolved(x, self[f"{layer}.weight"]) + bias[:, None, None]
            x = np.clip(shifted(total, shift), 0, 127)
        return x

    def hidden(self, stage: int, group: int, features: Integers, before: int | None) -> Integers:
        total = self["head.weight"][stage, group] @ features + self["head.bias"][stage, group]
        hidden = shifted(total, 7)
        if before is not None:
            hidden = hidden + self["embedding"][stage - 1, group, before]
        return np.clip(hidden, -127, 127)

    def cost(self, group: int, hidden: Integers, distance: Integers | int) -> Integers:
        """What a distance takes off a logit, by the slope of the group."""
        total = self["slope.weight"][group] @ hidden + self["slope.bias"][group]
        u = int(np.clip(shifted(total, 5), 0, 96))
        base = (256, 279, 304, 332, 362, 395, 431, 470)
        slope = (base[u % 8] << u // 8) >> 8
        return shifted(slope * np.minimum(distance, 4095), 10)

    def flag_logits(self, stage: int, group: int, hidden: Integers) -> Integers:
        total = self["flag.weight"][stage, group] @ hidden + self["flag.bias"][stage, group]
        return np.array([shifted(total, 5), 0])

    def word_logits(self, stage: int, group: int, hidden: Integers) -> Integers:
        total = self["table.weight"][stage, group] @ hidden + self["table.bias"][stage, group]
        return shifted(total, 5)


def convolved(x: Integers, weight: Integers) -> Integers:
    """Σ weight · input, 0 outside the grid; taps 3×3, 1×3 or 1×1."""
    _, rows, columns = x.shape
    above, beside = weight.shape[2] // 2, weight.shape[3] // 2
    padded = np.pad(x, ((0, 0), (above, above), (beside, beside)))
    total = np.zeros((len(weight), rows, columns), np.int64)
    for r, s in np.ndindex(weight.shape[2:]):
        total += np.tensordot(weight[:, :, r, s], padded[:, r : r + rows, s : s + columns], 1)
    return total


# PMF

BASE = np.array(
    (
        *(65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393),
        *(46341, 44376, 42495, 40693, 38968, 37316, 35734, 34219),
    )
)


def pmf(logits: Integers) -> Integers:
    """Turn logits in 1/16 bit into counts that sum to 2¹⁶."""
    distances = logits.max() - logits
    weights = np.maximum(1, BASE[distances % 16] >> np.minimum(distances // 16, 17))
    counts: Integers = 1 + weights * (2**16 - len(logits)) // weights.sum()
    counts[distances.argmin()] += 2**16 - counts.sum()
    return counts


# Range coder

WORD, STATE = 1 << 32, 1 << 64


def boundaries(counts: Integers) -> Integers:
    """Map counts that sum to 2¹⁶ to boundaries from 0 to 2²⁴."""
    size = len(counts)
    result = np.full(size + 1, 2**24)
    below = np.cumsum(counts) - counts
    result[:-1] = below * (2**24 - size) // 2**16 + np.arange(size)
    return result


class Stream(Protocol):
    """Gives the symbols of one section."""

    def begin(self) -> None: ...
    def pull(self, counts: Integers) -> int: ...
    def finish(self) -> None: ...


def stream_of(coder: int, payload: bytes) -> Stream:
    return RangeDecoder(payload) if coder == 1 else BatchDecoder(payload)


class RangeDecoder:
    """Coder 1: reads the symbols of one section."""

    def __init__(self, data: bytes) -> None:
        if len(data) > 1 and data[-1] == 0:
            raise Refused("a zero byte at the end")
        data = data + bytes(-len(data) % 4)
        self._words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self._n_symbols, self._n_read = 0, 0
        self._lower, self._range = 0, STATE - 1
        self._point = self._next_word() * WORD + self._next_word()

    def begin(self) -> None:
        """Begin a batch, which this coder knows nothing of."""

    def pull(self, counts: Integers) -> int:
        """Return the next symbol."""
        bounds = boundaries(counts)
        scale = self._range // 2**24
        quantile = (self._point - self._lower) % STATE // scale
        if quantile >= 2**24:
            raise Refused("no such symbol")
        symbol = int(np.searchsorted(bounds, quantile, side="right")) - 1
        low, high = int(bounds[symbol]), int(bounds[symbol + 1])
        self._lower = (self._lower + scale * low) % STATE
        self._range = scale * (high - low)
        if self._range < WORD:
            self._lower = self._lower * WORD % STATE
            self._range *= WORD
            self._point = self._point * WORD % STATE + self._next_word()
        self._n_symbols += 1
        return symbol

    def finish(self) -> None:
        """Refuse bytes that no symbol used."""
        used_up = self._n_read >= len(self._words)
        rest = (self._point - self._lower) % STATE
        if not (self._n_symbols and used_up and rest < 2 * WORD - 1):
            raise Refused("bytes are left")

    def _next_word(self) -> int:
        self._n_read += 1
        return self._words[self._n_read - 1] if self._n_read <= len(self._words) else 0


class BatchDecoder:
    """Coder 2: reads the symbols of one section, batch after batch."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset = data, 0
        self._bits: Iterator[int] = iter(())
        self._low, self._high, self._value = 0, 0, 0

    def begin(self) -> None:
        """Begin the next batch."""
        start = self._offset + 4
        end = start + int.from_bytes(self._data[self._offset : start], "little")
        if end > len(self._data) or start > len(self._data):
            raise Refused("a batch is missing or too long")
        batch, self._offset = self._data[start:end], end
        self._bits = iter([byte >> shift & 1 for byte in batch for shift in range(7, -1, -1)])
        self._low, self._high, self._value = 0, WORD - 1, 0
        for _ in range(32):
            self._value = 2 * self._value + next(self._bits, 0)

    def pull(self, counts: Integers) -> int:
        """Return the next symbol."""
        bounds = [0, *np.cumsum(counts).tolist()]
        span = self._high - self._low + 1
        quantile = ((self._value - self._low + 1) * 2**16 - 1) // span
        symbol = int(np.searchsorted(bounds, quantile, side="right")) - 1
        self._high = self._low - 1 + span * bounds[symbol + 1] // 2**16
        self._low += span * bounds[symbol] // 2**16
        half, quarter = WORD // 2, WORD // 4
        while True:
            if self._high < half:
                offset = 0
            elif self._low >= half:
                offset = half
            elif self._low >= quarter and self._high < 3 * quarter:
                offset = quarter
            else:
                return symbol
            self._low = 2 * (self._low - offset)
            self._high = 2 * (self._high - offset) + 1
            self._value = 2 * (self._value - offset) + next(self._bits, 0)

    def finish(self) -> None:
        """Refuse bytes behind the last batch."""
        if self._offset != len(self._data):
            raise Refused("bytes are left")
