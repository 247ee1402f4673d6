"""Training of pictures small enough for a test: few small crops, one picture to validate on."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from luxvox.models.training import run
from luxvox.models.training.picture import crops, data, tables
from luxvox.models.training.picture.train import PictureRecipe
from luxvox.models.training.run import Job, train_model

A_STEP = 1e-6  # minutes
RECIPE = PictureRecipe(held_back=3, crop=64, batch=1)


def use_small_batches(monkeypatch):
    """Shrink whatever makes training slow."""
    monkeypatch.setattr(run, "log_to_stderr", lambda: None)
    monkeypatch.setattr(crops, "N_VALIDATED", 1)
    monkeypatch.setattr(tables, "N_CODED", 2)
    monkeypatch.setattr(tables, "SIDE", 64)
    monkeypatch.setattr(data, "N_DRAWINGS", 2)


@pytest.fixture
def small_batches(monkeypatch):
    use_small_batches(monkeypatch)


@pytest.fixture(autouse=True)
def restored_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of five synthetic pictures, and one that is too small to train on."""
    path = tmp_path_factory.mktemp("pictures")
    sizes = [(256, 320), (300, 256), (256, 256), (257, 299), (288, 256), (40, 40)]
    for seed, (height, width) in enumerate(sizes):
        noise = np.random.default_rng(seed).normal(size=(height // 8 + 1, width // 8 + 1, 3))
        small = Image.fromarray(np.clip(128 + 60 * noise, 0, 255).astype(np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(path / f"{seed}.png")
    return path


@pytest.fixture(scope="session")
def trained_run(folder, tmp_path_factory):
    """A run folder in which every phase was trained for a step or two."""
    run_folder = tmp_path_factory.mktemp("run")
    logging.getLogger("luxvox").setLevel(logging.WARNING)
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_small_batches(monkeypatch)
        train_model(RECIPE, Job((folder,), run_folder, A_STEP))
    torch.set_num_threads(threads)
    return run_folder
