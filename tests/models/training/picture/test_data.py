"""Training pictures: reading, splitting and cropping."""

import pytest
import torch
from PIL import Image

from luxvox.errors import InputError
from luxvox.models.training.picture import data
from luxvox.models.training.picture.data import Pictures, to_units
from luxvox.models.training.picture.drawings import drawing


def test_junk_among_the_pictures_is_named(tmp_path):
    Image.new("RGB", (256, 256)).save(tmp_path / "0.png")
    (tmp_path / "junk.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"junk\.png"):
        Pictures([tmp_path])


def test_pictures_are_split(folder, monkeypatch):
    monkeypatch.setattr(data, "N_DRAWINGS", 2)
    pictures = Pictures([folder])
    assert len(pictures) == 5
    training, held_back = pictures.split(3)
    assert (len(training), len(held_back)) == (3, 2)
    assert (len(training.drawings), len(held_back.drawings)) == (2, 0)


def test_plain_crops_are_parts_of_pictures(folder, monkeypatch):
    monkeypatch.setattr(data, "ENLARGED_SHARE", 0.0)
    monkeypatch.setattr(data, "NOISY_SHARE", 0.0)
    pictures = Pictures([folder])
    pictures.pictures = [pictures.pictures[0][:, :20, :30]]
    windows = pictures.pictures[0].unfold(1, 6, 1).unfold(2, 6, 1)
    windows = windows.permute(1, 2, 0, 3, 4).reshape(-1, 3, 6, 6)
    legal = to_units(torch.cat([windows, windows.flip(3)]))
    for seed in range(20):
        crop = pictures.crops(1, 6, torch.Generator().manual_seed(seed))[0]
        assert (crop == legal).flatten(1).all(1).any()


def test_crops_follow_the_seed_and_keep_the_range(folder):
    pictures, _ = Pictures([folder]).split(3)
    first, second = (pictures.crops(8, 64, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (8, 3, 64, 64)
    assert first.min() >= -16.0 and first.max() < 16.0


def test_drawings_are_flat_and_follow_the_seed():
    for seed in (0, 1, 2, 4, 5, 6):
        picture = drawing(seed)
        assert torch.equal(picture, drawing(seed))
        assert picture.shape == (3, 384, 384)
        neighbours = (picture[:, :, 1:] == picture[:, :, :-1]).all(0).float().mean()
        assert neighbours > 0.5


def test_every_fourth_drawing_is_a_shade():
    n_plain = 0
    for seed in range(3, 83, 4):
        picture = drawing(seed)
        assert picture.shape == (3, 384, 384) and picture.dtype == torch.uint8
        levels = picture.int()

        # Every channel rises or falls from corner to corner, by at most one level per pixel.
        for steps in (levels.diff(dim=1), levels.diff(dim=2)):
            assert steps.abs().max() <= 1
            assert ((steps >= 0).flatten(1).all(1) | (steps <= 0).flatten(1).all(1)).all()
        n_plain += bool((levels == levels[:, :1, :1]).all())
    assert 5 <= n_plain <= 15
