"""Pauses sound like noise: the phases of quiet frames are scattered."""

import math

import numpy as np
import pytest
import torch

from luxvox.models.voice.pauses import NEAR_FRAMES, Stretch, phase_angles, scatter_phases
from luxvox.models.voice.tiling import synthesise
from luxvox.models.voice.weights import voice_codec
from luxvox.timeline import FRAME_SAMPLES

N_BINS = 5


def spectra(n_frames):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, n_frames, 2 * N_BINS, generator=generator, dtype=torch.float64)


def powers(values):
    return values[..., :N_BINS] ** 2 + values[..., N_BINS:] ** 2


def test_frames_near_others_keep_their_phases():
    before = spectra(30)
    noise = torch.arange(100, 130).repeat(2, 1)
    noise[0, 10] = -1
    noise[1, :] = -1
    after = scatter_phases(before, noise)
    near = slice(10 - NEAR_FRAMES, 11 + NEAR_FRAMES)
    assert torch.equal(after[0, near], before[0, near])
    assert torch.equal(after[1], before[1])
    far = [n for n in range(30) if abs(n - 10) > NEAR_FRAMES]
    assert not torch.isclose(after[0, far], before[0, far]).any(1).any()
    torch.testing.assert_close(powers(after), powers(before))


def test_phases_follow_from_the_number_of_a_noise():
    before, noise = spectra(40), torch.arange(100, 140).repeat(2, 1)
    whole = scatter_phases(before, noise)
    assert torch.equal(scatter_phases(before[:, 7:], noise[:, 7:]), whole[:, 7:])


def test_angles_are_those_of_murmurhash():
    turn = 2.0 * math.pi / 2.0**32
    angles = phase_angles(np.array([0, 1]), 1)
    assert angles[:, 0].tolist() == [0.0, 0x514E28B7 * turn]
    far = phase_angles(np.array([2**32 // 321 + 7]), 321)
    assert 0.0 <= far.min() < 0.1 and 6.1 < far.max() < 2.0 * math.pi


def repetition(samples):
    """Return how much samples resemble those of one frame before, −1 … 1."""
    early, late = samples[:-FRAME_SAMPLES], samples[FRAME_SAMPLES:]
    return (early * late).sum() / np.sqrt(np.square(early).sum() * np.square(late).sum())


@pytest.fixture(scope="module")
def voice():
    """Return a second of voice, a second without codes, and half a second of voice."""
    codec = voice_codec(None)
    generator = np.random.default_rng(0)
    codes = torch.from_numpy(generator.integers(1, 1024, (1, 4, 1, 1, 125)))
    codes[..., 50:100] = 0
    noise = torch.where((codes == 0).all(1)[0, 0, 0], torch.arange(125), -1)
    return codec.model, Stretch(codec.model.vq.decode(codes)[0], noise)


def test_pauses_do_not_hum(voice):
    model, stretch = voice
    pause = slice(58 * FRAME_SAMPLES, 92 * FRAME_SAMPLES)
    with torch.no_grad():
        hum = model.samples(stretch.latents[None])[0, pause].numpy()
    noise = np.concatenate(list(synthesise(model, [stretch], 124 * FRAME_SAMPLES)))[pause]
    assert repetition(hum) > 0.9
    assert abs(repetition(noise)) < 0.2
    assert abs(10.0 * np.log10(np.square(noise).sum() / np.square(hum).sum())) < 1.0


@pytest.mark.parametrize("chunk", [33, 60])
def test_chunks_make_no_difference(voice, chunk):
    model, stretch = voice
    n_samples = 124 * FRAME_SAMPLES
    whole = np.concatenate(list(synthesise(model, [stretch], n_samples)))
    parts = np.concatenate(list(synthesise(model, [stretch], n_samples, chunk)))
    np.testing.assert_allclose(parts, whole, atol=2e-4 * np.abs(whole).max())
