"""The walk: every code once, encoded and decoded alike, at the cost that is metered."""

import dataclasses

import numpy as np
import pytest

from luxvox.entropy import walk as walk_module
from luxvox.entropy.coders import CONSTRICTION
from luxvox.entropy.walk import (
    CodesDecoder,
    CodesEncoder,
    CodesMeter,
    known,
    picture_plan,
    walk,
)
from luxvox.errors import FormatError

POSITION = -40


def encode(small, codes, position=POSITION):
    encoder = CodesEncoder(known(codes), CONSTRICTION)
    walked = walk(small.context, small.shapes, position, encoder)
    assert_same(walked, codes)
    return encoder.sections()


def decode(small, sections, position=POSITION):
    decoder = CodesDecoder(sections, CONSTRICTION)
    codes = walk(small.context, small.shapes, position, decoder)
    decoder.finish()
    return codes


def assert_same(some, others):
    assert some.keys() == others.keys()
    for level, codes in some.items():
        np.testing.assert_array_equal(codes, others[level])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("null_share", [0.0, 0.5, 0.95])
def test_codes_come_back(small, seed, null_share):
    codes = small.random_codes(seed, null_share)
    assert_same(decode(small, encode(small, codes)), codes)


@pytest.mark.parametrize("cells", [(1, 1), (1, 5), (3, 1), (5, 7)])
@pytest.mark.parametrize("position", [-127, 0, 127])
def test_codes_come_back_on_any_grid(small, cells, position):
    shapes = {
        level: (cells[0] * n, cells[1] * n)
        for level, n in {"top": 1, "base": 2, "detail": 4}.items()
    }
    other = dataclasses.replace(small, shapes=shapes)
    codes = other.random_codes(1)
    assert_same(decode(other, encode(other, codes, position), position=position), codes)


def test_all_null_is_no_section(small):
    codes = {level: np.zeros_like(array) for level, array in small.random_codes(0).items()}
    assert encode(small, codes) == {}
    assert_same(decode(small, {}), codes)
    assert_same(decode(small, {1: b"", 4: b""}), codes)


def test_a_section_that_is_all_null_is_left_out(small):
    codes = small.random_codes(2, 0.3)
    codes["base"][1:] = 0
    sections = encode(small, codes)
    assert list(sections) == [1, 3, 4]
    assert_same(decode(small, sections), codes)


@pytest.mark.parametrize("level", ["top", "base", "detail"])
def test_one_level_alone(small, level):
    """The levels above are null, so their sections may be missing."""
    codes = small.random_codes(2, 0.3)
    for other in codes.keys() - {level}:
        codes[other][:] = 0
    assert_same(decode(small, encode(small, codes)), codes)


def test_batches_do_not_matter(small, monkeypatch):
    codes = small.random_codes(4, 0.2)
    sections = encode(small, codes)
    monkeypatch.setattr(walk_module, "BATCH", 3)
    assert encode(small, codes) == sections
    assert_same(decode(small, sections), codes)


def test_bytes_are_what_the_meter_says(small):
    shapes = {"top": (10, 10), "base": (20, 20), "detail": (40, 40)}
    large = dataclasses.replace(small, shapes=shapes)
    codes = large.random_codes(3)
    meter = CodesMeter(known(codes))
    walk(large.context, large.shapes, POSITION, meter)
    sections = encode(large, codes)
    n_bits = 8 * sum(map(len, sections.values()))
    expected = sum(meter.bits.values())
    assert expected < n_bits + 32 * len(sections)
    assert n_bits <= 1.01 * expected + 32 * len(sections)
    assert set(meter.bits) == {(plan.name, s) for plan in large.context.plan for s in range(3)}


@pytest.mark.parametrize("n_sections", [1, 2, 3])
def test_what_is_missing_is_null(small, n_sections):
    codes = small.random_codes(5, 0.3)
    sections = {n: data for n, data in encode(small, codes).items() if n <= n_sections}
    expected = {level: np.zeros_like(array) for level, array in codes.items()}
    for plan in small.context.plan:
        for stage, section in enumerate(plan.sections):
            if section <= n_sections:
                expected[plan.name][stage] = codes[plan.name][stage]
    assert_same(decode(small, sections), expected)


def test_bytes_too_many_are_refused(small):
    sections = encode(small, small.random_codes(6))
    sections[2] += bytes(8) + b"\1"
    with pytest.raises(FormatError, match="left after the last symbol"):
        decode(small, sections)


def test_junk_gives_codes_or_a_format_error(small):
    generator = np.random.default_rng(0)
    for _ in range(30):
        sections = {n: generator.bytes(int(generator.integers(60))) for n in range(1, 5)}
        try:
            codes = decode(small, sections)
        except FormatError:
            continue
        assert set(codes) == {"top", "base", "detail"}


@pytest.mark.parametrize("counts", [(32, 56, 10), (4, 7, 3), (4, 3, 1)])
def test_every_code_is_predicted_in_one_pass(counts):
    plans = picture_plan(dict(zip(("top", "base", "detail"), counts, strict=True)), 3, 256)
    for plan in plans:
        times = np.zeros((plan.n_stages, plan.n_groups, 5, 6), np.int64)
        for one in plan.passes:
            for stage in one.stages:
                times[stage, one.first_group : one.end_group] += one.mask(5, 6)
        assert (times == 1).all()
        assert len(plan.sections) == plan.n_stages
        assert list(plan.sections) == sorted(plan.sections)
