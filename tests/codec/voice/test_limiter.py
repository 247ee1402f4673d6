"""Soft limiting of decoded peaks for files of integers."""

import numpy as np
import pytest

from luxvox.codec.voice.limiter import limit_blocks


def limit(samples):
    """Limit samples [n] of one channel."""
    return np.concatenate(list(limit_blocks([samples[:, None]])))[:, 0]


def tone(peak, n=1600, hertz=200.0):
    return (peak * np.sin(2 * np.pi * hertz * (np.arange(n) + 0.5) / 16000)).astype(np.float32)


def test_samples_within_full_scale_stay_as_they_are():
    samples = np.random.default_rng(0).uniform(-1.0, 1.0, 5000).astype(np.float32)
    assert np.array_equal(limit(samples), samples)


@pytest.mark.parametrize("peak", [1.01, 1.08, 1.5, 1.99])
def test_peaks_land_on_full_scale_and_keep_a_single_top(peak):
    wave = tone(peak, 80)[:40]  # a half wave
    limited = limit(wave)
    assert limited.max() == pytest.approx(1.0, abs=1e-3)
    assert (np.diff(limited[:20]) > 0).all()  # a clipped wave would be flat
    assert limited.argmax() == wave.argmax()


def test_only_half_waves_that_overshoot_change():
    samples = np.concatenate([tone(0.9), tone(1.2), tone(0.9)])
    limited = limit(samples)
    assert np.array_equal(limited[:1600], samples[:1600])
    assert np.array_equal(limited[3200:], samples[3200:])
    assert np.abs(limited).max() <= 1.0
    # Slopes through zero stay as they were, so there is no kink where a half wave begins.
    crossing = np.abs(samples) < 0.1
    assert np.abs(limited - samples)[crossing].max() < 2e-3


@pytest.mark.parametrize("factor", [3.0, 16.0])
def test_even_louder_peaks_stay_within_full_scale(factor):
    noise = np.random.default_rng(1).normal(0.0, factor, 4000).astype(np.float32)
    assert np.abs(limit(noise)).max() <= 1.0


@pytest.mark.parametrize("size", [1, 7, 160, 4000])
def test_the_result_does_not_depend_on_the_blocks(size):
    noise = np.random.default_rng(2).normal(0.0, 0.6, (9000, 2)).astype(np.float32)
    blocks = (noise[start : start + size] for start in range(0, len(noise), size))
    whole = np.concatenate(list(limit_blocks([noise])))
    assert np.array_equal(np.concatenate(list(limit_blocks(blocks))), whole)
    assert whole.shape == noise.shape


def test_silence_and_constant_samples_pass():
    samples = np.concatenate([np.zeros(9000), np.full(9000, 1.5)]).astype(np.float32)
    limited = limit(samples)
    assert len(limited) == len(samples)
    assert limited[-1] == 1.0
    assert list(limit_blocks([])) == []
