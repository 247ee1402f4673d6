"""The sizes of a tiny voice model, voices to train it on, and a run of all phases."""

import shutil

import numpy as np
import pytest
import soundfile

from luxvox.models.training import run as run_module
from luxvox.models.training.voice import (
    context_phase,
    equalise,
    initialise,
    phases,
    synthesis_phase,
    twin,
)
from luxvox.models.training.voice.train import VoiceRecipe
from luxvox.models.voice.networks import SpeechConfig

A_STEP = 1e-6  # minutes
RECIPE_OPTIONS = "stages", "widen", "equalise", "keep_codebooks"
TINY = SpeechConfig(
    n_channels=12,
    n_stages=4,
    codebook_size=32,
    first_stages=2,
    width=16,
    expansion=2,
    analysis_blocks=1,
    synthesis_blocks=1,
    finest_depth=4.0,
)


def voice(n, seed):
    """Gliding harmonics with pauses, float64 [n]."""
    t = np.arange(n) / 16_000
    generator = np.random.default_rng(seed)
    glide = 2 * np.pi * ((100 + 30 * seed) * t + 8 * np.sin(2 * t))
    sound = sum(np.sin(k * glide) / k for k in range(1, 10)) * (np.sin(3 * t + seed) > -0.5)
    return 0.1 * sound + 0.001 * generator.standard_normal(n)


def use_tiny_sizes(monkeypatch):
    monkeypatch.setattr(run_module, "log_to_stderr", lambda: None)
    monkeypatch.setattr(initialise, "N_CROPS", 12)
    monkeypatch.setattr(initialise, "N_REFIT_CROPS", 40)
    monkeypatch.setattr(equalise, "N_FITTED_CROPS", 40)
    monkeypatch.setattr(equalise, "N_BATCHES", 2)
    monkeypatch.setattr(phases, "BATCH", 2)
    monkeypatch.setattr(synthesis_phase, "BATCH", 4)
    monkeypatch.setattr(phases, "N_VALIDATION", 1)
    monkeypatch.setattr(context_phase, "BATCH", 2)
    monkeypatch.setattr(context_phase, "N_VALIDATION", 2)
    monkeypatch.setattr(twin, "WIDTH", 16)
    monkeypatch.setattr(twin, "HIDDEN", 8)


def train_as(folder, run, minutes, phase=None, config=TINY, **options):
    """Train with a small recipe; a finished phase is trained again unless it is resumed."""
    of_recipe = {name: options.pop(name) for name in RECIPE_OPTIONS if name in options}
    recipe = VoiceRecipe(config=config, held_back=3, **of_recipe)
    options = {"bfloat16": False, "overwrite": not options.get("resume"), **options}
    run_module.train_model(recipe, run_module.Job((folder,), run, minutes, phase, **options))


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    for seed in range(4):
        soundfile.write(folder / f"{seed}.flac", voice(64_000, seed), 16_000)
    soundfile.write(folder / "short.wav", voice(8_000, 9), 16_000)
    return folder


@pytest.fixture(scope="module")
def trained(voices, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_sizes(monkeypatch)
        train_as(voices, run, A_STEP)
    return run


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    use_tiny_sizes(monkeypatch)
    return shutil.copytree(trained, tmp_path / "run")
