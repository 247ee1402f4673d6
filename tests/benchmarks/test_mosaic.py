"""Pictures grown by mirroring."""

import numpy as np

from luxvox.benchmarks.mosaic import mosaic


def test_mosaic_mirrors_and_cuts() -> None:
    pixels = np.arange(3, dtype=np.uint8).reshape(1, 3, 1)
    assert mosaic(pixels, 1, 8)[0, :, 0].tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert mosaic(pixels, 2, 2)[:, :, 0].tolist() == [[0, 1], [0, 1]]
