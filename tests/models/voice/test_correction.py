"""Latents of a voice are corrected by how their codes sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import luxvox
from luxvox.models.voice.correction import correct_latents, networks_for_correction
from luxvox.models.voice.losses import distortions, spectra
from luxvox.models.voice.spectra import spectrum
from luxvox.models.voice.weights import voice_codec

N_FRAMES = 101
LOUD, SOFT = slice(5, 46), slice(55, 96)


@pytest.fixture(scope="module")
def model():
    return voice_codec().model


@pytest.fixture(scope="module")
def noise():
    """Samples whose second half is 30 dB softer."""
    samples = torch.randn(320 * (N_FRAMES - 1), generator=torch.Generator().manual_seed(0)) * 0.1
    samples[len(samples) // 2 :] *= 0.03
    return samples


@pytest.fixture(scope="module")
def latents(model, noise):
    return model.latents(spectrum(noise[None]))[0].detach()


@torch.no_grad()
def test_corrected_codes_sound_closer(model, noise, latents):
    depths = np.full(N_FRAMES, 8)
    limits = torch.from_numpy(depths)[None, None]
    expected = spectra(noise[None])

    def distance(frames):
        codes = model.vq.encode(frames[None], torch.zeros(1), 0.1, limits)
        heard = model.samples(model.vq.decode(codes))
        return float(distortions(spectra(heard), expected)[0])

    corrected = [correct_latents(model, latents, noise, depths, n).latents for n in (0, 2, 8)]
    distances = list(map(distance, corrected))
    assert distances == sorted(distances, reverse=True) and distances[2] < 0.97 * distances[0]


def test_files_with_corrections_sound_closer():
    """In several stretches, corrected side by side."""
    path = Path(luxvox.__file__).parent / "examples" / "kennedy_1961.flac"
    voice, rate_hz = soundfile.read(path, dtype="float32")
    expected = spectra(torch.from_numpy(voice)[None])

    def distance(effort):
        data = luxvox.compress_speech(voice, rate_hz, quality=60, effort=effort)
        heard = torch.from_numpy(luxvox.decompress_speech(data)[0])[None]
        return float(distortions(spectra(heard), expected)[0])

    assert distance(5) < 0.97 * distance(2)


def test_corrections_reach_frames_alike(model, noise, latents):
    """Plain gradients would move soft frames of noise more than twice as far as loud ones."""
    depths = np.where(np.arange(N_FRAMES) < 50, 14, 5)
    corrected = correct_latents(model, latents, noise, depths, 2).latents
    moved = (corrected - latents).square().mean((0, 1)).sqrt()
    assert 0.6 < float(moved[LOUD].mean() / moved[SOFT].mean()) < 1.6


def test_matrices_in_bfloat16_change_nothing(model, noise, latents):
    """They are converted in any case, where the processor multiplies bfloat16."""
    depths = np.full(N_FRAMES, 8)
    pair = [
        correct_latents(networks, latents, noise, depths, 2).latents
        for networks in (model, networks_for_correction(model))
    ]
    assert torch.equal(*pair)
