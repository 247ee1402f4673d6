"""A tiny voice model whose codebooks are random, installed for all tests of voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from luxvox.codec import container
from luxvox.entropy.voice.layers import LevelShape
from luxvox.models.cards import ModelCard
from luxvox.models.training.voice.initialise import (
    fit_codebooks,
    fit_static_bits,
    principal_directions,
)
from luxvox.models.training.voice.twin import speech_twins
from luxvox.models.voice import weights
from luxvox.models.voice.networks import SpeechConfig, SpeechModel
from luxvox.models.voice.spectra import N_REALS, envelopes, spectrum
from luxvox.models.voice.weights import VoiceCodec

CONFIG = SpeechConfig(
    n_channels=12,
    n_stages=6,
    codebook_size=64,
    first_stages=2,
    width=16,
    expansion=2,
    analysis_blocks=1,
    synthesis_blocks=2,
    n_bands=4,
    finest_depth=6.5,
    finest_slope=1.2,
)
N_ENVELOPES = 2
REFERENCE_DB = 37.0


def tone(n, rate=16_000, seed=0):
    """Make gliding harmonics and a little noise, float32 [n]."""
    t = np.arange(n) / rate
    generator = np.random.default_rng(seed)
    glide = 2 * np.pi * (150 * t + 20 * np.sin(2 * np.pi * t))
    sound = sum(np.sin(k * glide) / k for k in range(1, 8)) * (0.6 + 0.4 * np.sin(9 * t))
    return (0.1 * sound + 0.002 * generator.standard_normal(n)).astype(np.float32)


@pytest.fixture(scope="module")
def codec():
    torch.manual_seed(0)
    model = SpeechModel(CONFIG)
    compressed = spectrum(torch.from_numpy(8.0 * tone(320 * 400))[None])
    directions = principal_directions(compressed, CONFIG.n_channels - N_ENVELOPES)
    envelope_directions = principal_directions(envelopes(compressed, CONFIG.n_bands), N_ENVELOPES)
    with torch.no_grad():
        model.down.zero_()
        model.down[N_ENVELOPES:, :N_REALS] = directions
        model.down[:N_ENVELOPES, N_REALS:] = 0.3 * envelope_directions
        model.up.zero_()
        model.up[:, N_ENVELOPES:] = directions.T
        assert model.synthesis.polar is not None
        model.synthesis.polar.weight.normal_(0.0, 0.01)
        for side in (model.analysis, model.synthesis):
            side.leave.weight.normal_(0.0, 0.01)
        latents = model.latents(compressed)
        model.reference_db.fill_(REFERENCE_DB)
        fit_codebooks(model, latents, torch.Generator().manual_seed(0))
        model.vq.codebooks.copy_(torch.floor(model.vq.codebooks * 16 + 0.5) / 16)
        fit_static_bits(model, latents.expand(8, -1, -1, -1))
    twins = speech_twins(model, LevelShape(CONFIG.n_channels, width=256, hidden=48))
    card = ModelCard(Path("voice-9.json"), "voice-9", 9, "voice", "", "0a0b0c0d", {}, {})
    return VoiceCodec(
        card,
        model.eval().requires_grad_(False),
        twins.runtime(),
    )


@pytest.fixture(autouse=True)
def installed(codec, monkeypatch):
    monkeypatch.setattr(weights, "voice_codec", lambda number=None, fingerprint=None: codec)


def voice_header(data):
    header = container.read_header(data)[0]
    assert isinstance(header, container.VoiceHeader)
    return header


def pytest_collection_modifyitems(items):
    """Coarse qualities leave the tiny model without codes, which most tests do not care about."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:at this quality it keeps no codes"))
