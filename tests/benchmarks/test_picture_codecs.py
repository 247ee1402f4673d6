"""The peers: whole files, near the original, larger with each setting; and the metrics."""

import numpy as np
import pytest
from PIL import features

from luxvox.benchmarks.metrics import multiscale_ssim, psnr_db, ssim_db
from luxvox.benchmarks.picture_codecs import CODECS, Pixels

NEEDS = {"jpeg": "jpg", "webp": "webp", "avif": "avif", "jpeg2000": "jpg_2000"}


@pytest.fixture(scope="module")
def picture() -> Pixels:
    """Return a ramp with some noise, 192 × 176."""
    ramp = np.add.outer(np.arange(176), np.arange(192))[:, :, None] / 2.0
    noise = np.random.default_rng(7).normal(scale=12.0, size=(176, 192, 3))
    return np.clip(ramp + noise + [0, 20, 40], 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", NEEDS)
def test_peers_write_larger_and_better_files(name: str, picture: Pixels) -> None:
    if not features.check(NEEDS[name]):
        pytest.skip(f"this Pillow does not write {name}")
    codec = CODECS[name]
    ends = (codec.settings[0], codec.settings[-1])
    small, large = (codec.encode(picture, setting) for setting in ends)
    assert len(small) < len(large)
    assert codec.decode(small).shape == picture.shape
    assert 15.0 < psnr_db(picture, codec.decode(small)) < psnr_db(picture, codec.decode(large))


def test_psnr() -> None:
    black = np.zeros((2, 2, 3), np.uint8)
    assert psnr_db(black, black + np.uint8(255)) == pytest.approx(0.0)
    assert psnr_db(black, black + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    assert psnr_db(black, black) == 100.0


def test_ms_ssim(picture: Pixels) -> None:
    assert multiscale_ssim(picture, picture) == pytest.approx(1.0)
    assert multiscale_ssim(picture, 255 - picture) < 0.9
    assert ssim_db(0.99) == pytest.approx(20.0)
