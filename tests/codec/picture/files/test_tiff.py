"""TIFF files of every kind are read with the right values, or refused, or read with a note."""

import contextlib
import io
import itertools
import logging
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from luxvox.codec.picture import rasters, reading
from luxvox.codec.picture.files.metadata import turn_upright
from luxvox.errors import InputError, SystemFailure

WIDTH, HEIGHT = 24, 16
RAMP = np.linspace(0, 1, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
COLOURS = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1] ** 2], axis=2)


@contextlib.contextmanager
def unhandled_logs(name):
    """Log as in a process without handlers; pytest has some."""
    logger = logging.getLogger(name)
    logger.propagate = False
    yield
    logger.propagate = True


def in_bytes(values):
    return np.rint(255 * values).astype(np.uint8)


def tags_of(data, size, bits=8, photometric=1, **more):
    width, height = size
    n_samples = more.pop("n_samples", 1)
    tags = {
        254: more.pop("subfile", 0),
        256: width,
        257: height,
        258: [bits] * n_samples,
        259: 1,
        262: photometric,
        273: None,  # where the samples stand
        277: n_samples,
        278: height,
        279: len(data),
        284: more.pop("planes", 1),
    }
    tags.update(more.pop("tags", {}))
    assert not more
    return tags


def tiff_of(*pages, order="<"):
    """Join pages, each with its samples and tags, into a file."""
    file = bytearray({"<": b"II*\0", ">": b"MM\0*"}[order] + bytes(4))
    link = 4
    for data, tags in pages:
        start = len(file)
        file += data + b"\0" * (len(data) % 2)
        entries = b""
        for tag, value in sorted(tags.items()):
            values = [start if value is None else value] if not isinstance(value, list) else value
            packed = struct.pack(f"{order}{len(values)}I", *values)
            if len(values) > 1:
                packed, at = struct.pack(f"{order}I", len(file)), packed
                file += at
            entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + packed
        struct.pack_into(f"{order}I", file, link, len(file))
        file += struct.pack(f"{order}H", len(tags)) + entries
        link = len(file)
        file += bytes(4)
    return bytes(file)


def page(values, dtype, order="<", **more):
    size = (values.shape[1], values.shape[0])
    n_samples = values.shape[2] if values.ndim == 3 else 1
    stored = np.moveaxis(values, 2, 0) if more.get("planes") == 2 else values
    data = stored.astype(np.dtype(dtype).newbyteorder(order)).tobytes()
    bits = 8 * np.dtype(dtype).itemsize
    tags = tags_of(data, size, bits, n_samples=n_samples, **more)
    if more.get("planes") == 2:
        part = len(data) // n_samples
        tags[279] = [part] * n_samples
        tags[273] = [8 + part * n for n in range(n_samples)]
    return data, tags


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("photometric", "bits"), list(itertools.product([0, 1], [8, 16])))
def test_grey_of_both_senses(order, photometric, bits):
    if (order, photometric, bits) == (">", 0, 16):
        pytest.importorskip("tifffile")
    top = (1 << bits) - 1
    values = np.rint(RAMP * top)
    stored = top - values if photometric == 0 else values
    data = tiff_of(page(stored, f"u{bits // 8}", order, photometric=photometric), order=order)
    raster = reading.from_file(data)
    assert np.abs(raster.pixels[:, :, 0].astype(int) - in_bytes(RAMP)).max() <= 1
    assert bool(raster.notes) == (bits == 16)


def test_grey_of_12_bits_has_full_scale():
    values = np.rint(RAMP * 4095).astype(int)
    pairs = values.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1
    )
    data = packed.astype(np.uint8).tobytes()
    raster = reading.from_file(tiff_of((data, tags_of(data, (WIDTH, HEIGHT), 12))))
    assert np.abs(raster.pixels[:, :, 0].astype(int) - in_bytes(RAMP)).max() <= 1


@pytest.mark.parametrize(
    ("scale", "top", "note"),
    [
        (1.0, 1.02, "1 samples are beyond 0..1"),
        (255.0, 255.0, "taken as 0..255"),
        (65_535.0, 65_535.0, "taken as 0..65535"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_one_overshooting_real_does_not_darken_the_rest(scale, top, note, order):
    values = RAMP * scale
    values[-1, -1] = top
    raster = reading.from_file(tiff_of(page(values, "f4", order, tags={339: 3}), order=order))
    assert np.abs(raster.pixels[:, :, 0].astype(int) - in_bytes(RAMP)).max() <= 1
    assert any(note in found for found in raster.notes)


def test_reals_of_an_unknown_scale_are_refused():
    with pytest.raises(InputError, match="floating-point samples reach"):
        reading.from_file(tiff_of(page(RAMP * 1e6, "f4", tags={339: 3})))


@pytest.mark.parametrize(("dtype", "sample_format"), [("i1", 2), ("i2", 2), ("i4", 2), ("u4", 1)])
def test_integers_without_a_scale_are_refused(dtype, sample_format):
    with pytest.raises(InputError, match="a TIFF with (signed|integers)"):
        reading.from_file(tiff_of(page(RAMP * 100, dtype, tags={339: sample_format})))


PLANES_APART = [(COLOURS, 65_535, "u2", {}), (COLOURS, 1, "f4", {339: [3, 3, 3]})]


@pytest.mark.parametrize(("values", "top", "dtype", "tags"), PLANES_APART)
def test_separate_deep_planes(values, top, dtype, tags):
    pytest.importorskip("tifffile")
    data = tiff_of(page(values * top, dtype, photometric=2, planes=2, tags=tags))
    raster = reading.from_file(data)
    assert np.abs(raster.pixels.astype(int) - in_bytes(COLOURS)).max() <= 1


def test_separate_planes_of_8_bits():
    data = tiff_of(page(255 * COLOURS, "u1", photometric=2, planes=2))
    assert np.abs(reading.from_file(data).pixels - (255 * COLOURS)).max() <= 1


@pytest.mark.parametrize(("values", "top", "dtype", "tags"), PLANES_APART)
def test_without_tifffile_the_extra_is_named(values, top, dtype, tags, monkeypatch):
    monkeypatch.setitem(sys.modules, "tifffile", None)
    data = tiff_of(page(values * top, dtype, photometric=2, planes=2, tags=tags))
    with pytest.raises((SystemFailure, InputError), match=r"luxvox\[formats\]"):
        reading.from_file(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("dtype", "photometric", "planes"), [("u2", 0, 1), ("u2", 2, 2)])
def test_orientation_is_applied_once(orientation, dtype, photometric, planes):
    if planes == 2:
        pytest.importorskip("tifffile")
    values = COLOURS if photometric == 2 else 1 - RAMP
    tags = {274: orientation}
    data = tiff_of(page(65_535 * values, dtype, photometric=photometric, planes=planes, tags=tags))
    expected = in_bytes(COLOURS if photometric == 2 else RAMP[:, :, None])
    difference = reading.from_file(data).pixels.astype(int) - turn_upright(expected, orientation)
    assert np.abs(difference).max() <= 1


SMALL = page(255 * RAMP[::4, ::4], "u1")
LARGE = page(255 * RAMP, "u1")


@pytest.mark.parametrize("flag", [{254: 1}, {255: 2}, {}])
def test_thumbnail_before_the_picture_is_skipped(flag):
    data, tags = SMALL
    raster = reading.from_file(tiff_of((data, {**tags, **flag}), LARGE))
    assert raster.pixels.shape == (HEIGHT, WIDTH, 1)
    assert raster.notes == ()


def test_smaller_copies_and_masks_after_it_are_not_pages():
    copy, mask = ((SMALL[0], {**SMALL[1], 254: kind}) for kind in (1, 4))
    raster = reading.from_file(tiff_of(LARGE, copy, mask))
    assert (raster.pixels.shape, raster.notes) == ((HEIGHT, WIDTH, 1), ())


def test_pages_left_out_are_noted():
    raster = reading.from_file(tiff_of(LARGE, LARGE, LARGE))
    assert raster.notes == ("only page 1 of 3 is kept",)


@pytest.mark.parametrize(
    "tags", [{50_706: 0x01040000}, {262: 32_803}, {262: 34_892}], ids=["DNG", "sensor", "linear"]
)
def test_camera_raw_is_refused(tags):
    with pytest.raises(InputError, match="camera raw"):
        reading.from_file(tiff_of((LARGE[0], {**LARGE[1], **tags})))


def test_preview_of_camera_raw_is_refused():
    """Cameras put the sensor's directory inside the directory of a preview."""
    sensor = (LARGE[0], {**LARGE[1], 262: 32_803})
    preview = (SMALL[0], {**SMALL[1], 254: 1, 330: 0})
    sensor_at = struct.unpack_from("<I", tiff_of(sensor, preview), 4)[0]
    preview[1][330] = sensor_at
    file = bytearray(tiff_of(sensor, preview))
    link = sensor_at + 2 + 12 * len(sensor[1])
    file[4:8] = file[link : link + 4]
    with pytest.raises(InputError, match="camera raw"):
        reading.from_file(bytes(file))


@pytest.mark.parametrize("alpha_kind", [1, 2])
@pytest.mark.parametrize("bits", [8, 16])
def test_alpha_of_grey(alpha_kind, bits):
    pytest.importorskip("tifffile")
    top = (1 << bits) - 1
    alpha = np.full_like(RAMP, 0.5)
    grey = RAMP * alpha if alpha_kind == 1 else RAMP
    values = np.rint(np.stack([grey, alpha], axis=2) * top)
    raster = reading.from_file(tiff_of(page(values, f"u{bits // 8}", tags={338: alpha_kind})))
    assert np.abs(raster.pixels[:, :, 0].astype(int) - in_bytes(RAMP)).max() <= 2
    assert raster.alpha is not None
    assert np.abs(raster.alpha - 127.5).max() <= 1


def test_compressed_16_bits_inverted():
    stored = Image.fromarray(np.rint(65_535 * (1 - RAMP)).astype(np.uint16))
    stream = io.BytesIO()
    stored.save(stream, "TIFF", compression="tiff_lzw", tiffinfo={262: 0})
    raster = reading.from_file(stream.getvalue())
    expected = in_bytes(RAMP if Image.open(stream).getexif()[262] == 0 else 1 - RAMP)
    assert np.abs(raster.pixels[:, :, 0].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
def test_damaged_tiff_writes_nothing_to_stderr(compression, capfd):
    stream = io.BytesIO()
    Image.fromarray(in_bytes(COLOURS)).save(stream, "TIFF", compression=compression)
    whole = stream.getvalue()
    for position in range(8, len(whole), 97):
        data = bytearray(whole)
        data[position] ^= 0xFF
        with contextlib.suppress(InputError, Warning):
            reading.from_file(bytes(data))
    assert capfd.readouterr().err == ""


def open_tiff(data):
    return Image.open(io.BytesIO(data))


def test_white_is_zero_in_an_opened_image_too():
    tifffile = pytest.importorskip("tifffile")
    values = np.linspace(0, 65_535, 64 * 16).astype(np.uint16).reshape(16, 64)
    stream = io.BytesIO()
    tifffile.imwrite(stream, 65_535 - values, photometric="miniswhite")
    raster = rasters.from_pil(open_tiff(stream.getvalue()))
    assert np.array_equal(raster.pixels, rasters.from_array(values).pixels)
    assert np.array_equal(raster.pixels, reading.from_file(stream.getvalue()).pixels)


def test_other_pages_of_an_opened_image_are_noted():
    pages = [Image.new("L", (8, 8), value) for value in (10, 20, 30)]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    for number in range(3):
        image = open_tiff(stream.getvalue())
        image.seek(number)
        raster = rasters.from_pil(image)
        assert raster.pixels.min() == raster.pixels.max() == 10 * (number + 1)
        assert raster.notes == (f"only page {number + 1} of 3 is kept",)
    image = open_tiff(stream.getvalue())
    image.load()
    image.putpixel((0, 0), 77)  # what the caller has changed is kept
    raster = rasters.from_pil(image)
    assert raster.pixels[0, 0] == 77
    assert raster.notes == ("only page 1 of several is kept",)


@pytest.mark.parametrize(
    ("n_samples", "photometric", "kinds", "n_lost"),
    [(4, 2, 0, 1), (5, 2, [2, 0], 1), (5, 2, [0, 0], 2), (4, 2, 2, 0), (4, 1, [0, 0, 0], 3)],
)
def test_further_channels_are_noted(n_samples, photometric, kinds, n_lost):
    pytest.importorskip("tifffile")
    values = np.rint(np.stack([RAMP] * n_samples, axis=2) * 255)
    raster = reading.from_file(
        tiff_of(page(values, "u1", photometric=photometric, tags={338: kinds}))
    )
    assert np.array_equal(raster.pixels[:, :, 0], in_bytes(RAMP))
    notes = (f"{n_lost} further channel(s) of its pixels are not kept",) if n_lost else ()
    assert raster.notes == notes


@pytest.mark.parametrize("scale", [1, 257])
def test_palettes_of_8_and_16_bits(scale):
    colours = np.random.default_rng(0).integers(0, 256, (256, 3))
    data = tiff_of(
        page(in_bytes(RAMP), "u1", photometric=3, tags={320: (colours.T * scale).ravel().tolist()})
    )
    assert np.array_equal(reading.from_file(data).pixels, colours[in_bytes(RAMP)])


def test_a_picture_inside_a_thumbnail_is_not_skipped():
    large = page(np.zeros((4 * HEIGHT, 4 * WIDTH)), "u1")
    small = page(in_bytes(RAMP), "u1", tags={330: 0})
    small[1][330] = struct.unpack_from("<I", tiff_of(large, small), 4)[0]
    file = bytearray(tiff_of(large, small))
    link = small[1][330] + 2 + 12 * len(large[1])
    file[4:8] = file[link : link + 4]
    with pytest.raises(InputError, match="pages are thumbnails"):
        reading.from_file(bytes(file))


def test_a_tiff_that_only_tifffile_reads_keeps_its_texts():
    tifffile = pytest.importorskip("tifffile")
    stream = io.BytesIO()
    extra = [(315, "s", 0, "me", True), (274, "H", 1, 6, True)]
    options: dict[str, object] = {"photometric": "rgb", "resolution": (300, 150)}
    options |= {"iccprofile": bytes(5000), "extratags": extra}
    tifffile.imwrite(stream, COLOURS.astype("f8"), description="a ramp", **options)
    raster = reading.from_file(stream.getvalue())
    assert np.array_equal(raster.pixels[..., 0], turn_upright(in_bytes(COLOURS), 6)[..., 0])
    assert raster.exif is not None
    exif = Image.Exif()
    exif.load(raster.exif)
    assert (exif[270], exif[315], exif[282], exif[283]) == ("a ramp", "me", 150, 300)
    assert raster.icc == bytes(5000)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_tiff_whose_end_is_missing_is_called_damaged():
    stream = io.BytesIO()
    Image.fromarray(in_bytes(RAMP)).save(stream, "TIFF", compression="tiff_lzw")
    with pytest.raises(InputError, match="a TIFF that cannot be read: it is damaged"):
        reading.from_file(stream.getvalue()[:-200])


def test_what_pillow_logs_stays_off_stderr(capfd):
    samples = tiff_of(page(in_bytes(COLOURS), "u1", photometric=2, tags={277: 99}))
    with unhandled_logs("PIL"), pytest.raises(InputError):
        reading.from_file(samples)
    assert capfd.readouterr().err == ""
