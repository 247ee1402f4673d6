"""The sheets of crops: parsing of arguments, equal bytes, and the layout of panels."""

import json

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from luxvox.benchmarks import crops
from luxvox.benchmarks.side_by_side import GAP, HEAD, closest, sheet
from luxvox.evaluate.picture.peers import JPEG
from luxvox.tests.evaluate.miniature import scene


@pytest.mark.parametrize("word", ["a.png", "a.png:1,2,3", "a.png:1,2,3,x", "away.png:0,0,8,8"])
def test_bad_crops_are_refused(word):
    with pytest.raises(click.UsageError):
        crops.Crop.parse(word)


def test_the_closest_file_is_found():
    pixels = scene(64, 80, 3)
    sizes = [len(JPEG.encode(pixels, quality)) for quality in range(1, 96)]
    aim = sizes[40]
    size, decoded = closest(pixels, JPEG, aim)
    assert abs(size - aim) <= max(abs(aim - sizes[39]), abs(sizes[41] - aim))
    assert decoded.shape == pixels.shape


def test_panels_lie_in_rows():
    black, grey = np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 200, np.uint8)
    page = np.asarray(sheet([[("a", black), ("b", grey)]] * 2, (5, 2, 25, 12)))
    assert page.shape == (2 * (HEAD + 10), 2 * (20 + GAP) - GAP, 3)
    assert (page[HEAD : HEAD + 10, :20] == 0).all()
    assert (page[2 * HEAD + 10 :, 20 + GAP :] == 200).all()


def test_luxvox_takes_no_more_bytes_than_avif(tmp_path):
    Image.fromarray(scene(96, 128, 4)).save(tmp_path / "a.png")
    word = f"{tmp_path / 'a.png'}:10,20,74,84:ramp"
    words = [word, "--rate", "1.0", "--effort", "1", "--out", str(tmp_path / "out")]
    ran = CliRunner().invoke(crops.main, words, catch_exceptions=False)
    assert ran.exit_code == 0
    with Image.open(tmp_path / "out" / "ramp.png") as page:
        assert page.size == (3 * (64 + GAP) - GAP, 64 + HEAD)
    avif, ours = json.loads((tmp_path / "out" / "crops.json").read_text())["files"]
    assert (avif["codec"], ours["codec"]) == ("AVIF", "luxvox")
    assert 0.9 * avif["bytes"] < ours["bytes"] <= avif["bytes"]
