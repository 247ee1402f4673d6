"""Exactness: the same codes give the same probabilities and bytes, however they are computed.

Threads, number types, memory layouts, batches and the settings of torch must not matter.
`.ci/exactness TORCH NUMPY` runs this module and the golden files under other versions of both.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import luxvox
from luxvox.codec import container
from luxvox.codec.container import Part
from luxvox.codec.container.bands import bands_of
from luxvox.entropy import coders
from luxvox.entropy import int8 as products
from luxvox.entropy.picture import visitors as picture_visitors
from luxvox.entropy.picture import walk as lattice_walk
from luxvox.entropy.visitors import CodesChooser
from luxvox.entropy.voice import visitors as voice_visitors
from luxvox.entropy.voice import walk
from luxvox.models.picture.weights import picture_codec
from luxvox.tests.entropy.conftest import GRIDS, draw_codes

POSITION = -30


class VoiceRecorder(voice_visitors.CodesEncoder):
    """Encoder that keeps the counts of every symbol, in the order of the file."""

    def __init__(self, codes):
        super().__init__(voice_visitors.fixed_source(codes), coders.CONSTRICTION)
        self.counts = []

    def visit(self, prediction):
        codes = super().visit(prediction)
        self.counts += [prediction.flag_counts(), prediction.code_counts(np.flatnonzero(codes))]
        return codes


class PictureRecorder(picture_visitors.CodesEncoder):
    """Encoder that keeps the means, and how each code is coded."""

    def __init__(self, codes):
        super().__init__(picture_visitors.fixed_source(codes), coders.CONSTRICTION)
        self.counts = []

    def visit(self, prediction):
        self.counts += [prediction.mean, *dataclasses.astuple(prediction.coding)]
        return super().visit(prediction)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Whatever must not change: all probabilities, and the bytes of all sections."""

    counts: list
    sections: dict

    def assert_equals(self, other):
        assert self.sections == other.sections
        assert len(self.counts) == len(other.counts)
        for own, others in zip(self.counts, other.counts, strict=True):
            np.testing.assert_array_equal(own, others)


@dataclasses.dataclass(frozen=True)
class Case:
    """A context model with codes, and the walk and visitors of their kind."""

    context: Any
    shapes: dict
    codes: dict
    walk: Callable
    recorder: Callable
    decoder: Callable

    def outcome(self, context=None):
        """Encode the codes, check that they decode, and return probabilities and bytes."""
        context = context or self.context
        recorder = self.recorder(self.codes)
        self.walk(context, self.shapes, POSITION, recorder)
        sections = recorder.sections()
        decoder = self.decoder(sections, coders.CONSTRICTION)
        decoded = self.walk(context, self.shapes, POSITION, decoder)
        decoder.finish()
        for level, array in self.codes.items():
            np.testing.assert_array_equal(decoded[level], array)
        return Outcome(recorder.counts, sections)


@pytest.fixture(scope="module")
def voice_case(small_voice):
    codes = small_voice.random_codes(11, 0.2)
    return Case(
        small_voice.context,
        small_voice.shapes,
        codes,
        walk.walk,
        VoiceRecorder,
        voice_visitors.CodesDecoder,
    )


@pytest.fixture(scope="module")
def picture_case(small_picture):
    chooser = CodesChooser(draw_codes(11))
    codes = lattice_walk.walk(small_picture, GRIDS, POSITION, chooser)
    return Case(
        small_picture,
        GRIDS,
        codes,
        lattice_walk.walk,
        PictureRecorder,
        picture_visitors.CodesDecoder,
    )


@pytest.fixture(scope="module", params=["voice", "picture"])
def case(request):
    return request.getfixturevalue(f"{request.param}_case")


@pytest.fixture(scope="module")
def expected(case):
    outcome = case.outcome()
    assert set(outcome.sections) in ({1, 2}, {1, 2, 3, 4})
    return outcome


def shipped_file(quality=70):
    y, x = np.mgrid[:70, :90]
    waves = 128 + 80 * np.sin(x / 7) + 30 * np.cos(y / 4)
    picture = np.stack([waves, 250 - x - y, 40 + 2 * y + (x // 16 % 2) * 30], -1)
    noise = np.random.default_rng(4).normal(0, 10, picture.shape)
    return luxvox.compress_image(np.clip(picture + noise, 0, 255).astype(np.uint8), quality)


# --- number types ----------------------------------------------------------------------------


def test_floats_of_64_bits_give_the_same_voice(small_voice, voice_case):
    level = small_voice.context.levels["frames"]
    doubles = {key: values.double() for key, values in level.tensors.items()}
    wide = dataclasses.replace(level, codewords=level.codewords.double(), tensors=doubles)
    context = type(small_voice.context)(small_voice.context.plan, {"frames": wide})
    voice_case.outcome(context).assert_equals(voice_case.outcome())


# --- threads, layouts, batches ---------------------------------------------------------------


@pytest.mark.parametrize("n_threads", sorted({1, 2, 3, os.cpu_count() or 1}))
def test_threads_do_not_matter(case, expected, n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        case.outcome().assert_equals(expected)
    finally:
        torch.set_num_threads(before)


def transpose(values):
    """Return the same numbers, stored column by column."""
    return values.T.contiguous().T if values.ndim == 2 else values


@pytest.mark.parametrize(
    "change_layout",
    [
        lambda values: values.contiguous(memory_format=torch.channels_last),
        lambda values: values.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    ],
)
def test_memory_layouts_do_not_matter(small_picture, picture_case, change_layout):
    tensors = {
        level: {
            name: change_layout(values) if values.ndim == 4 else transpose(values)
            for name, values in tables.items()
        }
        for level, tables in small_picture.tensors.items()
    }
    context = lattice_walk.LatticeContext(small_picture.levels, tensors, small_picture.counts)
    picture_case.outcome(context).assert_equals(picture_case.outcome())


@pytest.mark.parametrize("rows", [1, 7, 50])
def test_batches_do_not_matter(picture_case, monkeypatch, rows):
    expected = picture_case.outcome()
    monkeypatch.setattr(lattice_walk, "POSITIONS_AT_ONCE", rows)
    picture_case.outcome().assert_equals(expected)


@pytest.mark.parametrize("int8", [True, False])
def test_units_for_int8_do_not_matter(case, expected, monkeypatch, int8):
    if int8 and not products.has_exact_int8():
        pytest.skip("no exact int8 products here")
    monkeypatch.setattr(products, "has_exact_int8", lambda: int8)
    monkeypatch.setattr(products, "MIN_ROWS", 1)
    case.outcome().assert_equals(expected)


# --- settings of torch -----------------------------------------------------------------------


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
        warnings.simplefilter("ignore")  # about flags of other processors
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
def test_settings_of_torch_do_not_matter(case, expected, surroundings):
    with surroundings():
        outcome = case.outcome()
    outcome.assert_equals(expected)


# --- shipped weights -------------------------------------------------------------------------


def test_shipped_weights_write_the_same_bytes_under_any_number_of_threads():
    """Analysis uses floats, so codes may differ; but the same codes must give the same bytes."""
    data = shipped_file()
    codes = luxvox.codes(data)
    content = container.read(data)
    position = content.header.quality.log_step_int
    shapes = {level: array.shape[1:] for level, array in codes.items()}
    assert isinstance(content.header, container.PictureHeader)
    joined = bands_of(content.header).joined
    before = torch.get_num_threads()
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            source = picture_visitors.fixed_source(codes)
            encoder = picture_visitors.CodesEncoder(source, coders.CONSTRICTION)
            lattice_walk.walk(picture_codec().context, shapes, position, encoder, joined)
            parts = {Part(n, 0): payload for n, payload in encoder.sections().items()}
            assert parts == content.parts
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_pictures_encoded_on_a_gpu_decode_without_one():
    y, x = np.mgrid[:70, :90]
    picture = np.stack([128 + 90 * np.sin(x / 7), 2 * y, x], -1).clip(0, 255).astype(np.uint8)
    data = luxvox.compress_image(picture, 70, device="cuda")
    assert luxvox.decompress_image(data).shape == picture.shape


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_voices_encoded_on_a_gpu_decode_without_one():
    voice = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    data = luxvox.compress_speech(voice, 16_000, 3.0, device="cuda")
    assert luxvox.decompress_speech(data)[0].shape == voice.shape
