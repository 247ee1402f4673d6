"""FORMAT.md, Codes of voices: sections to codes."""

from __future__ import annotations

from collections.abc import Sequence
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
from luxvox.tests.second_decoder.coders import Stream, pmf, stream_of
from luxvox.tests.second_decoder.container import Refused, read_voice


def read_voice_codes(data: bytes, tensors: Tensors, first_stages: int) -> list[Integers]:
    """Return the codes of each channel, [stages, frames]; `first_stages` is in the model card."""
    voice = read_voice(data)
    if voice.fingerprint != fingerprint(tensors):
        raise Refused("other weights")
    level = Level(tensors, "frames")
    passes = voice_passes(level.n_stages, first_stages)
    channels: list[list[Integers]] = [[] for _ in range(voice.channels)]
    period = 2 * voice.channels
    n_whole = len(voice.codes) // period + (len(voice.codes) % period > period - 2)
    for segment in range(n_whole):
        n_frames = min(750, voice.n_frames - 750 * segment)
        for channel, parts in enumerate(channels):
            first = period * segment + 2 * channel
            payloads = enumerate(voice.codes[first : first + 2], 1)
            streams = {n: stream_of(voice.coder, payload) for n, payload in payloads if payload}
            state = LevelState(level, (1, n_frames), log_step(voice.quality))
            for index, pass_ in enumerate(passes):
                if pass_.section in streams:
                    state.read_pass(index, pass_, streams[pass_.section])
            for stream in streams.values():
                stream.finish()
            parts.append(state.codes[:, 0, 0])
    return [np.concatenate(parts, 1) for parts in channels]


class Pass(NamedTuple):
    stages: Sequence[int]
    groups: tuple[int, int]
    phases: tuple[tuple[int, int], ...]
    section: int
    period: int


def voice_passes(n_stages: int, first_stages: int) -> list[Pass]:
    passes = []
    for stage in range(n_stages):
        early = stage < first_stages
        columns = [(0,), (2,), (1, 3)] if early else [(0, 2), (1, 3)]
        for group in columns:
            phases = tuple((0, column) for column in group)
            passes.append(Pass([stage], (0, 1), phases, 1 if early else 2, 4))
    return passes


class LevelState:
    """What is known about a level during the walk: codes, and Y as `known`."""

    def __init__(self, level: Level, shape: tuple[int, int], log_step: int) -> None:
        self.level, self.log_step = level, log_step
        self.codes = np.zeros((level.n_stages, level.n_groups, *shape), np.int64)
        self.known = np.zeros((level.n_channels, *shape), np.int64)

    def read_pass(self, index: int, pass_: Pass, stream: Stream) -> None:
        where = np.zeros(self.known.shape[1:], np.int64)
        for row, column in pass_.phases:
            where[row :: pass_.period, column :: pass_.period] = 127
        depth = np.minimum(6 * (self.codes != 0).sum((0, 1)), 127)
        planes = input_planes(self.known, depth, where, self.log_step)
        features = self.level.trunk(planes, index)
        for stage in pass_.stages:
            self.read_stage(stage, pass_, np.argwhere(where), features, stream)

    def read_stage(
        self,
        stage: int,
        pass_: Pass,
        positions: Integers,
        features: Integers,
        stream: Stream,
    ) -> None:
        groups = range(*pass_.groups)
        hidden = {}  # of the positions whose flag is 1
        rows, columns = positions.T
        before = self.codes[stage - 1, groups.start : groups.stop][:, rows, columns]
        if before.any() if stage else len(positions):
            stream.begin()
        for y, x in positions:
            for g in groups:
                previous = int(self.codes[stage - 1, g, y, x]) if stage else None
                if previous == 0:
                    continue
                vector = self.level.hidden_vector(stage, g, features[:, y, x], previous)
                flag = self.level.flag_logits(stage, g, vector)
                if stream.pull(pmf(flag)):
                    hidden[g, y, x] = vector
        for g in groups:
            n_coded = 0
            for y, x in positions:
                if (g, y, x) in hidden:
                    if n_coded % 2**14 == 0:
                        stream.begin()
                    n_coded += 1
                    logits = self.level.codeword_logits(stage, g, hidden[g, y, x])
                    self.codes[stage, g, y, x] = stream.pull(pmf(logits)) + 1
        for g, y, x in hidden:
            channels = self.level.channels(g)
            codewords = self.level["codewords"][stage, self.codes[stage, g, y, x]]
            self.known[channels, y, x] += codewords[channels]


def input_planes(known: Integers, depth: Integers, where: Integers, log_step: int) -> Integers:
    steps = [np.full_like(where, log_step), np.full_like(where, log_step**2 // 128)]
    return np.concatenate([compand(known), np.stack([depth, where, *steps])])


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
            total = convolve(x, self[f"{layer}.weight"]) + bias[:, None, None]
            x = np.clip(round_shift(total, shift), 0, 127)
        return x

    def hidden_vector(
        self, stage: int, group: int, features: Integers, before: int | None
    ) -> Integers:
        total = self["head.weight"][stage, group] @ features + self["head.bias"][stage, group]
        hidden = round_shift(total, 7)
        if before is not None:
            hidden = hidden + self["embedding"][stage - 1, group, before]
        return np.clip(hidden, -127, 127)

    def flag_logits(self, stage: int, group: int, hidden: Integers) -> Integers:
        total = self["flag.weight"][stage, group] @ hidden + self["flag.bias"][stage, group]
        return np.array([round_shift(total, 5), 0])

    def codeword_logits(self, stage: int, group: int, hidden: Integers) -> Integers:
        total = self["table.weight"][stage, group] @ hidden + self["table.bias"][stage, group]
        return round_shift(total, 5)
