"""Exactness: the same codes give the same probabilities and bytes, however they are come by.

Threads, number types, memory layouts, batches, and what a caller has set in torch must not matter.
`.ci/exactness TORCH NUMPY` runs this module and the golden files under other versions of both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import luxvox
from luxvox.codec import container, pictures
from luxvox.codec.rate import centi_to_position
from luxvox.entropy import coders, context, layers, walk
from luxvox.entropy.context import Context
from luxvox.entropy.pmf import counts_from_logits
from luxvox.entropy.walk import CodesDecoder, CodesEncoder, known
from luxvox.models.cards import find_card
from luxvox.models.catalogue import picture_codec
from luxvox.tests.second_decoder import Level, LevelState, RangeDecoder, haar, passes, pmf

SHAPES = {"top": (3, 5), "base": (6, 10), "detail": (12, 20)}
POSITION = -30


class Recorder:
    """Visitor that keeps the counts of every symbol of given codes, in the order of the file."""

    def __init__(self, codes):
        self._source = known(codes)
        self.counts = []

    def wants(self, section):
        return section > 0

    def visit(self, prediction):
        codes = self._source(prediction)
        self.counts.extend(prediction.flag_counts())
        for group in range(codes.shape[1]):
            rows = np.flatnonzero(codes[:, group])
            self.counts.extend(prediction.code_counts(group, rows))
        return codes


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Everything that must be the same: the counts of all symbols, the bytes of all sections."""

    counts: list
    sections: dict

    def assert_equals(self, other):
        assert self.sections == other.sections
        assert len(self.counts) == len(other.counts)
        for one, two in zip(self.counts, other.counts, strict=True):
            np.testing.assert_array_equal(one, two)


def outcome_of(model, codes):
    recorder, encoder = Recorder(codes), CodesEncoder(known(codes), coders.CONSTRICTION)
    walk.walk(model, SHAPES, POSITION, recorder)
    walk.walk(model, SHAPES, POSITION, encoder)
    sections = encoder.sections()
    decoder = CodesDecoder(sections, coders.CONSTRICTION)
    decoded = walk.walk(model, SHAPES, POSITION, decoder)
    decoder.finish()
    for level, array in codes.items():
        np.testing.assert_array_equal(decoded[level], array)
    return Outcome(recorder.counts, sections)


@pytest.fixture(scope="module")
def codes(small):
    return dataclasses.replace(small, shapes=SHAPES).random_codes(11)


@pytest.fixture(scope="module")
def expected(small, codes):
    outcome = outcome_of(small.context, codes)
    assert set(outcome.sections) == {1, 2, 3, 4}
    return outcome


@pytest.fixture(scope="module")
def shipped_tensors():
    return load_file(find_card("picture").with_suffix(".safetensors"))


def shipped_file(quality=70):
    y, x = np.mgrid[:70, :90]
    waves = 128 + 80 * np.sin(x / 7) + 30 * np.cos(y / 4)
    picture = np.stack([waves, 250 - x - y, 40 + 2 * y + (x // 16 % 2) * 30], -1)
    noise = np.random.default_rng(4).normal(0, 10, picture.shape)
    return luxvox.compress_image(np.clip(picture + noise, 0, 255).astype(np.uint8), quality)


# --- number types ----------------------------------------------------------------------------


class CodesOf(RangeDecoder):
    """Stands in for the range decoder of the second decoder: keeps counts, gives known symbols."""

    def __init__(self, symbols):
        super().__init__(b"\0")
        self._symbols = iter(symbols)
        self.counts = []

    def pull(self, counts):
        self.counts.append(counts)
        return next(self._symbols)


def symbols_of(model, codes):
    """The symbols of all codes in the order of the file."""

    class Lister(Recorder):
        def visit(self, prediction):
            some = self._source(prediction)
            self.counts.extend((some[prediction.alive] != 0).astype(int).tolist())
            for group in range(some.shape[1]):
                column = some[:, group]
                self.counts.extend((column[column != 0].astype(int) - 1).tolist())
            return some

    lister = Lister(codes)
    walk.walk(model, SHAPES, POSITION, lister)
    return lister.counts


def tensors_of(model):
    """The tables of a small model as its weights file would hold them."""
    tensors = {}
    for name, level in model.levels.items():
        sizes = (level.slots < level.shape.n_channels).sum(1)
        stages, groups, size, _ = level.codewords.shape
        books = np.zeros((stages, size, level.shape.n_channels), np.int16)
        for group in range(groups):
            n = int(sizes[group])
            books[:, :, level.slots[group, :n].numpy()] = level.codewords[:, group, :, :n].numpy()
        tensors[f"context.{name}.codewords"] = books
        tensors[f"context.{name}.groups"] = sizes.numpy().astype(np.uint8)
        for key, values in level.tensors.items():
            tensors[f"context.{name}.{key}"] = values.numpy().astype(np.int64)
    return tensors


def test_whole_numbers_of_64_bits_give_the_same(small, codes, expected):
    """The second decoder computes in int64 alone and shares no code with the first."""
    tensors = tensors_of(small.context)
    stream = CodesOf(symbols_of(small.context, codes))
    merged = None
    for name, shape in SHAPES.items():
        level = Level(tensors, name)
        order = small.context.levels[name].parent_order
        parent = None
        if merged is not None:
            parent = haar(merged, np.argsort(order.numpy()))
        state = LevelState(level, shape, parent, POSITION)
        for index, one in enumerate(passes(name, level.n_groups, level.n_stages)):
            state.read_pass(index, one, stream)
        np.testing.assert_array_equal(state.codes, codes[name])
        merged = state.known if parent is None else np.concatenate([parent, state.known])
    Outcome(stream.counts, expected.sections).assert_equals(expected)


def test_floats_of_64_bits_give_the_same(small, codes, expected):
    levels = {
        name: dataclasses.replace(
            level,
            codewords=level.codewords.double(),
            tensors={key: values.double() for key, values in level.tensors.items()},
        )
        for name, level in small.context.levels.items()
    }
    outcome_of(Context(small.context.plan, levels), codes).assert_equals(expected)


@pytest.mark.parametrize("size", [2, 3, 255, 1023])
def test_counts_in_whole_numbers_of_64_bits(size):
    logits = np.random.default_rng(size).integers(-900, 900, (200, size)).astype(np.int32)
    logits[0], logits[1] = 0, np.arange(size) * 300
    counts = counts_from_logits(logits)
    for row, line in zip(counts, logits, strict=True):
        assert pmf(line.astype(np.int64)).tolist() == row.tolist()
    assert (counts.sum(1) == 1 << 16).all()


# --- threads, layouts, batches ---------------------------------------------------------------


@pytest.mark.parametrize("n_threads", sorted({1, 2, 3, os.cpu_count() or 1}))
def test_threads_do_not_matter(small, codes, expected, n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        outcome_of(small.context, codes).assert_equals(expected)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("weights", [torch.contiguous_format, torch.channels_last])
def test_memory_layouts_do_not_matter(small, codes, expected, monkeypatch, layout, weights):
    def trunk(inputs, tensors, index):
        laid = {
            key: values.contiguous(memory_format=weights) if values.ndim == 4 else values
            for key, values in tensors.items()
            if key.startswith("conv")
        }
        return layers.trunk(inputs.contiguous(memory_format=layout), laid, index)

    monkeypatch.setattr(context, "trunk", trunk)
    outcome_of(small.context, codes).assert_equals(expected)


@pytest.mark.parametrize(("positions", "rows", "words"), [(1, 1, 1), (1, 7, 3), (50, 3, 1 << 20)])
def test_batches_do_not_matter(small, codes, expected, monkeypatch, positions, rows, words):
    monkeypatch.setattr(context, "STRIP_POSITIONS", positions)
    monkeypatch.setattr(context, "ROWS_AT_ONCE", rows)
    monkeypatch.setattr(walk, "BATCH", words)
    outcome_of(small.context, codes).assert_equals(expected)


# --- what a caller has set in torch ----------------------------------------------------------


@contextlib.contextmanager
def setting(setter, value, before):
    setter(value)
    try:
        yield
    finally:
        setter(before)


def precision(value):
    return setting(torch.set_float32_matmul_precision, value, torch.get_float32_matmul_precision())


@contextlib.contextmanager
def without_onednn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of flags that other processors have
        with torch.backends.mkldnn.flags(enabled=False):
            yield


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "half-precision products": lambda: precision("medium"),
    "float64 by default": lambda: setting(
        torch.set_default_dtype, torch.float64, torch.get_default_dtype()
    ),
    "another device by default": lambda: torch.device("meta"),
    "deterministic algorithms": lambda: setting(torch.use_deterministic_algorithms, True, False),
    "inference mode": torch.inference_mode,
    "gradients": torch.enable_grad,
    "no oneDNN": without_onednn,
}


@pytest.mark.parametrize("surroundings", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_settings_of_torch_do_not_matter(small, codes, expected, surroundings):
    with surroundings():
        outcome = outcome_of(small.context, codes)
    outcome.assert_equals(expected)


# --- shipped weights -------------------------------------------------------------------------


def test_shipped_weights_write_the_same_bytes_under_any_number_of_threads():
    """Analysis is float; but what is written must be what is read, and the codes decide it."""
    data = shipped_file()
    codes = pictures.codes(data)
    content = container.read(data)
    position = centi_to_position(content.header.quality_centi)
    shapes = {level: array.shape[2:] for level, array in codes.items()}
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            encoder = CodesEncoder(known(codes), coders.CONSTRICTION)
            walk.walk(picture_codec().context, shapes, position, encoder)
            assert tuple(encoder.sections().values()) == content.codes
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_what_a_gpu_encodes_is_read_without_one(shipped_tensors):
    from luxvox.tests.second_decoder import read_codes

    y, x = np.mgrid[:70, :90]
    picture = np.stack([128 + 90 * np.sin(x / 7), 2 * y, x], -1).clip(0, 255).astype(np.uint8)
    data = luxvox.compress_image(picture, 70, device="cuda")
    codes = pictures.codes(data)
    for level, array in read_codes(data, shipped_tensors).items():
        np.testing.assert_array_equal(codes[level], array)
    assert luxvox.decompress_image(data).shape == picture.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_trunk_is_the_same_on_a_gpu_in_64_bits(small):
    level = small.context.levels["detail"]
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(-127, 128, (2, level.shape.n_inputs, 9, 12), generator=generator)
    index = torch.tensor([0, 2])
    there = {key: values.double().cuda() for key, values in level.tensors.items()}
    found = layers.trunk(inputs.double().cuda(), there, index.cuda()).cpu()
    assert torch.equal(found.float(), layers.trunk(inputs.float(), level.tensors, index))
