"""Texts of a picture that a `.lvx` file does not hold are named."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from luxvox.codec.picture import reading
from luxvox.tests.codec.picture.picture_files import chunk

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


def png_with(name, text):
    """A PNG that has a text after its pixels, compressed."""
    data, payload = file_of("PNG"), name.encode() + b"\0\0" + zlib.compress(text)
    return data[:-12] + chunk(b"zTXt", payload) + data[-12:]


def profile_text(kind, payload):
    """A text as ImageMagick writes it for data that PNG had no chunk for."""
    return f"\n{kind}\n{len(payload):8d}\n{payload.hex()}\n".encode()


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
        (png_with("Title", b"hello"), "Title"),
        (png_with("Raw profile type iptc", profile_text("iptc", CAPTION)), "IPTC"),
    ],
)
def test_texts_left_out_are_noted(data, names):
    assert reading.from_file(data).notes == (f"its texts are not kept: {names}",)


@pytest.mark.parametrize("data", [png(Software="luxvox"), file_of("PNG"), file_of("JPEG")])
def test_uninformative_texts_are_not_noted(data):
    assert reading.from_file(data).notes == ()


EXIF = b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-\
rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>\
</rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("exif", EXIF),
        ("APP1", EXIF),
        ("xmp", XMP),
        ("APP1", b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    ],
)
def test_texts_of_a_png_may_hold_exif_and_xmp(kind, payload):
    data = png_with(f"Raw profile type {kind}", profile_text(kind, payload))
    raster = reading.from_file(data)
    assert raster.pixels.shape == (30, 20, 3)
    assert (raster.xmp is not None) == (b"xmpmeta" in payload)
    assert raster.notes == ()


def test_texts_of_a_png_may_hold_a_profile():
    data = png_with("Raw profile type icc", profile_text("icc", b"a profile"))
    assert reading.from_file(data).icc == b"a profile"
    broken = png_with("Raw profile type icc", b"\nicc\n 3\nno numbers\n")
    assert reading.from_file(broken).icc is None
