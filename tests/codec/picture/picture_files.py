"""Small picture files of any format, made for the tests that read them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from luxvox.codec.picture.files.colour import to_srgb

WIDTH, HEIGHT = 24, 16
RAMP = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH) % 256
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))


def photograph(width=WIDTH, height=HEIGHT):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=2).astype(np.uint8)


def file_of(pixels, format, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(rows, bits, colour_type, *chunks):
    """Make a PNG of packed rows."""
    width = 8 * len(rows[0]) // bits // {0: 1, 2: 3}[colour_type]
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    front = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return front + b"".join(chunks) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def with_chunk(data, *chunks):
    """Put chunks into a PNG, after its header."""
    return data[:33] + b"".join(chunks) + data[33:]


# Colours


def show(raster):
    """Return the pixels as a viewer shows them, as sRGB."""
    if raster.icc is None:
        return raster.pixels.astype(int)
    converted = to_srgb(raster.pixels, raster.icc)
    assert converted is not None
    return converted.astype(int)


def encode_srgb(light):
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
