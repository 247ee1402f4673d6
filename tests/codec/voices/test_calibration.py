"""Voices come back as loud as they were, however loud the networks' output is."""

from __future__ import annotations

import numpy as np
import pytest

import luxvox
from luxvox.models.voice.networks import SpeechModel
from luxvox.tests.codec.voices.conftest import tone


def decibels(samples):
    return 10 * np.log10(np.square(samples, dtype=np.float64).mean())


def level_change(samples, rate_hz=16_000, quality=100):
    data = luxvox.compress_speech(samples, rate_hz, quality=quality, effort=1)
    return decibels(luxvox.decompress_speech(data)[0]) - decibels(samples)


def play_louder(monkeypatch, factor):
    original = SpeechModel.samples
    monkeypatch.setattr(
        SpeechModel, "samples", lambda *args, **options: factor * original(*args, **options)
    )


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("peak", [0.001, 0.1, 1.0])
def test_levels_stay(factor, peak, monkeypatch):
    play_louder(monkeypatch, factor)
    samples = tone(32_000)
    assert abs(level_change(samples * np.float32(peak / np.abs(samples).max()))) < 0.5


@pytest.mark.parametrize("gains", [(1, 1), (1, 0), (0, 1), (0.2, 1), (1, -1)])
def test_levels_of_two_channels_stay(gains):
    samples = tone(32_000)[:, None] * np.float32(gains)
    assert abs(level_change(samples)) < 0.5


@pytest.mark.filterwarnings("ignore:voices are kept up to 8 kHz")
def test_levels_of_other_rates_stay():
    assert abs(level_change(tone(44_100, 44_100), 44_100)) < 0.5


def test_levels_of_long_recordings_stay():
    samples = np.concatenate([tone(240_000, seed=n) for n in range(6)])
    assert abs(level_change(samples, quality=60)) < 0.5


@pytest.mark.parametrize("n", [1, 320, 321, 239_681])
def test_sounds_too_short_or_too_quiet_to_measure_are_coded(n):
    for samples in (np.zeros(n, np.float32), np.full(n, 0.01, np.float32)):
        data = luxvox.compress_speech(samples, 16_000, quality=1, effort=1)
        assert np.isfinite(luxvox.decompress_speech(data)[0]).all()


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_levels_do_not_follow_pauses(factor, monkeypatch):
    play_louder(monkeypatch, factor)
    samples = np.random.default_rng(0).normal(0, 1e-5, 3 * 240_000 - 320).astype(np.float32)
    spoken = slice(240_000, 480_000)  # the second of three segments
    samples[spoken] += tone(240_000)
    data = luxvox.compress_speech(samples, 16_000, quality=100, effort=1)
    decoded, _ = luxvox.decompress_speech(data)
    assert abs(decibels(decoded[spoken]) - decibels(samples[spoken])) < 0.5


@pytest.mark.parametrize("factor", [0.7, 1.8])
def test_levels_of_faint_voices_stay(factor, monkeypatch):
    """Their gain is corrected, too, though it is near the largest in a header."""
    test_levels_stay(factor, 2e-4, monkeypatch)
