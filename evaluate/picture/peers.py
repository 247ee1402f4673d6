"""The picture codecs that come with the evaluation: luxvox, and its peers through Pillow."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, features

from luxvox.evaluate.inputs import PICTURES, Kind

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Luxvox:
    """The codec of this package, through its public functions; a point is a quality.

    Attributes:
        tune, effort: what the encoder aims at and how hard, as `luxvox.compress_image` takes them.
    """

    name: str = "luxvox"
    label: str = "luxvox"
    tune: str = "eye"
    effort: int = 5
    kind: Kind = PICTURES
    points: tuple[float, ...] = (1, 12, 24, 36, 48, 60, 72)
    install: str = "pip install --force-reinstall luxvox"

    def version(self) -> str:
        """Name version, model and fingerprint."""
        from luxvox import __version__
        from luxvox.models.cards import find_card

        card = find_card("picture", tune=self.tune)
        return f"luxvox {__version__}, {card.id} {card.fingerprint} {card.sha256[:8]}"

    def encode(self, original: Pixels, point: float) -> bytes:
        """Return the bytes of an .lvx file."""
        import luxvox

        return luxvox.compress_image(original, quality=point, tune=self.tune, effort=self.effort)

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of an .lvx file."""
        import luxvox

        return np.asarray(luxvox.decompress_image(data), dtype=np.uint8)

    def payload_bytes(self, data: bytes) -> int:
        """Count the whole file."""
        return len(data)


@dataclass(frozen=True)
class PillowPeer:
    """A format that Pillow, or a plug-in of it, writes.

    Attributes:
        image_format: Pillow's name of the format.
        options: turns a point into arguments of `Image.save`.
        libraries: names what is at work; raises ImportError where something is missing.
    """

    name: str
    label: str
    image_format: str
    points: tuple[float, ...]
    options: Callable[[float], dict[str, object]]
    libraries: Callable[[], str]
    install: str = "pip install --upgrade pillow"
    kind: Kind = PICTURES

    def version(self) -> str:
        """Name Pillow and the library that it writes the format with."""
        return self.libraries()

    def encode(self, original: Pixels, point: float) -> bytes:
        """Return the bytes of a file."""
        self.libraries()
        stream = io.BytesIO()
        Image.fromarray(original).save(stream, self.image_format, **self.options(point))
        return stream.getvalue()

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of a file."""
        self.libraries()
        with Image.open(io.BytesIO(data), formats=[self.image_format]) as image:
            return np.asarray(image.convert("RGB"))

    def payload_bytes(self, data: bytes) -> int:
        """Count the whole file."""
        return len(data)


def _version_reader(feature: str, library: str) -> Callable[[], str]:
    def describe() -> str:
        if not features.check(feature):
            raise ImportError(f"this Pillow was built without {library}")
        return f"pillow {version('pillow')}, {library} {features.version(feature)}"

    return describe


def _jpeg_libraries() -> str:
    is_turbo: Any = features.check_feature("libjpeg_turbo")
    library = "libjpeg_turbo" if is_turbo else "jpg"
    return f"pillow {version('pillow')}, {library} {features.version(library)}"


def _jxl_libraries() -> str:
    importlib.import_module("pillow_jxl")  # registers the format
    return f"pillow-jxl-plugin {version('pillow-jxl-plugin')}"


def _jpeg_options(quality: float) -> dict[str, object]:
    return {"quality": int(quality), "optimize": True, "progressive": True}


def _webp_options(quality: float) -> dict[str, object]:
    return {"quality": quality, "method": 6}


def _avif_options(quality: float) -> dict[str, object]:
    return {"quality": int(quality), "speed": 4, "max_threads": 1}


def _avif_psnr_options(quality: float) -> dict[str, object]:
    tuned = {"subsampling": "4:4:4", "advanced": {"tune": "psnr"}}
    return {**_avif_options(quality), **tuned}


def _jxl_options(quality: float) -> dict[str, object]:
    return {"quality": quality, "effort": 7, "num_threads": 1}


def _jpeg2000_options(rate_bpp: float) -> dict[str, object]:
    ratio = 24.0 / rate_bpp
    return {"irreversible": True, "mct": 1, "quality_mode": "rates", "quality_layers": [ratio]}


LUXVOX = Luxvox()
LUXVOX_PSNR = Luxvox("luxvox-psnr", "luxvox (tuned for PSNR)", "psnr")
JPEG = PillowPeer(
    "jpeg",
    "JPEG (optimize, progressive)",
    "JPEG",
    (5, 10, 17, 30, 50, 70, 85, 92, 95),
    _jpeg_options,
    _jpeg_libraries,
)
WEBP = PillowPeer(
    "webp",
    "WebP (method 6)",
    "WEBP",
    (0, 6, 20, 40, 60, 78, 88, 94, 97),
    _webp_options,
    _version_reader("webp", "libwebp"),
)
AVIF = PillowPeer(
    "avif",
    "AVIF (speed 4)",
    "AVIF",
    (8, 16, 25, 34, 44, 54, 65, 76, 88),
    _avif_options,
    _version_reader("avif", "libavif"),
)
AVIF_PSNR = PillowPeer(
    "avif-psnr",
    "AVIF (speed 4, 4:4:4, tuned for PSNR)",
    "AVIF",
    (4, 12, 20, 29, 39, 49, 59, 70, 81),
    _avif_psnr_options,
    _version_reader("avif", "libavif"),
)
JXL = PillowPeer(
    "jxl",
    "JPEG XL (effort 7)",
    "JXL",
    (5, 14, 25, 40, 55, 70, 80, 87, 92),
    _jxl_options,
    _jxl_libraries,
    install="pip install 'luxvox[evaluate]'",
)
JPEG2000 = PillowPeer(
    "jpeg2000",
    "JPEG 2000 (irreversible, mct=1)",
    "JPEG2000",
    (0.06, 0.1, 0.16, 0.25, 0.4, 0.63, 1.0, 1.5, 2.2),
    _jpeg2000_options,
    _version_reader("jpg_2000", "OpenJPEG"),
)
