"""Whatever files hold besides one picture of 8 bits is noted or kept."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from luxvox.codec.picture.files import jpeg2000
from luxvox.codec.picture.files.facts import facts_of
from luxvox.codec.picture.reading import from_file
from luxvox.errors import InputError
from luxvox.tests.codec.picture.picture_files import chunk, with_chunk

NOISE = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)


def save(form, image=None, **options):
    stream = io.BytesIO()
    (image or Image.fromarray(NOISE)).save(stream, form, **options)
    return stream.getvalue()


def box(name, content):
    return struct.pack(">I4s", 8 + len(content), name) + content


def with_profile(data, profile):
    """A JP2 file whose colour box holds an ICC profile."""
    start = data.index(b"jp2h") - 4
    end = start + int.from_bytes(data[start : start + 4], "big")
    colour = data.index(b"colr") - 4
    size = int.from_bytes(data[colour : colour + 4], "big")
    inner = data[start + 8 : colour] + box(b"colr", b"\2\0\0" + profile)
    return data[:start] + box(b"jp2h", inner + data[colour + size : end]) + data[end:]


def test_profiles_of_jpeg_2000_are_kept():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain = save("JPEG2000")
    assert from_file(plain).icc is None
    stream = io.BytesIO(with_profile(plain, profile))
    assert jpeg2000.icc_profile(stream) == profile


@pytest.mark.parametrize("cut", [5, 30, 60, 100])
def test_cut_boxes_have_no_profile(cut):
    assert (
        jpeg2000.icc_profile(io.BytesIO(with_profile(save("JPEG2000"), bytes(200))[:cut])) is None
    )


def test_bits_of_jpeg_2000():
    data = save("JPEG2000")
    assert jpeg2000.bit_depth(io.BytesIO(data)) == 8
    place = data.index(b"\xff\x4f\xff\x51") + 42
    deep = bytearray(data)
    deep[place + 3] = 15
    assert jpeg2000.bit_depth(io.BytesIO(deep)) == 16
    assert jpeg2000.bit_depth(io.BytesIO(data[:40])) == 8


def test_bits_of_avif():
    data = bytearray(save("AVIF"))
    assert from_file(bytes(data)).notes == ()
    with Image.open(io.BytesIO(data)) as image:
        data[data.index(b"av1C") + 6] |= 0x40
        image.fp = io.BytesIO(data)  # which Pillow has read already
        assert facts_of(image).notes == ("samples of more than 8 bits are rounded to 8",)


def test_auxiliary_pictures_are_noted():
    image = Image.fromarray(NOISE)
    image.info["aux"] = {"urn:com:apple:photo:2020:aux:hdrgainmap": [2]}
    assert facts_of(image).notes == ("its gain map (HDR) is not kept",)
    image.info = {"aux": {}, "depth_images": [object()]}
    assert facts_of(image).notes == ("its depth map or mattes are not kept",)
    image.info = {"aux": {}, "depth_images": []}
    assert facts_of(image).notes == ()


def test_other_sizes_of_icons_are_noted():
    icon = Image.fromarray(NOISE).resize((64, 64))
    notes = from_file(save("ICO", icon, sizes=[(16, 16), (64, 64)])).notes
    assert notes == ("only the largest of its 2 sizes is kept",)


@pytest.mark.parametrize(("tag", "name"), [(33723, "IPTC"), (34735, "GeoTIFF")])
def test_texts_of_tiff_are_noted(tag, name):
    notes = from_file(save("TIFF", tiffinfo={tag: b"\1\2\3\4"})).notes
    assert notes == (f"its texts are not kept: {name}",)


def test_comments_of_jpeg_2000_are_noted_but_not_signatures():
    assert from_file(save("JPEG2000", comment="by Anna")).notes == (
        "its texts are not kept: comment",
    )
    assert from_file(save("JPEG2000", comment="Created by OpenJPEG")).notes == ()


def test_fits_is_refused():
    card = b"SIMPLE  =                    T".ljust(80)
    with pytest.raises(InputError, match="a FITS file, whose samples have no known scale"):
        from_file(card + b"END".ljust(80) + bytes(2880))


def test_damaged_profiles_are_noted():
    note = "its ICC profile is damaged and left out, so colours may look different"
    png = with_chunk(save("PNG"), chunk(b"iCCP", b"name\0\0junk"))
    assert from_file(png).notes == (note,)
    jpeg = save("JPEG", icc_profile=bytes(200_000))
    last = jpeg.rindex(b"ICC_PROFILE") - 4
    size = int.from_bytes(jpeg[last + 2 : last + 4], "big")
    assert from_file(jpeg).notes == ()
    assert from_file(jpeg[:last] + jpeg[last + 2 + size :]).notes == (note,)


@pytest.mark.parametrize(("full", "n_notes"), [(1, 0), (0, 1)])
def test_narrow_range_is_noted(full, n_notes):
    data = with_chunk(save("PNG"), chunk(b"cICP", bytes((1, 13, 0, full))))
    assert len(from_file(data).notes) == n_notes


def test_content_credentials_are_noted():
    note = "its content credentials (C2PA) are not kept"
    assert from_file(with_chunk(save("PNG"), chunk(b"caBX", bytes(50)))).notes == (note,)
    jpeg, box_of_boxes = save("JPEG"), b"JP\0\1\0\0\0\1\0\0\0\x20jumbjumdc2pa"
    segment = b"\xff\xeb" + struct.pack(">H", 2 + len(box_of_boxes)) + box_of_boxes
    assert from_file(jpeg[:2] + segment + jpeg[2:]).notes == (note,)


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
@pytest.mark.parametrize("top", [0, 255])
def test_rows_that_a_png_lacks(share, top):
    pixels = np.full((200, 30), top, np.uint8)
    rows = b"".join(b"\0" + bytes(row) for row in pixels)
    data = zlib.compress(rows[: int(share * len(rows))])
    header = struct.pack(">IIBBBBB", 30, 200, 8, 0, 0, 0, 0)
    front = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    file = front + chunk(b"IDAT", data[:50]) + chunk(b"IDAT", data[50:]) + chunk(b"IEND", b"")
    if share < 0.9:
        with pytest.raises(InputError, match="damaged picture: the file is cut, and 50%"):
            from_file(file)
    else:
        assert len(from_file(file).notes) == (share < 1)
