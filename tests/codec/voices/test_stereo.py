"""Two channels: both sides are treated alike, and a voice stays on its side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luxvox
from luxvox.codec.voice.stereo import LEFT_AND_RIGHT, MID_AND_SIDE, SIDE_EXCHANGED
from luxvox.tests.codec.voices.conftest import voice_header

RATE_HZ, N = 16_000, 8_000


def voice(n=N, seed=0):
    """Make gliding harmonics with pauses, and a little noise, float32 [n]."""
    t = np.arange(n) / RATE_HZ
    glide = 2 * np.pi * ((130 + 30 * seed) * t + 15 * np.sin(5 * t + seed))
    sound = sum(np.sin(k * glide) / k for k in range(1, 16)) * (np.sin(9 * t + seed) > -0.5)
    noise = np.random.default_rng(seed).standard_normal(n)
    return (0.1 * sound + 1e-4 * noise).astype(np.float32)


def pan(left, right):
    return np.stack([np.float32(left) * voice(), np.float32(right) * voice()], 1)


def interview():
    """Two people speak in turn, each on their own side."""
    silence = np.zeros(N, np.float32)
    turns = [voice(seed=0), silence, voice(seed=1), silence]
    return np.stack([np.concatenate(turns), np.concatenate(turns[::-1])], 1)


def room():
    """A voice in the middle, and different quiet noise on each side."""
    noise = 0.003 * np.random.default_rng(1).standard_normal((N, 2))
    return (voice()[:, None] + noise).astype(np.float32)


def middle_then_right():
    """Nine seconds in the middle, half a second only on the right."""
    centred = np.repeat(voice(9 * RATE_HZ)[:, None], 2, 1)
    right = np.stack([np.zeros(RATE_HZ // 2, np.float32), voice(RATE_HZ // 2, 1)], 1)
    return np.concatenate([centred, right])


def mode(data):
    return voice_header(data).stereo_mode


def decibels(samples):
    return 10 * np.log10(np.square(samples, dtype=np.float64).mean() + 1e-20)


SCENES = {
    "right": pan(0, 1),
    "left": pan(1, 0),
    "both": pan(1, 1),
    "opposite": pan(1, -1),
    "panned": pan(0.3, 0.8),
    "interview": interview(),
    "room": room(),
    "louder right": room() * np.array([0.9, 1.0], np.float32),
    "unlike": np.stack([voice(seed=0), voice(seed=1)], 1),
    "silence": np.zeros((400, 2), np.float32),
}


def compress(samples, **options):
    return luxvox.compress_speech(samples, RATE_HZ, **{"quality": 100, "effort": 1} | options)


def both_ways(samples, **options):
    """Code channels in both orders; return file sizes and both decoded sounds."""
    files = [compress(channels, **options) for channels in (samples, samples[:, ::-1])]
    decoded, exchanged = (luxvox.decompress_speech(data)[0] for data in files)
    return [len(data) for data in files], decoded, exchanged[:, ::-1]


@pytest.mark.parametrize("scene", SCENES)
def test_exchanged_channels_come_back_exchanged(scene):
    sizes, decoded, exchanged = both_ways(SCENES[scene])
    assert decoded.any() == (scene != "silence")
    assert sizes[0] == sizes[1]
    np.testing.assert_array_equal(decoded, exchanged)


def test_high_efforts_treat_both_channels_alike():
    sizes, decoded, exchanged = both_ways(SCENES["unlike"], effort=7)
    assert sizes[0] == sizes[1]
    np.testing.assert_array_equal(decoded, exchanged)


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2000))
def test_exchanged_noise_comes_back_exchanged(seed, n):
    generator = np.random.default_rng(seed)
    samples = generator.normal(0, 0.1, (n, 2)) @ generator.normal(0, 1, (2, 2))
    sizes, decoded, exchanged = both_ways(samples)
    assert sizes[0] == sizes[1]
    np.testing.assert_array_equal(decoded, exchanged)


def assert_no_copy(samples):
    """Check that a channel decodes to silence where it was silent."""
    decoded = luxvox.decompress_speech(compress(samples, quality=50))[0]
    middle = slice(1000, -1000)  # without the ends, which spread over a frame
    for side in range(2):
        is_alone = samples[:, 1 - side] == 0
        if is_alone.any():
            heard, copy = decoded[is_alone, side], decoded[is_alone, 1 - side]
            assert decibels(copy[middle]) < decibels(heard) - 30
            assert abs(decibels(heard) - decibels(samples[is_alone, side])) < 2


@pytest.mark.parametrize("scene", ["left", "right", "interview"])
def test_a_voice_leaves_no_copy_on_the_other_side(scene, monkeypatch):
    monkeypatch.undo()  # use the shipped weights
    assert_no_copy(SCENES[scene])


@pytest.mark.parametrize(
    ("scene", "modes"),
    [
        ("right", {LEFT_AND_RIGHT}),
        ("left", {LEFT_AND_RIGHT}),
        ("panned", {LEFT_AND_RIGHT}),
        ("interview", {LEFT_AND_RIGHT}),
        ("unlike", {LEFT_AND_RIGHT}),
        ("both", {MID_AND_SIDE}),
        ("room", {MID_AND_SIDE, SIDE_EXCHANGED}),
        ("louder right", {SIDE_EXCHANGED}),
        ("silence", {LEFT_AND_RIGHT}),
    ],
)
def test_how_channels_are_coded(scene, modes):
    assert mode(compress(SCENES[scene], quality=10)) in modes


def test_half_a_second_on_one_side_separates_the_channels():
    assert mode(compress(middle_then_right())) == LEFT_AND_RIGHT


def test_one_channel_has_no_mode():
    assert mode(compress(voice())) == MID_AND_SIDE


def test_a_voice_in_the_middle_costs_little_more_than_one_channel():
    mono, stereo = (len(compress(samples)) for samples in (voice(), pan(1, 1)))
    assert stereo < 1.1 * mono + 12
