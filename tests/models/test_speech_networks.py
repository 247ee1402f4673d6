"""What the voice networks are given, and what they do before training."""

import math

import pytest
import torch

from luxvox.models.speech import (
    N_REALS,
    SpeechConfig,
    SpeechModel,
    envelopes,
    spectrum,
    typical_db,
)
from luxvox.models.speech_losses import magnitude_distance, spectra

N_BANDS = 40
CONFIG = SpeechConfig(n_channels=8, n_stages=2, codebook_size=4, width=8, n_bands=N_BANDS)


def halves(samples):
    """Envelopes [2, bands, frames] of samples [T]."""
    return envelopes(spectrum(samples[None]), N_BANDS)[0].reshape(2, N_BANDS, -1)


def test_envelopes_of_silence_are_zero_and_rise_with_the_level():
    assert torch.allclose(halves(torch.zeros(3200)), torch.zeros(()), atol=1e-6)
    noise = torch.randn(3200, generator=torch.Generator().manual_seed(0))
    assert (halves(2.0 * noise) >= halves(noise)).all()


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 5000.0])
def test_a_tone_is_loudest_in_its_band(hertz):
    time = torch.arange(6400) / 16_000
    loudest = halves(torch.sin(2 * math.pi * hertz * time))[:, :, 5:-5].mean((0, 2)).argmax()
    mel = 2595 * math.log10(1 + hertz / 700)
    top = 2595 * math.log10(1 + 8000 / 700)
    assert int(loudest) == pytest.approx(mel / top * (N_BANDS + 1) - 1, abs=1.1)


@pytest.mark.parametrize(("place", "half"), [(-120, 0), (120, 1)])
def test_a_click_is_in_its_half_of_the_frame(place, half):
    samples = torch.zeros(3200)
    samples[5 * 320 + place] = 10.0
    powers = halves(samples)[:, :, 5].sum(1)
    assert powers[half] > 3.0 * powers[1 - half]


def test_the_untrained_synthesis_is_linear():
    torch.manual_seed(0)
    model = SpeechModel(CONFIG)
    latents = torch.randn(1, 8, 1, 20)
    expected = torch.einsum("ic,bcf->bif", model.up, latents[:, :, 0]) * CONFIG.unit
    assert torch.allclose(model.synthesise(latents), expected, atol=1e-6)
    assert model.latents(torch.randn(1, N_REALS, 20)).shape == (1, 8, 1, 20)


def test_most_frames_have_less_than_the_typical_power():
    latents = torch.zeros(1, 8, 1, 10)
    latents[0, 0, 0] = torch.arange(10.0)
    power = 10.0 * torch.log10(latents[0, 0, 0] ** 2 + 1.0)
    assert power[6] <= typical_db(latents) <= power[7]


def test_a_buzz_is_not_noise():
    """Pulses at the pace of the frames, of the same powers in every band."""
    generator = torch.Generator().manual_seed(0)
    noise, other = torch.randn(2, 1, 32_000, generator=generator)
    pulses = torch.zeros(1, 32_000)
    pulses[:, ::160] = math.sqrt(160.0)
    buzz, hiss = (magnitude_distance(spectra(x), spectra(noise)) for x in (pulses, other))
    assert float(buzz) > 1.2 * float(hiss)
