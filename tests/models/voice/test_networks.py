"""The inputs of the voice networks, and what the networks do before training."""

import dataclasses
import math

import pytest
import torch

from luxvox.models.training.voice.initialise import widen
from luxvox.models.voice.losses import magnitude_distance, spectra
from luxvox.models.voice.networks import SpeechConfig, SpeechModel, typical_db
from luxvox.models.voice.paths import KERNEL, correct_spectra, depthwise
from luxvox.models.voice.spectra import (
    FINE_WINDOW,
    N_REALS,
    WINDOW,
    compress_spectra,
    envelopes,
    samples_from_spectra,
    spectrum,
)
from luxvox.timeline import FRAME_SAMPLES

N_BANDS = 40
CONFIG = SpeechConfig(n_channels=8, n_stages=2, codebook_size=4, width=8, n_bands=N_BANDS)
WIDE = dataclasses.replace(
    CONFIG, n_stages=3, wide_width=6, wide_analysis=(1, 2), wide_synthesis=(2, 1), fine_width=5
)


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
    spectra = torch.einsum("ic,bcf->bfi", model.up, latents[:, :, 0]) * CONFIG.unit
    expected = samples_from_spectra(spectra, WINDOW)
    assert expected.shape == (1, 19 * FRAME_SAMPLES)
    assert torch.allclose(model.samples(latents), expected, atol=1e-6)
    assert model.latents(torch.randn(1, N_REALS, 20)).shape == (1, 8, 1, 20)


@pytest.mark.parametrize("window", [FINE_WINDOW, WINDOW])
def test_samples_come_back_from_compressed_spectra(window):
    samples = 0.1 * torch.randn(2, 12 * window, generator=torch.Generator().manual_seed(0))
    half = window // 2
    padded = torch.nn.functional.pad(samples, (half, half))
    again = samples_from_spectra(compress_spectra(padded, window), window)
    assert torch.allclose(again, samples, atol=2e-4)


@pytest.fixture
def narrow():
    """Networks without wide paths whose side paths have learnt something."""
    torch.manual_seed(0)
    model = SpeechModel(CONFIG).requires_grad_(False)
    for path in (model.analysis, model.synthesis):
        path.leave.weight.normal_(0.0, 0.1)
    return model


def stir(model):
    """The same with wide paths that have learnt something."""
    for path in (model.wide_analysis, model.wide_synthesis, model.fine):
        path.requires_grad_(False)
        path.leave.weight.normal_(0.0, 0.05)
    return model


def test_wide_paths_change_nothing_before_training(narrow):
    wide = widen(narrow, WIDE)
    assert wide.config.n_stages == CONFIG.n_stages and wide.config.wide_width == WIDE.wide_width
    samples = 0.3 * torch.randn(1, 30 * FRAME_SAMPLES)
    latents = narrow.latents(spectrum(samples))
    assert torch.equal(wide.latents(spectrum(samples)), latents)
    before, after = narrow.samples(latents), wide.samples(latents)
    assert torch.allclose(after, before, atol=2e-4) and float(before.std()) > 0.01
    assert widen(wide, WIDE).config == wide.config


def test_a_frame_depends_on_no_more_than_its_halo(narrow):
    """Nor on less, except for the blocks' outermost taps, whose weights may be small."""
    wide = stir(widen(narrow, WIDE)).double()
    halo = wide.synthesis_halo
    n, middle = 2 * halo + 21, halo + 10
    latents = torch.randn(1, CONFIG.n_channels, 1, n, dtype=torch.float64, requires_grad=True)
    wide.samples(latents)[0, middle * FRAME_SAMPLES].backward()
    assert latents.grad is not None
    reached = torch.nonzero(latents.grad.abs().sum((0, 1, 2)))[:, 0]
    assert middle - halo <= int(reached.min()) and int(reached.max()) <= middle + halo
    assert int(reached.max() - reached.min()) > 1.5 * halo


def test_latents_depend_on_no_more_than_the_halo_of_the_analysis(narrow):
    wide = stir(widen(narrow, WIDE))
    halo = wide.analysis_halo
    n, middle = 2 * halo + 21, halo + 10
    frames = torch.randn(1, N_REALS, n, requires_grad=True)
    wide.latents(frames)[0, :, 0, middle].sum().backward()
    assert frames.grad is not None
    reached = torch.nonzero(frames.grad.abs().sum((0, 1)))[:, 0]
    assert middle - halo <= int(reached.min()) and int(reached.max()) <= middle + halo
    assert int(reached.max() - reached.min()) > 1.5 * halo


@pytest.mark.parametrize("dilation", [1, 3])
def test_the_depthwise_convolution_is_one(dilation):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 9, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    taps = torch.randn(KERNEL, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.conv1d(
        x.transpose(1, 2), taps.T[:, None], padding=3 * dilation, dilation=dilation, groups=4
    )
    assert torch.allclose(depthwise(x, taps, dilation), expected.transpose(1, 2))
    assert torch.autograd.gradcheck(lambda x, taps: depthwise(x, taps, dilation), (x, taps))


def test_gains_are_bounded_and_numbers_are_added():
    spectra = torch.ones(1, 1, 4)  # two bins
    corrections = torch.tensor([[[100.0, 0.0, 1.0, 2.0, 3.0, 4.0]]])
    gain = math.exp(2.0)
    expected = torch.tensor([[[1.0 + gain, 3.0, 3.0 + gain, 5.0]]])
    assert torch.allclose(correct_spectra(spectra, corrections), expected)


def test_most_frames_have_less_than_the_typical_power():
    latents = torch.zeros(1, 8, 1, 10)
    latents[0, 0, 0] = torch.arange(10.0)
    power = 10.0 * torch.log10(latents[0, 0, 0] ** 2 + 1.0)
    assert power[6] <= typical_db(latents) <= power[7]


def test_a_buzz_is_not_noise():
    """The buzz is pulses at the rate of the frames, of the same power in every band."""
    generator = torch.Generator().manual_seed(0)
    noise, other_noise = torch.randn(2, 1, 32_000, generator=generator)
    pulses = torch.zeros(1, 32_000)
    pulses[:, ::160] = math.sqrt(160.0)
    buzz, hiss = (magnitude_distance(spectra(x), spectra(noise)) for x in (pulses, other_noise))
    assert float(buzz) > 1.2 * float(hiss)
