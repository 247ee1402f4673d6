"""Synthetic pictures, and threads as they were before each test."""

import numpy as np
import pytest
import torch


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


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
