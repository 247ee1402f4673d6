"""The walk of voices: every code once, encoded and decoded alike, at the metered cost."""

import dataclasses

import numpy as np
import pytest

from luxvox.entropy.coders import CONSTRICTION
from luxvox.entropy.visitors import CodesChooser
from luxvox.entropy.voice.plan import voice_plan
from luxvox.entropy.voice.visitors import (
    CodesDecoder,
    CodesEncoder,
    CodesMeter,
    fixed_source,
)
from luxvox.entropy.voice.walk import walk
from luxvox.errors import FormatError

POSITION = -40


def encode(voice, codes, position=POSITION):
    encoder = CodesEncoder(fixed_source(codes), CONSTRICTION)
    walked = walk(voice.context, voice.shapes, position, encoder)
    assert_same(walked, codes)
    return encoder.sections()


def decode(voice, sections, position=POSITION):
    decoder = CodesDecoder(sections, CONSTRICTION)
    codes = walk(voice.context, voice.shapes, position, decoder)
    decoder.finish()
    return codes


def assert_same(codes, expected):
    assert codes.keys() == expected.keys() == {"frames"}
    np.testing.assert_array_equal(codes["frames"], expected["frames"])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("null_share", [0.0, 0.3, 0.9])
def test_codes_come_back(small_voice, seed, null_share):
    codes = small_voice.random_codes(seed, null_share)
    assert_same(decode(small_voice, encode(small_voice, codes)), codes)


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 5, 17, 750])
@pytest.mark.parametrize("position", [-127, 0, 127])
def test_codes_of_any_length_come_back(small_voice, n_frames, position):
    voice = dataclasses.replace(small_voice, n_frames=n_frames)
    codes = voice.random_codes(1)
    assert_same(decode(voice, encode(voice, codes, position), position), codes)


def test_null_codes_need_no_section(small_voice):
    codes = {"frames": np.zeros_like(small_voice.random_codes(0)["frames"])}
    assert encode(small_voice, codes) == {}
    assert_same(decode(small_voice, {}), codes)
    assert_same(decode(small_voice, {1: b"", 2: b""}), codes)


def test_missing_sections_give_null(small_voice):
    codes = small_voice.random_codes(5, 0.2)
    sections = encode(small_voice, codes)
    assert list(sections) == [1, 2]
    codes["frames"][2:] = 0
    assert_same(decode(small_voice, {1: sections[1]}), codes)
    assert encode(small_voice, codes) == {1: sections[1]}


def test_a_frame_is_not_coded_after_its_first_null(small_voice):
    """A prediction covers only the frames without a null so far."""
    codes = small_voice.random_codes(7)
    plan, stages = small_voice.context.plan[0], []

    def source(prediction):
        stages.append(prediction.stage)
        earlier = codes["frames"][:, 0, 0, prediction.positions][: prediction.stage]
        assert earlier.all()
        assert (np.diff(prediction.positions) > 0).all()
        assert prediction.section == plan.sections[prediction.stage]
        return prediction.pick(codes["frames"])

    assert_same(walk(small_voice.context, small_voice.shapes, 0, CodesChooser(source)), codes)
    assert stages == sorted(stages) == [pass_.stage for pass_ in plan.passes]


def test_bytes_agree_with_the_meter(small_voice):
    large = dataclasses.replace(small_voice, n_frames=1500)
    codes = large.random_codes(3, 0.2)
    meter = CodesMeter(fixed_source(codes))
    walk(large.context, large.shapes, POSITION, meter)
    sections = encode(large, codes)
    n_bits = 8 * sum(map(len, sections.values()))
    expected = sum(meter.bits.values())
    assert expected < n_bits + 32 * len(sections)
    assert n_bits <= 1.01 * expected + 32 * len(sections)
    assert set(meter.bits) == {("frames", stage) for stage in range(4)}


def test_the_limit_of_cached_logits_changes_nothing(small_voice, monkeypatch):
    codes = small_voice.random_codes(4, 0.1)
    sections = encode(small_voice, codes)

    def source(prediction):
        picked = prediction.pick(codes["frames"])
        rows = np.arange(0, len(picked), 2)
        np.testing.assert_array_equal(
            prediction.code_logits(rows), prediction.code_logits(np.arange(len(picked)))[::2]
        )
        return picked

    for limit in (0, 1 << 20):
        monkeypatch.setattr("luxvox.entropy.voice.context.MAX_KEPT", limit)
        encoder = CodesEncoder(source, CONSTRICTION)
        walk(small_voice.context, small_voice.shapes, POSITION, encoder)
        assert encoder.sections() == sections


def test_unread_bytes_are_refused(small_voice):
    sections = encode(small_voice, small_voice.random_codes(6))
    sections[2] += bytes(8) + b"\1"
    with pytest.raises(FormatError, match="codes 2: bytes are left after the last symbol"):
        decode(small_voice, sections)


def test_junk_gives_codes_or_a_format_error(small_voice):
    generator = np.random.default_rng(0)
    for _ in range(60):
        sections = {n: generator.bytes(int(generator.integers(60))) for n in (1, 2)}
        try:
            codes = decode(small_voice, sections)
        except FormatError:
            continue
        assert codes["frames"].shape == (4, 1, 1, small_voice.n_frames)


@pytest.mark.parametrize(("n_stages", "first_stages"), [(1, 1), (4, 2), (24, 4)])
@pytest.mark.parametrize("n_frames", [1, 6, 9])
def test_every_code_is_predicted_in_one_pass(n_stages, first_stages, n_frames):
    (plan,) = voice_plan(n_stages, first_stages, 256)
    times = np.zeros((n_stages, n_frames), np.int64)
    for pass_ in plan.passes:
        times[pass_.stage] += pass_.mask(n_frames)
    assert (times == 1).all()
    assert len(plan.sections) == n_stages
    assert list(plan.sections) == sorted(plan.sections)
    assert plan.sections.count(1) == first_stages
