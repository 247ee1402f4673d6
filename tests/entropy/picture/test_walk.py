"""The walk of pictures: codes come back from either coder, at the metered cost."""

import dataclasses
import importlib.util

import numpy as np
import pytest

from luxvox.entropy.coders import CONSTRICTION, TORCHAC
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.visitors import (
    CodesConcealer,
    CodesDecoder,
    CodesEncoder,
    CodesMeter,
    fixed_source,
)
from luxvox.entropy.picture.walk import walk
from luxvox.entropy.visitors import CodesChooser
from luxvox.errors import FormatError
from luxvox.tests.entropy.conftest import GRIDS, draw_codes

POSITION = -40
SECTIONS = {"apex": [1], "top": [1], "base": [2], "detail": [3, 4]}
LARGE = {"apex": (3, 4), "top": (6, 8), "base": (12, 16), "detail": (24, 32)}
every_coder = pytest.mark.parametrize(
    "coder",
    [
        CONSTRICTION,
        pytest.param(
            TORCHAC,
            marks=pytest.mark.skipif(
                importlib.util.find_spec("torchac") is None, reason="needs luxvox[torchac]"
            ),
        ),
    ],
)


def grids_of(height, width):
    return {name: (height << n, width << n) for n, name in enumerate(GRIDS)}


def encode(context, source, grids=GRIDS, coder=CONSTRICTION, position=POSITION):
    """Return codes and sections."""
    encoder = CodesEncoder(source, coder)
    codes = walk(context, grids, position, encoder)
    return codes, encoder.sections()


def decode(context, sections, grids=GRIDS, coder=CONSTRICTION, position=POSITION):
    decoder = CodesDecoder(sections, coder)
    codes = walk(context, grids, position, decoder)
    decoder.finish()
    return codes


def assert_same(codes, expected):
    assert codes.keys() == expected.keys()
    for level, array in codes.items():
        assert array.dtype == expected[level].dtype == np.int16
        np.testing.assert_array_equal(array, expected[level])


@every_coder
@pytest.mark.parametrize("spread", [0.1, 3.0, 1000.0])
def test_codes_come_back(small_picture, coder, spread):
    """Among them escapes, plain bits of wide scales, and the farthest codes of both signs."""
    codes, sections = encode(small_picture, draw_codes(1, spread), coder=coder)
    assert list(sections) == [1, 2, 3, 4]
    assert_same(decode(small_picture, sections, coder=coder), codes)
    far = codes["detail"].astype(int)
    assert (far.min(), far.max()) == (-CODE_MAX, CODE_MAX) or spread < 1


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 1), (5, 3)])
@pytest.mark.parametrize("position", [-127, 0, 127])
def test_codes_come_back_on_any_grid(small_picture, size, position):
    grids = grids_of(*size)
    codes, sections = encode(small_picture, draw_codes(2), grids, position=position)
    assert {level: array.shape[1:] for level, array in codes.items()} == grids
    assert_same(decode(small_picture, sections, grids, position=position), codes)


def test_grids_of_one_position_at_every_level(small_picture):
    """No picture has such grids, but empty passes must not matter."""
    apex = dataclasses.replace(small_picture.levels[0])
    context = type(small_picture)((apex,), small_picture.tensors, small_picture.counts)
    codes, sections = encode(context, draw_codes(3), {"apex": (1, 1)})
    assert_same(decode(context, sections, {"apex": (1, 1)}), codes)


def test_fixed_codes_are_encoded(small_picture):
    codes, sections = encode(small_picture, draw_codes(4))
    fixed_codes, fixed_sections = encode(small_picture, fixed_source(codes))
    assert_same(fixed_codes, codes)
    assert fixed_sections == sections


def zeros_or_silent(prediction):
    """Choose zero wherever there is a choice."""
    return np.where(prediction.coding.silent, prediction.coding.base, 0)


@pytest.fixture(scope="module")
def small_picture_without_silence(small_picture):
    """The small model without silent scales, so that all codes may be zero."""
    tensors = {level: dict(tables) for level, tables in small_picture.tensors.items()}
    for tables in tensors.values():
        for name in [name for name in tables if name.endswith("out.bias")]:
            bias = tables[name].clone()
            bias[len(bias) // 2 :] = 512 * 40.0
            tables[name] = bias
    return type(small_picture)(small_picture.levels, tensors, small_picture.counts)


def test_zeros_need_no_section(small_picture_without_silence):
    codes, sections = encode(small_picture_without_silence, zeros_or_silent)
    assert not any(array.any() for array in codes.values())
    assert sections == {}
    assert_same(decode(small_picture_without_silence, {}), codes)
    assert_same(decode(small_picture_without_silence, {1: b"", 4: b""}), codes)


@pytest.mark.parametrize("n_sections", [1, 2, 3])
def test_missing_sections_give_zeros(small_picture, n_sections):
    codes, sections = encode(small_picture, draw_codes(5))
    kept = {n: data for n, data in sections.items() if n <= n_sections}
    expected = {level: array.copy() for level, array in codes.items()}
    for level in small_picture.levels:
        for pass_, section in zip(level.passes, level.sections, strict=True):
            if section > n_sections:
                expected[level.name][pass_.first : pass_.end] = 0
    assert_same(decode(small_picture, kept), expected)


def test_a_section_of_zeros_may_come_between_others(small_picture_without_silence):
    def source(prediction):
        draw = draw_codes(prediction.section)
        return zeros_or_silent(prediction) if prediction.section == 2 else draw(prediction)

    codes, sections = encode(small_picture_without_silence, source)
    assert list(sections) == [1, 3, 4]
    assert_same(decode(small_picture_without_silence, sections), codes)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_bytes_agree_with_the_meter(small_picture, spread):
    codes, sections = encode(small_picture, draw_codes(6, spread), LARGE)
    meter = CodesMeter(fixed_source(codes))
    walk(small_picture, LARGE, POSITION, meter)
    n_bits = 8 * sum(map(len, sections.values()))
    expected = sum(meter.bits.values())
    assert set(meter.bits) == set(GRIDS)
    assert expected < n_bits + 32 * len(sections)
    assert n_bits <= 1.01 * expected + 32 * len(sections)


def test_long_sections_are_refused(small_picture):
    _, sections = encode(small_picture, draw_codes(7))
    for number in sections:
        longer = {**sections, number: sections[number] + bytes(8) + b"\1"}
        message = f"codes {number}: bytes are left after the last symbol"
        with pytest.raises(FormatError, match=message):
            decode(small_picture, longer)


def test_altered_sections_give_other_codes_or_a_format_error(small_picture):
    codes, sections = encode(small_picture, draw_codes(8))
    generator = np.random.default_rng(0)
    n_refused = 0
    for _ in range(40):
        altered = {n: bytearray(data) for n, data in sections.items()}
        section = altered[int(generator.integers(1, 5))]
        section[generator.integers(len(section))] ^= 1 << int(generator.integers(8))
        try:
            decoded = decode(small_picture, {n: bytes(data) for n, data in altered.items()})
        except FormatError:
            n_refused += 1
            continue
        assert any((decoded[level] != array).any() for level, array in codes.items())
    assert n_refused > 20


def test_junk_gives_codes_or_a_format_error(small_picture):
    generator = np.random.default_rng(1)
    for _ in range(40):
        sections = {n: generator.bytes(int(generator.integers(90))) for n in range(1, 5)}
        try:
            codes = decode(small_picture, sections)
        except FormatError:
            continue
        assert all(np.abs(array.astype(int)).max() <= CODE_MAX for array in codes.values())


@pytest.mark.parametrize("first_lost", [1, 2, 3, 4])
def test_lost_codes_are_replaced_by_their_means(small_picture, first_lost):
    codes, sections = encode(small_picture, draw_codes(9))
    concealer = CodesConcealer(sections, CONSTRICTION, first_lost)
    concealed = walk(small_picture, GRIDS, POSITION, concealer)
    concealer.finish()

    def check(prediction):
        picked = prediction.pick(concealed[prediction.level])
        if prediction.section < first_lost:
            np.testing.assert_array_equal(picked, prediction.pick(codes[prediction.level]))
        else:
            np.testing.assert_array_equal(picked, (prediction.mean + 4) >> 3)
        return picked

    walk(small_picture, GRIDS, POSITION, CodesChooser(check))


def test_a_concealer_checks_intact_sections(small_picture):
    _, sections = encode(small_picture, draw_codes(10))
    sections[1] += bytes(8) + b"\1"
    concealer = CodesConcealer(sections, CONSTRICTION, 3)
    walk(small_picture, GRIDS, POSITION, concealer)
    with pytest.raises(FormatError, match="codes 1: bytes are left"):
        concealer.finish()
