"""JPEG files that lack data are refused or noted; data after the picture is noted, too."""

import numpy as np
import pytest

from luxvox.codec.picture import reading
from luxvox.errors import InputError
from luxvox.tests.codec.picture.picture_files import file_of, photograph


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("n_missing", [1, 2, 3, 20])
def test_jpeg_without_its_last_bytes_is_read(progressive, n_missing):
    pixels = photograph(320, 240)
    data = file_of(pixels, "JPEG", quality=90, progressive=progressive)
    raster = reading.from_file(data[:-n_missing])
    whole = reading.from_file(data)
    assert np.abs(raster.pixels[:200].astype(int) - whole.pixels[:200]).mean() < 2
    assert all("cut" in note for note in raster.notes)
    assert bool(raster.notes) or np.array_equal(raster.pixels, whole.pixels)


def test_half_a_jpeg_is_refused(tmp_path):
    data = file_of(photograph(320, 240), "JPEG", quality=90)
    path = tmp_path / "half.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"half\.jpg: damaged picture: .* % of it|half\.jpg.*%"):
        reading.from_file(path)


def noise(width=320, height=240):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


CUT = ("the file is cut; the end of the picture may be missing or coarse",)


@pytest.mark.parametrize("filling", [b"\xff\xd9", bytes(10_000), b"\xff" * 10_000])
@pytest.mark.parametrize("restarts", [0, 1])
def test_jpeg_whose_cut_is_hidden_by_padding(filling, restarts):
    data = file_of(noise(), "JPEG", quality=90, restart_marker_rows=restarts)
    with pytest.raises(InputError, match="damaged picture: the file is cut"):
        reading.from_file(data[: len(data) * 4 // 5] + filling)
    whole = reading.from_file(data)
    raster = reading.from_file(data[:-300] + filling[:2])
    assert "cut" in raster.notes[0]
    assert np.array_equal(raster.pixels[:200], whole.pixels[:200])


@pytest.mark.parametrize("filling", [b"\xff\xd9", bytes(1000)])
def test_progressive_jpeg_without_all_scans_is_noted(filling):
    data = file_of(noise(), "JPEG", quality=90, progressive=True)
    assert reading.from_file(data[: len(data) // 2] + filling).notes == CUT
    assert reading.from_file(data).notes == ()


def test_jpeg_with_a_hole_is_noted():
    data = file_of(noise(), "JPEG", quality=90, restart_marker_rows=1)
    start, stop = data.index(b"\xff\xd2"), data.index(b"\xff\xd4")
    assert "damaged" in reading.from_file(data[:start] + data[stop:]).notes[0]


@pytest.mark.parametrize("progressive", [False, True])
def test_grey_at_the_end_of_a_jpeg_may_be_its_own(progressive):
    pixels = photograph(320, 240)
    pixels[200:] = 128
    for samples in (pixels, pixels[:, :, 0]):
        data = file_of(samples, "JPEG", quality=90, progressive=progressive)
        assert reading.from_file(data + b"after its end").notes == ()


@pytest.mark.parametrize(
    ("rest", "notes"),
    [
        (b"\0\0\0\x18ftypmp42" + bytes(5000), ("its film is not kept",)),
        (b"\0\0\x30\x0aMotionPhoto_Data" + b"film", ("its film is not kept",)),
        (file_of(photograph(), "JPEG"), ("the second picture in it is not kept",)),
        (b"x" * 1234, ("1,234 bytes after it are not kept",)),
        (bytes(1234), ()),
    ],
)
def test_data_after_a_jpeg_is_noted(rest, notes):
    assert reading.from_file(file_of(photograph(), "JPEG") + rest).notes == notes
