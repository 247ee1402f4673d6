"""Parts of pictures and smaller pictures, compared with the whole one."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luxvox
from luxvox.codec.container.bands import Bands
from luxvox.codec.picture.views import View, window_of
from luxvox.errors import UsageError
from luxvox.tests.golden.files import waves

SIZE = 700, 300


@pytest.fixture(scope="module")
def file():
    """A picture in bands of two rows of cells, with alpha."""
    pixels = waves(*SIZE)
    alpha = (np.indices(SIZE).sum(0) % 256).astype(np.uint8)
    with mock.patch("luxvox.codec.picture.encoding.usual_band_rows", lambda height, width: 2):
        return luxvox.compress_image(np.dstack([pixels, alpha]), 60)


@pytest.fixture(scope="module")
def whole(file):
    return luxvox.decompress_image(file).astype(int)


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_a_crop_equals_that_part_of_the_whole(file, whole, data):
    top, left = data.draw(st.integers(0, SIZE[0] - 1)), data.draw(st.integers(0, SIZE[1] - 1))
    height = data.draw(st.integers(1, SIZE[0] - top))
    width = data.draw(st.integers(1, SIZE[1] - left))
    part = luxvox.decompress_image(file, crop=(left, top, width, height))
    expected = whole[top : top + height, left : left + width]
    assert np.abs(part.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(part[:, :, 3], expected[:, :, 3])


def test_a_crop_reads_only_the_bands_it_needs():
    bands = Bands(6400, 640, 4, False)
    window = window_of(View(crop=(300, 3200, 10, 10)), bands, 304)
    assert (window.bands, window.rows, window.columns) == (range(11, 14), range(45, 55), range(10))
    assert window_of(View(crop=(0, 0, 640, 6400)), bands, 304).bands == range(25)


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_a_smaller_picture_is_the_whole_one_reduced(file, whole, factor):
    small = luxvox.decompress_image(file, scale=1 / factor)
    assert small.shape == (-(-SIZE[0] // factor), -(-SIZE[1] // factor), 4)
    rows, columns = SIZE[0] // factor, SIZE[1] // factor
    cut = whole[: rows * factor, : columns * factor]
    reduced = cut.reshape(rows, factor, columns, factor, 4).mean((1, 3))
    error = np.square(small[:rows, :columns, :3] - reduced[..., :3]).mean()
    assert 10 * np.log10(255**2 / error) > 33
    assert np.abs(small[:rows, :columns, 3] - reduced[..., 3]).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (7, 65), (64, 64)])
@pytest.mark.parametrize("scale", [1 / 2, 1 / 4, 1 / 8, 1 / 16])
def test_small_pictures_can_be_scaled_down(size, scale):
    data = luxvox.compress_image(waves(*size), 40)
    sides = tuple(-(-n // round(1 / scale)) for n in size)
    assert luxvox.decompress_image(data, scale=scale).shape == (*sides, 3)
    grey = luxvox.compress_image(waves(*size)[..., 0], 40)
    assert luxvox.decompress_image(grey, scale=scale).shape == sides


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.3}, "scale 0.3 is not legal: 1, 1/2, 1/4, 1/8 or 1/16"),
        ({"scale": 2}, "scale 2 is not legal"),
        ({"scale": "1/2"}, "scale has to be a number"),
        ({"crop": (0, 0, 10)}, "crop has to be four whole numbers"),
        ({"crop": (0, 0, 0, 5)}, "crop 0,0,0,5 is not legal: X,Y from 0, W,H from 1"),
        ({"crop": (-1, 0, 5, 5)}, "crop -1,0,5,5 is not legal"),
        ({"crop": (0, 0, 301, 5)}, "crop 0,0,301,5 is not inside the picture of 300×700 pixels"),
        ({"crop": (10**9, 0, 1, 1)}, "is not inside the picture"),
        ({"crop": (0, 0, 5, 5), "scale": 0.5}, "scale and crop cannot be combined"),
    ],
)
def test_impossible_views_are_refused(file, options, message):
    with pytest.raises(UsageError, match=message):
        luxvox.decompress_image(file, **options)
