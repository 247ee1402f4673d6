"""Distances between voices: zero for equal voices, and gradients stay finite."""

import pytest
import torch

from luxvox.models.voice import losses as speech_losses
from luxvox.models.voice.losses import (
    distortions,
    intelligibility_distance,
    loudness_distance,
    magnitude_distance,
    mel_distance,
    spectra,
)
from luxvox.tests.models.training.voice.conftest import voice


def test_losses_vanish_for_equal_voices_and_rise_with_noise():
    samples = torch.from_numpy(voice(48_000, 1)).float().reshape(2, -1)
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    losses = [
        (
            magnitude_distance(*pair),
            mel_distance(*pair, 320),
            mel_distance(*pair, 640),
            loudness_distance(*pair),
            intelligibility_distance(*pair),
        )
        for decoded in (samples, samples + 0.003 * noise, samples + 0.03 * noise)
        for pair in [(spectra(decoded), spectra(samples))]
    ]
    for same, little, much in zip(*losses, strict=True):
        assert float(same) < 0.02
        assert float(same) < float(little) < float(much)


def test_loudness_does_not_hear_gain_but_hears_what_is_added():
    samples = torch.from_numpy(voice(48_000, 2)).float().reshape(2, -1)
    gain = loudness_distance(spectra(0.7 * samples), spectra(samples))
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(0))
    added = loudness_distance(spectra(samples + 0.01 * noise), spectra(samples))
    assert float(gain) < 0.2 * float(added)


def test_a_softer_voice_is_no_better():
    """A distance that shrinks with the level would teach the codec to whisper."""
    samples = torch.from_numpy(voice(32_000, 1)).float()[None]
    noisy = samples + 0.05 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))
    distances = [
        loudness_distance(spectra(gain * noisy), spectra(samples)) for gain in (1.0, 0.5, 0.25)
    ]
    assert max(distances) < 1.03 * min(distances)


@pytest.mark.parametrize(("window", "hop"), [(128, 64), (640, 160), (512, 256), (1280, 640)])
def test_powers_and_their_gradient_are_those_of_the_short_time_spectrum(window, hop):
    generator = torch.Generator().manual_seed(window)
    samples = torch.randn(2, 2003, generator=generator)
    shape = torch.hann_window(window, periodic=True)
    gradients = []
    for powers in (
        lambda x: speech_losses._powers(x, window, hop),
        lambda x: (
            torch.stft(x, window, hop, window=shape, center=False, return_complex=True)
            .abs()
            .square()
        ),
    ):
        x = samples.clone().requires_grad_(True)
        value = powers(x)
        weights = torch.rand(value.shape, generator=generator.manual_seed(1))
        gradients.append((value.detach(), *torch.autograd.grad((value * weights).sum(), [x])))
    for ours, reference in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-3)


def test_gradients_of_the_losses_are_finite_in_silence():
    samples = torch.zeros(1, 24_000)
    decoded = torch.zeros(1, 24_000, requires_grad=True)
    pair = spectra(decoded), spectra(samples)
    total, _ = distortions(*pair)
    total.backward()
    assert decoded.grad is not None
    assert decoded.grad.isfinite().all()
