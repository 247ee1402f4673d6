"""The picture codecs that are compared: luxvox, and its peers as Pillow writes and reads them."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


class PictureCodec(Protocol):
    """What the benchmark asks of a codec; pixels are RGB, uint8 [H, W, 3]."""

    @property
    def label(self) -> str:
        """Say name and options, as the tables print them."""

    @property
    def settings(self) -> tuple[float, ...]:
        """List the settings to measure, from the smallest file to the largest."""

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        """Return a whole file."""

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of a file that `encode` wrote."""


@dataclass(frozen=True)
class Luxvox:
    """The codec of this package, through its public functions; a setting is a quality."""

    label: str = "luxvox"
    settings: tuple[float, ...] = (4, 16, 28, 40, 50, 60, 70, 80)

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        """Return the bytes of an .lvx file."""
        import luxvox

        data: bytes = luxvox.compress_image(pixels, quality=setting)
        return data

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of an .lvx file."""
        import luxvox

        return np.asarray(luxvox.decompress_image(data), dtype=np.uint8)


@dataclass(frozen=True)
class PillowCodec:
    """A format that Pillow writes; `options` turns a setting into arguments of `Image.save`."""

    label: str
    image_format: str
    settings: tuple[float, ...]
    options: Callable[[float], dict[str, object]]

    def encode(self, pixels: Pixels, setting: float) -> bytes:
        """Return the bytes of a file."""
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, self.image_format, **self.options(setting))
        return stream.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of a file."""
        with Image.open(io.BytesIO(data), formats=[self.image_format]) as image:
            return np.asarray(image.convert("RGB"))


def _jpeg_options(quality: float) -> dict[str, object]:
    return {"quality": int(quality), "optimize": True, "progressive": True}


def _webp_options(quality: float) -> dict[str, object]:
    return {"quality": quality, "method": 6}


def _avif_options(quality: float) -> dict[str, object]:
    return {"quality": int(quality), "speed": 4, "max_threads": 1}


def _jpeg2000_options(rate_bpp: float) -> dict[str, object]:
    ratio = 24.0 / rate_bpp
    return {"irreversible": True, "mct": 1, "quality_mode": "rates", "quality_layers": [ratio]}


CODECS: dict[str, PictureCodec] = {
    "luxvox": Luxvox(),
    "jpeg": PillowCodec(
        "JPEG (optimize, progressive)",
        "JPEG",
        (5, 8, 12, 17, 23, 30, 40, 50, 60, 70, 80, 87, 92, 95),
        _jpeg_options,
    ),
    "webp": PillowCodec(
        "WebP (method 6)",
        "WEBP",
        (0, 4, 10, 20, 32, 45, 58, 70, 78, 85, 90, 94, 97),
        _webp_options,
    ),
    "avif": PillowCodec(
        "AVIF (speed 4)",
        "AVIF",
        (8, 14, 20, 27, 34, 42, 50, 58, 66, 74, 81, 88),
        _avif_options,
    ),
    "jpeg2000": PillowCodec(
        "JPEG 2000 (irreversible, mct=1)",
        "JPEG2000",
        (0.06, 0.09, 0.13, 0.19, 0.27, 0.38, 0.53, 0.75, 1.0, 1.4, 2.0),
        _jpeg2000_options,
    ),
}
