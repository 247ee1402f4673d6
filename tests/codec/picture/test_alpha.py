"""Alpha planes come back exactly, and junk is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from luxvox.codec.picture.alpha import decode_alpha, encode_alpha
from luxvox.errors import FormatError

planes = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def disc(size):
    rows, columns = np.ogrid[:size, :size]
    distance = np.hypot(rows - size / 2, columns - size / 2)
    return np.clip((size / 3 - distance) * 40 + 128, 0, 255).astype(np.uint8)


@given(planes)
def test_round_trip(alpha):
    height, width = alpha.shape
    assert np.array_equal(decode_alpha(encode_alpha(alpha), width, height), alpha)


@pytest.mark.parametrize("value", [0, 127, 255])
def test_constant_is_one_byte(value):
    alpha = np.full((100, 200), value, np.uint8)
    assert encode_alpha(alpha) == bytes([value])
    assert np.array_equal(decode_alpha(bytes([value]), 200, 100), alpha)


@pytest.mark.parametrize(
    "alpha", [disc(200), np.where(disc(200) > 128, 255, 0).astype(np.uint8)], ids=["soft", "hard"]
)
def test_shape_is_compact(alpha):
    payload = encode_alpha(alpha)
    assert len(payload) < alpha.size / 20
    assert np.array_equal(decode_alpha(payload, 200, 200), alpha)


def test_side_too_long_for_webp():
    alpha = (np.arange(17_000, dtype=np.uint32) % 251).astype(np.uint8)[None]
    payload = encode_alpha(alpha)
    assert payload.startswith(b"\x89PNG")
    assert np.array_equal(decode_alpha(payload, 17_000, 1), alpha)


def png(mode, size):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "PNG")
    return stream.getvalue()


def webp(mode, size, **options):
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "WEBP", **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"junk",
        b"RIFF junk",
        b"\x89PNG\r\n\x1a\n",
        png("L", (5, 4)),
        png("L", (4000, 4000)),
        png("RGBA", (4, 5)),
        png("L", (4, 5))[:-20],
        png("RGB", (4, 5)),
        png("P", (4, 5)),
        webp("RGB", (4, 5), quality=50),
        webp("RGBA", (4, 5), lossless=True, exact=True),
        webp("RGB", (4, 5), lossless=True, exif=b"Exif"),
    ],
)
def test_junk_is_refused(payload):
    with pytest.raises(FormatError, match="alpha section"):
        decode_alpha(payload, 4, 5)


def test_every_flipped_byte_is_refused_or_decodes():
    payload = encode_alpha(disc(20))
    for position in range(len(payload)):
        altered = bytearray(payload)
        altered[position] ^= 0x55
        try:
            assert decode_alpha(bytes(altered), 20, 20).shape == (20, 20)
        except FormatError:
            continue
