"""Folders of pictures, and pictures grown by mirroring."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from luxvox.benchmarks.picture_folder import mosaic, picture_paths, read_rgb


def test_folder_lists_lossless_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", "c.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in picture_paths(tmp_path)] == ["a.PNG", "b.png"]


def test_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no picture"):
        picture_paths(tmp_path)


def test_grey_is_read_as_rgb(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 7).save(tmp_path / "grey.png")
    assert read_rgb(tmp_path / "grey.png").tolist() == [[[7] * 3] * 3] * 2


def test_mosaic_mirrors_and_cuts() -> None:
    pixels = np.arange(3, dtype=np.uint8).reshape(1, 3, 1)
    assert mosaic(pixels, 1, 8)[0, :, 0].tolist() == [0, 1, 2, 2, 1, 0, 0, 1]
    assert mosaic(pixels, 2, 2)[:, :, 0].tolist() == [[0, 1], [0, 1]]
