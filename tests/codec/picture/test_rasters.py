"""Arrays, Pillow images and files become rasters, and rasters become them again."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from luxvox.codec.picture import rasters, reading
from luxvox.errors import InputError, UsageError
from luxvox.rounding import round_to_uint8


def random_samples(shape, dtype=np.uint8, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_16_bits(samples):
    height, width, n_planes = samples.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[n_planes]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def file_of(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


@given(
    hnp.arrays(
        np.uint8,
        st.one_of(
            st.tuples(st.integers(1, 9), st.integers(1, 9)),
            st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(2, 4)),
        ),
    )
)
def test_array_round_trip(array):
    assert np.array_equal(rasters.to_array(rasters.from_array(array)), array)


def test_one_plane_is_grey():
    raster = rasters.from_array(random_samples((3, 5, 1)))
    assert raster.pixels.shape == (3, 5, 1)
    assert raster.alpha is None
    assert rasters.to_array(raster).shape == (3, 5)


def test_alpha_is_separate():
    array = random_samples((3, 5, 4))
    raster = rasters.from_array(array)
    assert np.array_equal(raster.pixels, array[:, :, :3])
    assert raster.alpha is not None
    assert np.array_equal(raster.alpha, array[:, :, 3])


def test_strided_array_becomes_contiguous():
    raster = rasters.from_array(random_samples((8, 8, 3))[::2, ::-1])
    assert raster.pixels.flags.c_contiguous


def test_either_byte_order_is_taken():
    samples = np.array([[0, 257, 65_535]], np.uint16)
    swapped = samples.astype(samples.dtype.newbyteorder())
    assert rasters.from_array(swapped).pixels[:, :, 0].tolist() == [[0, 1, 255]]


def test_sixteen_bits_are_rounded_to_the_nearest():
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = np.floor(values / 257 + 0.5)
    assert np.array_equal(rasters.to_array(rasters.from_array(values)), expected)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4), bool),
        np.zeros((4, 4, 5), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4, 0), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        [[0, 1]],
        None,
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(UsageError) as raised:
        rasters.from_array(array)
    assert "\n" not in str(raised.value)


def test_rounds_half_up_after_clipping():
    below_half = np.nextafter(np.float32(0.5), np.float32(0))
    values = np.array([-7, -0.5, 0, below_half, 0.5, 1.5, 2.5, 254.5, 255, 999], np.float32)
    assert round_to_uint8(values).tolist() == [0, 0, 0, 0, 1, 2, 3, 255, 255, 255]


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pillow_round_trip(mode):
    n_planes = len(mode)
    array = random_samples((6, 7) if n_planes == 1 else (6, 7, n_planes))
    image = rasters.to_pil(rasters.from_pil(Image.fromarray(array)))
    assert image.mode == mode
    assert np.array_equal(np.asarray(image), array)


@pytest.mark.parametrize("size", [(1, 1), (1, 17), (31, 1), (13, 7)])
@pytest.mark.parametrize("format", ["png", "webp", "tiff", "ppm", "bmp", "jp2"])
def test_file_round_trip_without_loss(size, format, tmp_path):
    raster = rasters.from_array(random_samples((size[1], size[0], 3)))
    path = tmp_path / f"picture.{format}"
    path.write_bytes(rasters.to_bytes(raster, format))
    assert np.array_equal(reading.from_file(path).pixels, raster.pixels)


@pytest.mark.parametrize("n_planes", [3, 4])
def test_colour_of_16_bits_is_read_whole(n_planes):
    samples = random_samples((9, 11, n_planes), np.uint16)
    raster = reading.from_file(png_of_16_bits(samples))
    assert np.array_equal(rasters.to_array(raster), np.floor(samples / 257 + 0.5))


def tiff_of_16_bits(samples, byte_order, deflated):
    height, width, n_planes = samples.shape
    rows = samples.astype(f"{byte_order}u2").tobytes()
    rows = zlib.compress(rows) if deflated else rows
    depths_at = 8 + 2 + 10 * 12 + 4
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, n_planes, depths_at),
        (259, 4, 1, 8 if deflated else 1),
        (262, 4, 1, 2),
        (273, 4, 1, depths_at + 2 * n_planes),
        (277, 4, 1, n_planes),
        (278, 4, 1, height),
        (279, 4, 1, len(rows)),
        (284, 4, 1, 1),
    ]
    magic = {"<": b"II*\0", ">": b"MM\0*"}[byte_order]
    head = magic + struct.pack(f"{byte_order}IH", 8, len(tags))
    directory = b"".join(struct.pack(f"{byte_order}HHII", *tag) for tag in tags) + bytes(4)
    return head + directory + struct.pack(f"{byte_order}{n_planes}H", *[16] * n_planes) + rows


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("deflated", [False, True])
def test_tiff_of_16_bits_is_read_whole(byte_order, deflated, tmp_path):
    samples = random_samples((9, 11, 3), np.uint16)
    path = tmp_path / "deep.tiff"
    path.write_bytes(tiff_of_16_bits(samples, byte_order, deflated))
    expected = np.floor(samples / 257 + 0.5)
    assert np.array_equal(reading.from_file(path).pixels, expected)
    assert np.array_equal(reading.from_file(path.read_bytes()).pixels, expected)


@pytest.mark.parametrize("n_planes", [1, 2])
def test_grey_of_16_bits_stays_grey(n_planes):
    samples = random_samples((9, 11, n_planes), np.uint16)
    raster = reading.from_file(png_of_16_bits(samples))
    assert raster.pixels.shape == (9, 11, 1)
    assert np.abs(raster.pixels - samples[:, :, :1] / 257).max() < 1
    assert (raster.alpha is None) == (n_planes == 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colour_is_turned_upright_as_pillow_does(orientation):
    samples = random_samples((5, 8, 3))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = reading.from_file(file_of(Image.fromarray(samples), "PNG", exif=exif))
    deep = png_of_16_bits(samples.astype(np.uint16) * 257)
    with_exif = deep[:33] + chunk(b"eXIf", exif.tobytes()[6:]) + deep[33:]
    assert np.array_equal(reading.from_file(with_exif).pixels, upright.pixels)


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert reading.from_file(data).pixels[0, 0].tolist() == [255, 0, 0]


def test_metadata_travels_through_a_file():
    raster = rasters.from_array(random_samples((4, 4, 3)))
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    image = rasters.to_pil(raster)
    data = file_of(image, "PNG", exif=exif, icc_profile=b"profile")
    read = reading.from_file(data)
    assert read.icc == b"profile"
    assert read.exif == exif.tobytes()[6:]
    assert reading.from_file(rasters.to_bytes(read, "png")).exif == read.exif


def test_limit_is_checked_before_decoding():
    bomb = chunk(b"IHDR", struct.pack(">IIBBBBB", 2**15, 2**15, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + bomb + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(InputError, match="at most 1,000 are accepted"):
        reading.from_file(data, max_pixels=1000)
    with pytest.raises(InputError, match="32768 × 32768 is 1,073,741,824 pixels; at most 600,"):
        reading.from_file(data, max_pixels=600_000_000)


def test_refusal_names_the_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a picture")
    with pytest.raises(InputError, match=r"notes\.txt: not a picture"):
        reading.from_file(path)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF"])
def test_cut_files_are_refused_or_read(format):
    data = file_of(Image.fromarray(random_samples((16, 16, 3))), format)
    for end in range(0, len(data), 7):
        try:
            raster = reading.from_file(data[:end])
        except InputError:
            continue
        assert raster.pixels.shape[:2] == (16, 16)


def test_missing_file_raises_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        reading.from_file(tmp_path / "nothing.png")


def test_images_that_cannot_be_loaded_raise_one_error():
    stream = io.BytesIO()
    Image.fromarray(random_samples((40, 30, 3))).save(stream, "PNG")
    closed = Image.open(io.BytesIO(stream.getvalue()))
    closed.close()
    cut = Image.open(io.BytesIO(stream.getvalue()[:2000]))
    for image in (closed, cut):
        with pytest.raises(InputError, match="the image cannot be read"):
            rasters.from_pil(image)
