"""Texts of a picture that a `.lvx` file does not hold are named."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from luxvox.codec.picture import reading

PIXELS = np.zeros((20, 30, 3), np.uint8)
CAPTION = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0c\x1c\x02\x05\0\x07caption"


def file_of(format, **options):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, format, **options)
    return stream.getvalue()


def png(**texts):
    chunks = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        chunks.add_itxt(name, text)
    return file_of("PNG", pnginfo=chunks)


def jpeg_with_caption():
    data = file_of("JPEG")
    return data[:2] + b"\xff\xed" + (len(CAPTION) + 2).to_bytes(2, "big") + CAPTION + data[2:]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (png(Author="me", Comment="hello"), "Author, Comment"),
        (png(A="1", B="2", C="3", D="4", E="5"), "A, B, C, D, …"),
        (file_of("JPEG", comment=b"hello"), "comment"),
        (file_of("GIF", comment=b"hello"), "comment"),
        (jpeg_with_caption(), "IPTC"),
    ],
)
def test_texts_left_out_are_noted(data, names):
    assert reading.from_file(data).notes == (f"its texts are not kept: {names}",)


@pytest.mark.parametrize("data", [png(Software="luxvox"), file_of("PNG"), file_of("JPEG")])
def test_what_says_nothing_is_not_noted(data):
    assert reading.from_file(data).notes == ()
