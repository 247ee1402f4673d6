"""Callers may pass bytes in any object; a wrong type gives one clear error."""

import array
import io
import mmap
from fractions import Fraction
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch

import luxvox as typed
from luxvox.codec.arguments import check_device, check_types, file_bytes
from luxvox.codec.targets import picture_target
from luxvox.errors import InputError, LuxvoxError, SystemFailure, UsageError

luxvox: Any = typed  # some calls are wrong on purpose
PICTURE = np.zeros((9, 7, 3), np.uint8)
SAMPLES = np.zeros(800, np.float32)


@pytest.fixture(scope="module")
def picture_file():
    return luxvox.compress_image(PICTURE, effort=1)


@pytest.fixture(scope="module")
def voice_file():
    return luxvox.compress_speech(SAMPLES, 8000, effort=1)


def in_mmap(data):
    mapped = mmap.mmap(-1, len(data))
    mapped.write(data)
    return mapped


def in_memory(data):
    fsspec.filesystem("memory").pipe_file("/argument.lvx", data)
    return "memory://argument.lvx"


KINDS: dict[str, Any] = {
    "open file": io.BytesIO,
    "URL": in_memory,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "numpy": lambda data: np.frombuffer(data, np.uint8),
    "strided": lambda data: np.repeat(np.frombuffer(data, np.uint8), 2)[::2],
    "array": lambda data: array.array("B", data),
    "signed": lambda data: memoryview(data).cast("b"),
    "mmap": in_mmap,
}


@pytest.mark.parametrize("kind", KINDS)
def test_all_functions_take_any_file_object_or_buffer(picture_file, voice_file, kind):
    convert = KINDS[kind]
    assert luxvox.decompress_image(convert(picture_file)).shape == (9, 7, 3)
    assert luxvox.inspect(convert(picture_file)) == luxvox.inspect(picture_file)
    assert list(luxvox.codes(convert(picture_file))) == list(luxvox.codes(picture_file))
    assert luxvox.truncate(convert(picture_file), size=10**6) == picture_file
    assert len(luxvox.decompress_speech(convert(voice_file))[0]) == 800
    assert sum(map(len, luxvox.stream_speech(convert(voice_file)))) == 800
    assert np.array_equal(luxvox.codes(convert(voice_file)), luxvox.codes(voice_file))


@pytest.mark.parametrize("kind", [str, Path])
def test_all_functions_take_paths(picture_file, voice_file, tmp_path, kind):
    picture, voice = kind(tmp_path / "p.lvx"), kind(tmp_path / "v.lvx")
    Path(picture).write_bytes(picture_file)
    Path(voice).write_bytes(voice_file)
    assert luxvox.decompress_image(picture, as_pil=True).size == (7, 9)
    assert luxvox.inspect(picture) == luxvox.inspect(picture_file)
    assert luxvox.truncate(picture, size=10**6) == picture_file
    assert len(luxvox.decompress_speech(voice)[0]) == 800
    assert sum(map(len, luxvox.stream_speech(voice))) == 800
    with luxvox.open_speech(voice) as speech:
        assert len(speech) == 800
    levels, stages = luxvox.codes([picture, voice])
    assert list(levels) == list(luxvox.codes(picture_file))
    assert np.array_equal(stages, luxvox.codes(voice_file))


READERS = [
    luxvox.stream_speech,
    luxvox.open_speech,
    luxvox.decompress_image,
    luxvox.decompress_speech,
    luxvox.inspect,
    luxvox.codes,
    lambda data: luxvox.truncate(data, size=100),
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (io.StringIO("x"), "open for text; open it with mode 'rb'"),
        (None, "not NoneType None"),
        (7, "not int 7"),
        ({1}, "not set"),
        (np.zeros(5), "not items of 8 bytes"),
        (np.array(["x"], object), "wanted: its bytes, its path, or an open"),
        (torch.zeros(5), "not Tensor"),
    ],
)
def test_objects_without_bytes_are_refused(reader, data, message):
    with pytest.raises(UsageError, match=message):
        reader(data)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("path", ["none.lvx", Path("none.lvx")])
def test_a_missing_file_raises_the_systems_error(reader, path):
    with pytest.raises(FileNotFoundError, match="none.lvx"):
        reader(path)


def test_a_released_view_is_refused():
    view = memoryview(b"x")
    view.release()
    with pytest.raises(UsageError):
        file_bytes(view)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quality", "50"),
        ("quality", True),
        ("quality", [50]),
        ("quality", 50j),
        ("size", float("nan")),
        ("quality", np.array([50.0])),
        ("bpp", "1"),
        ("size", b"100"),
        ("psnr", {}),
        ("effort", "5"),
        ("effort", 5.5),
        ("effort", None),
        ("device", None),
        ("device", 0),
        ("device", "mps"),
        ("device", "CUDA"),
        ("device", ""),
        ("strip", "yes"),
        ("strip", None),
        ("coder", None),
        ("coder", ["constriction"]),
        ("progress", 5),
    ],
)
def test_options_of_compress_image(name, value):
    with pytest.raises(UsageError, match=name):
        luxvox.compress_image(PICTURE, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bitrate", "3"),
        ("size", "100"),
        ("quality", "50"),
        ("quality", False),
        ("effort", 1.0),
        ("progress", "yes"),
        ("sample_rate", "16000"),
        ("sample_rate", None),
    ],
)
def test_options_of_compress_speech(name, value):
    with pytest.raises(UsageError, match=name):
        luxvox.compress_speech(**{"samples": SAMPLES, "sample_rate": 8000, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sections", "1"),
        ("sections", 1.0),
        ("sections", True),
        ("strict", "no"),
        ("conceal", 1),
        ("max_pixels", "100"),
        ("max_pixels", None),
        ("max_pixels", float("nan")),
        ("as_pil", "yes"),
        ("progress", 5),
    ],
)
def test_options_of_decompressing(picture_file, voice_file, name, value):
    with pytest.raises(UsageError, match=name):
        luxvox.decompress_image(picture_file, **{name: value})
    if name not in ("as_pil", "max_pixels"):
        with pytest.raises(UsageError, match=name):
            luxvox.decompress_speech(voice_file, **{name: value})


def test_other_options(picture_file, voice_file):
    with pytest.raises(UsageError, match="max_seconds"):
        luxvox.decompress_speech(voice_file, max_seconds="60")
    with pytest.raises(UsageError, match="max_seconds"):
        luxvox.stream_speech(voice_file, max_seconds=None)
    with pytest.raises(UsageError, match="max_seconds"):
        luxvox.stream_speech(voice_file, max_seconds=np.float32("nan"))
    with pytest.raises(UsageError, match="max_pixels"):
        luxvox.codes(picture_file, max_pixels="1")
    with pytest.raises(UsageError, match="size"):
        luxvox.truncate(picture_file, size="1kB")
    with pytest.raises(UsageError, match="size"):
        luxvox.truncate(picture_file, size=float("nan"))
    with pytest.raises(UsageError, match="sections"):
        luxvox.truncate(picture_file, sections=1.5)
    with pytest.raises(UsageError, match="model"):
        luxvox.from_codes(np.zeros((1, 1), np.int64), model="5")


@pytest.mark.parametrize("samples", [[[1.0], [1.0, 2.0]], None, {}, object()])
def test_bad_samples_are_refused(samples):
    with pytest.raises(LuxvoxError):
        luxvox.compress_speech(samples, 16000)
    with pytest.raises(LuxvoxError):
        luxvox.from_codes(samples)


@pytest.mark.parametrize("pixels", [None, 7, [[1]], {}, object()])
def test_bad_pixels_are_refused(pixels):
    with pytest.raises(UsageError):
        luxvox.compress_image(pixels)


def test_numpys_numbers_are_accepted():
    check_types(quality=np.float32(50), size=np.int64(7), effort=np.uint8(5), sections=np.int16(1))
    check_types(strip=np.True_, quality=50, progress=print, bitrate=None)
    data = luxvox.compress_image(PICTURE, np.float32(50))
    assert data == luxvox.compress_image(PICTURE, 50)


def test_missing_devices_are_refused():
    check_device("cpu")
    with pytest.raises(SystemFailure, match="device cuda:99 is not available"):
        check_device("cuda:99")
    if not torch.cuda.is_available():
        with pytest.raises(SystemFailure, match="device cuda is not available"):
            luxvox.compress_image(PICTURE, device="cuda")
        with pytest.raises(SystemFailure, match="device cuda is not available"):
            luxvox.compress_speech(np.zeros(1600, np.float32), 16_000, device="cuda")


def test_long_values_are_not_repeated():
    with pytest.raises(UsageError) as caught:
        check_types(quality="5" * 1000)
    assert str(caught.value) == "quality has to be a number, not str"


def test_all_errors_are_exported():
    for name in (
        "ChecksumError",
        "FormatError",
        "InputError",
        "ModelError",
        "SystemFailure",
        "TruncatedError",
        "UnsupportedError",
        "UsageError",
    ):
        assert name in luxvox.__all__
        assert issubclass(getattr(luxvox, name), luxvox.LuxvoxError)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint64, np.int8, np.int64])
def test_numpys_integers_do_not_overflow(kind):
    pixels = np.arange(300 * 300 * 3, dtype=np.uint32).reshape(300, 300, 3).astype(np.uint8)
    data = luxvox.compress_image(pixels, 10, effort=kind(1))
    crop = 10, 20, 100, 60
    part = luxvox.decompress_image(data, crop=tuple(map(kind, crop)))
    assert np.array_equal(part, luxvox.decompress_image(data, crop=crop))


def test_numpys_positions_do_not_overflow(voice_file):
    file = luxvox.open_speech(voice_file)
    assert file.seek(np.int8(-100), 2) == 700
    assert len(file.read(np.uint8(90))) == 90


@pytest.mark.parametrize("value", [Fraction(200), 10**400, -(10**400), np.float16(0)])
def test_out_of_range_numbers_of_other_types_are_refused(value):
    for name in ("quality", "bpp", "psnr"):
        if name != "quality" and value == 200:
            continue
        with pytest.raises(UsageError, match="is out of range|is out of reach"):
            luxvox.compress_image(PICTURE, **{name: value})
    with pytest.raises(UsageError, match="is out of range"):
        luxvox.compress_speech(SAMPLES, 8000, bitrate=value)


def test_numbers_of_other_types_are_accepted(picture_file, voice_file):
    assert luxvox.compress_image(PICTURE, Fraction(101, 2)) == luxvox.compress_image(PICTURE, 50.5)
    assert luxvox.decompress_image(picture_file, max_pixels=10**400).shape == (9, 7, 3)
    with pytest.raises(InputError, match="max_seconds"):
        luxvox.decompress_speech(voice_file, max_seconds=Fraction(1, 100))


def test_rates_in_half_precision_hold_for_large_pictures():
    rate: Any = np.float16(1.5)
    target = picture_target(None, rate, None, None)
    assert type(target.value) is float and target.value == 1.5


@pytest.mark.parametrize("path", ["a\0b.png", "\ud800.png", Path("a\0b.png")])
def test_impossible_file_names_are_refused(path):
    for function in (luxvox.compress_image, luxvox.compress_speech, *READERS):
        with pytest.raises(UsageError, match="no file can have the name"):
            function(path)


@pytest.mark.parametrize("function", [luxvox.compress_image, luxvox.compress_speech, *READERS])
def test_closed_files_are_refused(function):
    stream = io.BytesIO(b"x")
    stream.close()
    with pytest.raises(UsageError, match="cannot be read from"):
        function(stream)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(3, 8, 8, dtype=torch.uint8).to_sparse(),
        torch.zeros(3, 8, 8, dtype=torch.uint8, device="meta"),
    ],
)
def test_tensors_that_cannot_become_arrays_are_refused(tensor):
    with pytest.raises(UsageError, match="pixels cannot be converted to an array"):
        luxvox.compress_image(tensor)


@pytest.mark.parametrize("value", [2**64 - 5, 2**63, -(2**63)])
def test_codes_that_wrap_around_are_refused(picture_file, value):
    kind = np.uint64 if value > 0 else np.int64
    apex = np.full(luxvox.codes(picture_file)["apex"].shape, value, kind)
    with pytest.raises(UsageError, match="out of range"):
        luxvox.from_codes({"apex": apex}, quality=30)


def test_codes_without_stages_are_refused():
    with pytest.raises(UsageError, match="codes of shape"):
        luxvox.from_codes(np.zeros((0, 3), int))
