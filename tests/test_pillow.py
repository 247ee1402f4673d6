"""Pillow reads and writes `.lvx` pictures through the plugin."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

import luxvox
import luxvox.pillow


def _pixels(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 2, columns, 128 + 60 * np.sin(rows / 9)], 2).astype(np.uint8)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """Return a colour picture with EXIF data that names its author."""
    image = Image.fromarray(_pixels(96, 160))
    exif = Image.Exif()
    exif[0x13B] = "Ada"
    image.info["exif"] = exif.tobytes()
    return image


@pytest.fixture(scope="module")
def data(picture: Image.Image) -> bytes:
    """Return the file of the picture."""
    return luxvox.compress_image(picture, quality=40)


def test_opens_by_header_and_decodes_on_load(data: bytes) -> None:
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode, image.size) == ("LVX", "RGB", (160, 96))
    assert np.array_equal(np.asarray(image), luxvox.decompress_image(data))


def test_a_header_alone_opens(data: bytes) -> None:
    assert Image.open(io.BytesIO(data[:80])).size == (160, 96)


def test_opens_from_a_path_and_closes_the_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.lvx"
    path.write_bytes(data)
    with Image.open(path) as image:
        image.load()
    assert image.get_format_mimetype() == "image/x-luxvox"
    path.unlink()


def test_metadata_without_decoding(data: bytes) -> None:
    image = Image.open(io.BytesIO(data))
    assert image.getexif()[0x13B] == "Ada"
    assert "exif" in image.info


def test_draft_gives_a_smaller_picture(data: bytes) -> None:
    image = Image.open(io.BytesIO(data))
    assert image.draft(None, (40, 20)) is not None
    assert image.size == (40, 24)
    assert np.array_equal(np.asarray(image), luxvox.decompress_image(data, scale=1 / 4))


def test_thumbnail_asks_for_a_draft(data: bytes) -> None:
    image = Image.open(io.BytesIO(data))
    image.thumbnail((30, 30))
    assert image.size == (30, 18)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA"])
def test_modes_survive(picture: Image.Image, mode: str) -> None:
    stream = io.BytesIO()
    picture.convert(mode).save(stream, "LVX", quality=30)
    reopened = Image.open(io.BytesIO(stream.getvalue()))
    assert reopened.mode == mode
    reopened.load()
    assert reopened.mode == mode


def test_saves_to_a_size(picture: Image.Image, tmp_path: Path) -> None:
    picture.save(tmp_path / "small.lvx", size=1500)
    assert (tmp_path / "small.lvx").stat().st_size <= 1500


def test_save_takes_metadata(picture: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x13B] = "Grace"
    stream = io.BytesIO()
    picture.save(stream, "LVX", quality=20, exif=exif)
    assert Image.open(io.BytesIO(stream.getvalue())).getexif()[0x13B] == "Grace"


def test_illegal_quality_is_an_os_error(picture: Image.Image) -> None:
    with pytest.raises(OSError, match="quality"):
        picture.save(io.BytesIO(), "LVX", quality=0)


def test_cut_files_are_refused_unless_pillow_is_told(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = data[: len(data) * 3 // 4]
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(cut)).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert Image.open(io.BytesIO(cut)).convert("RGB").size == (160, 96)


def test_altered_files_are_an_os_error(data: bytes) -> None:
    altered = bytearray(data)
    altered[-20] ^= 1
    with pytest.raises(OSError):
        Image.open(io.BytesIO(bytes(altered))).load()


def test_compressed_pictures_are_not_compressed_again(data: bytes) -> None:
    with pytest.raises(luxvox.InputError, match="an .lvx file, which is compressed already"):
        luxvox.compress_image(data)


def test_voices_are_no_pictures() -> None:
    voice = luxvox.compress_speech(np.zeros(1600, np.float32), 16000, quality=10, effort=1)
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(voice))


def test_tags_of_a_tiff_and_lost_frames_are_not_forgotten(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x13B] = "Ada"
    Image.fromarray(_pixels(40, 32)).save(tmp_path / "t.tif", tiffinfo=tags)
    with Image.open(tmp_path / "t.tif") as image:
        image.save(tmp_path / "t.lvx")
    with Image.open(tmp_path / "t.lvx") as image:
        assert image.getexif()[0x13B] == "Ada"

    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    with (
        Image.open(tmp_path / "a.gif") as image,
        pytest.warns(luxvox.LossWarning, match="only frame 1 of 2"),
    ):
        image.save(tmp_path / "a.lvx")


@pytest.mark.parametrize("nothing", [None, b""])
def test_a_profile_can_be_left_out(picture: Image.Image, nothing: bytes | None) -> None:
    colourful = picture.copy()
    colourful.info["icc_profile"] = b"damaged, but nobody reads it"
    stream = io.BytesIO()
    colourful.save(stream, "LVX", icc_profile=nothing)
    assert "icc_profile" not in Image.open(stream).info
