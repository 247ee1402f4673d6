"""How pictures are cut into bands and parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.codec.container import PictureHeader
from luxvox.codec.container.bands import Bands, Part, bands_of, usual_band_rows
from luxvox.codec.container.header_fields import MAX_BANDS
from luxvox.codec.quality import Quality


def header(height, width, band_rows):
    return PictureHeader(
        1, bytes(4), width, height, True, False, True, 0, 1, Quality(5000), band_rows
    )


def test_known_bands():
    bands = bands_of(header(300, 700, 2))
    assert (bands.n_bands, bands.n_sections, bands.n_cell_columns) == (3, 6, 11)
    assert [list(bands.cell_rows(n)) for n in range(3)] == [[0, 1], [2, 3], [4]]
    assert bands.grid_rows(1, 16) == slice(8, 16)
    assert bands.size(2) == (64, 704)
    assert list(bands.parts())[:4] == [Part(1, 0), Part(1, 1), Part(1, 2), Part(2, 0)]
    joined = bands_of(header(300, 700, 0))
    assert list(joined.parts()) == [Part(1, 0)]


@pytest.mark.parametrize(
    ("height", "width", "rows"),
    [
        (1, 1, 0),
        (128, 128, 0),
        (129, 128, 3),
        (512, 768, 8),
        (1024, 1365, 16),
        (3000, 4000, 4),
        (2**15, 2**15, 1),
        (64, 2**24, 1),
        (2**30, 1, 2**14),
    ],
)
def test_bands_that_an_encoder_chooses(height, width, rows):
    assert usual_band_rows(height, width) == rows


@given(st.integers(1, 2**30), st.data())
def test_bands_cover_the_picture(width, data):
    height = data.draw(st.integers(1, 2**30 // width))
    rows = usual_band_rows(height, width)
    bands = bands_of(header(height, width, rows))
    assert 1 <= bands.n_bands <= MAX_BANDS
    assert bands.cell_rows(0).start == 0
    assert bands.cell_rows(bands.n_bands - 1).stop == -(-height // 64)
    n_cells = bands.rows * bands.n_cell_columns
    assert bands.n_bands == 1 or n_cells >= 120 or bands.rows == 1


def test_names():
    assert Bands(640, 64, 5, False).name(1) == " of band 2"
    assert Bands(640, 64, 10, False).name(0) == ""
