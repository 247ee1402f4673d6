"""A picture codec small enough to be trained in a test, and the pictures for it."""

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from luxvox.models import context
from luxvox.models.dct import initialise_as_dct, measure_channels
from luxvox.models.image import ImageConfig, PictureModel
from luxvox.models.training import context_phase, image, initialise, phases
from luxvox.models.training.export import export_run

TINY = ImageConfig(
    width_16=160,
    analysis_blocks_16=1,
    analysis_hidden_8=16,
    synthesis_blocks_8=1,
    synthesis_blocks_16=1,
    codebook_size=16,
    top_groups=(1,) * 4 + (4,) * 7,
    base_groups=(1,) * 6 + (2,) * 5 + (8,) * 13,
    detail_groups=(4, 4, 8),
)
FULL_WIDTHS = dict(context.WIDTHS)


def use_tiny_sizes(monkeypatch):
    """Shrink everything that training takes long for."""
    monkeypatch.setattr(image, "ImageConfig", lambda: TINY)
    monkeypatch.setattr(image, "HELD_BACK", 3)
    monkeypatch.setattr(image, "log_to_stderr", lambda: None)
    monkeypatch.setattr(context, "WIDTHS", {"top": 16, "base": 16, "detail": 16})
    monkeypatch.setattr(context, "HIDDEN", 8)
    monkeypatch.setattr(initialise, "N_CROPS", 32)
    monkeypatch.setattr(initialise, "CROP", 64)
    monkeypatch.setattr(initialise, "N_VECTORS", 1000)
    monkeypatch.setattr(initialise, "N_ITERATIONS", 4)
    monkeypatch.setattr(phases, "N_VALIDATION", 2)
    monkeypatch.setattr(context_phase, "SHAPES", {"wide": (64, 96), "tall": (96, 64)})
    monkeypatch.setattr(context_phase, "N_VARIANTS", 2)
    monkeypatch.setattr(context_phase, "BATCH", 2)


def synthetic_picture(height, width, seed):
    """Uint8 [height, width, 3]: noise whose power falls with frequency, as in photographs."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(generator.normal(size=(3, height, width)))
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    noise = np.fft.irfft2(spectrum / (0.004 + np.hypot(down, across)) ** 1.2, (height, width))
    noise[1:] = noise[:1] + 0.3 * noise[1:]
    levels = 128 + 50 * (noise - noise.mean()) / noise.std()
    return np.clip(levels, 0, 255).astype(np.uint8).transpose(1, 2, 0)


@pytest.fixture(scope="session")
def picture_of():
    return synthetic_picture


@pytest.fixture
def tiny_sizes(monkeypatch):
    use_tiny_sizes(monkeypatch)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder of six synthetic pictures, and one that is too small to train on."""
    folder = tmp_path_factory.mktemp("photographs")
    sizes = [(256, 320), (300, 256), (256, 256), (257, 299), (288, 256), (256, 272), (40, 40)]
    for seed, size in enumerate(sizes):
        Image.fromarray(synthetic_picture(*size, seed)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="session")
def tiny_run(photographs, tmp_path_factory):
    """The folder of a run in which all phases were trained, for a step or two."""
    run = tmp_path_factory.mktemp("run")
    logging.getLogger("luxvox").setLevel(logging.WARNING)
    n_threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_sizes(monkeypatch)
        image.train_image([photographs], run, 1e-4)
    torch.set_num_threads(n_threads)
    return run


@pytest.fixture(scope="session")
def tiny_weights(tiny_run, tmp_path_factory):
    """The path of a model card, with its weights beside it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_tiny_sizes(monkeypatch)
        path: Path = export_run(tiny_run, tmp_path_factory.mktemp("weights"), "picture-7")
    return path


@pytest.fixture(scope="session")
def skeleton():
    """A tiny model set to the exact DCT codec; codebooks are empty."""
    model = PictureModel(TINY)
    pixels = [torch.from_numpy(synthetic_picture(96, 128, seed)) for seed in range(3)]
    channels = measure_channels([(p.permute(2, 0, 1).float() - 128) / 8 for p in pixels])
    initialise_as_dct(model.analysis, model.synthesis, channels)
    model.order_16.copy_(channels.stride_16)
    model.order_32.copy_(channels.stride_32)
    return model.eval().requires_grad_(False)
