"""The legal files that are kept: one for each feature of the format, as small as can be.

Each function returns the bytes of a file. `record.py` calls those that the manifest does not list
yet; once recorded, a file is not made again unless that is asked for.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

import luxvox
from luxvox.codec import container
from luxvox.codec.container import PictureHeader
from luxvox.codec.container.bands import bands_of
from luxvox.codec.container.header_fields import CELL
from luxvox.codec.container.packed import pack
from luxvox.codec.picture.codes import BandWalk, encode_codes, fixed_sources
from luxvox.codec.quality import Quality
from luxvox.entropy.coders import CONSTRICTION, TORCHAC
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.visitors import Source
from luxvox.models.cards import use_weights
from luxvox.models.picture.weights import picture_codec
from luxvox.progress import silent
from luxvox.tests.golden.changes import Make, cut, with_sections
from luxvox.tests.golden.tiny_weights import TINY
from luxvox.tests.golden.voice_files import VOICE_FILES


def waves(height: int, width: int, seed: int = 0) -> Any:
    """Uint8 [H, W, 3]: waves, a slope, blocks and noise."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / 9) + 30 * np.cos(y / 3), 60 + 2 * y + x, 200 - 2 * x + y]
    picture = np.stack(planes, -1) + 30 * ((x // 8 + y // 8) % 2)[..., None]
    noise = np.random.default_rng(seed).normal(0, 8, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def picture(size: tuple[int, int], quality: float, channels: int = 3, **options: Any) -> Make:
    """Code waves with the newest weights; 1 or 2 channels are grey, 2 or 4 have alpha."""

    def make() -> bytes:
        pixels = waves(*size)
        pixels = pixels[..., :1] if channels < 3 else pixels
        if channels in (2, 4):
            y, x = np.mgrid[: size[0], : size[1]]
            pixels = np.dstack([pixels, np.clip(4 * x + 2 * y, 0, 255).astype(np.uint8)])
        data: bytes = luxvox.compress_image(pixels, quality, **options)
        return data

    return make


def tiny(make: Make) -> Make:
    """Make a file with the tiny weights."""

    def make_tiny() -> bytes:
        with use_weights(TINY):
            return make()

    return make_tiny


def random_source(
    generator: np.random.Generator, null_sections: Collection[int] = (), share: float = 0.1
) -> Source:
    """Return a source of random codes around the means that are predicted.

    Args:
        generator: of random numbers.
        null_sections: whose codes are all zero.
        share: of the codes that differ from the rounded mean; a tenth of these differ by much.
    """

    def source(prediction: Prediction) -> NDArray[np.int32]:
        if prediction.section in null_sections:
            return np.zeros_like(prediction.mean)
        coding, shape = prediction.coding, prediction.mean.shape
        near = generator.integers(-3, 4, shape) << coding.shift
        far = generator.standard_cauchy(shape) * 200 * (generator.random(shape) < 0.1)
        change = near + np.clip(far, -1e5, 1e5).astype(np.int64)
        change *= (generator.random(shape) < share) & ~coding.silent
        codes = ((prediction.mean + 4) >> 3) + change
        return np.clip(codes, -CODE_MAX, CODE_MAX).astype(np.int32)

    return source


def coded_picture(
    size: tuple[int, int],
    hundredths: int,
    source: Callable[[np.random.Generator], Source] = random_source,
    *,
    coder: int = CONSTRICTION,
    colour: bool = True,
    eye: bool = True,
    band_rows: int | None = None,
) -> Make:
    """Write codes of a source with the tiny weights; in one band of six parts by default."""

    def make() -> bytes:
        codec = picture_codec()
        height, width = size
        rows = -(-height // CELL) if band_rows is None else band_rows
        quality = Quality(hundredths)
        header = PictureHeader(
            0, codec.fingerprint, width, height, colour, False, eye, 0, coder, quality, rows
        )
        position = quality.log_step_int
        bands = BandWalk(codec.context, bands_of(header), position, coder, silent)
        seeds = [[*size, hundredths, band] for band in range(bands.bands.n_bands)]
        sources = [source(np.random.default_rng(seed)) for seed in seeds]
        _, parts = encode_codes(bands, fixed_sources(sources))
        return container.write(header, [], parts)

    return tiny(make)


def without(*sections: int) -> Callable[[np.random.Generator], Source]:
    """Leave sections without codes."""
    return lambda generator: random_source(generator, sections)


def farthest(generator: np.random.Generator, share: float = 0.01) -> Source:
    """Choose a share of the largest codes that are legal, else rounded means."""

    def source(prediction: Prediction) -> NDArray[np.int32]:
        codes = (prediction.mean + 4) >> 3
        ends = np.where(generator.random(codes.shape) < 0.5, -CODE_MAX, CODE_MAX)
        chosen = (generator.random(codes.shape) < share) & ~prediction.coding.silent
        return np.where(chosen, ends, codes).astype(np.int32)

    return source


def png(values: Any, mode: str = "L") -> bytes:
    """Return values [H, W] as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(values).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def webp(values: Any) -> bytes:
    """Return values [H, W] as a lossless WebP, alike in all colours."""
    stream = io.BytesIO()
    Image.fromarray(np.repeat(values[..., None], 3, 2)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def alpha_ramp() -> Any:
    """Uint8 [24, 24]."""
    y, x = np.mgrid[:24, :24]
    return (5 * x + 5 * y).astype(np.uint8)


def exif() -> bytes:
    """Return an EXIF block that names a maker."""
    block = Image.Exif()
    block[271] = "luxvox"
    return block.tobytes().removeprefix(b"Exif\0\0")


def icc() -> bytes:
    """Return a small ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def flat() -> bytes:
    """Code one colour."""
    return luxvox.compress_image(np.full((45, 45, 3), (200, 60, 120), np.uint8), 20)


def with_profile(profile: int) -> Make:
    """Write a picture whose profile is one of those that take no section."""

    def make() -> bytes:
        content = container.read(SMALL())
        assert isinstance(content.header, PictureHeader)
        header = replace(content.header, profile=profile)
        return container.write(header, content.sections, content.parts)

    return make


SMALL = coded_picture((24, 24), 3000, lambda generator: random_source(generator, (4, 5, 6)))
XMP_PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
DISC = np.where(np.hypot(*(np.mgrid[:24, :24] - 12)) < 9, 255, 0).astype(np.uint8)

FILES: Mapping[str, tuple[str, Make]] = {
    # Made with the shipped weights; few, since they are made again whenever those are replaced.
    "rgb-33x47": ("colour, odd sides", picture((33, 47), 50)),
    "rgb-quality-1": ("lowest quality", picture((40, 56), 1)),
    "rgb-quality-100": ("highest quality, all sections", picture((24, 32), 100)),
    "rgb-flat": ("one colour", flat),
    "grey-40x33": ("grey", picture((40, 33), 70, 1)),
    "rgb-psnr": ("tuned for the least squared error", picture((40, 48), 60, tune="psnr")),
    # Made with the tiny weights, which never change.
    "tiny-1x1": ("one pixel", coded_picture((1, 1), 5000, without(3, 4, 5, 6), colour=False)),
    "tiny-129x3": ("narrow, more than two cells high", coded_picture((129, 3), 6000)),
    "tiny-3x129": ("low, more than two cells wide", coded_picture((3, 129), 6000)),
    "tiny-codes": ("all sections", coded_picture((70, 40), 7000)),
    "tiny-codes-finest": ("log-step −127", coded_picture((33, 32), 10000)),
    "tiny-codes-coarsest": ("log-step 127", coded_picture((32, 33), 100)),
    "tiny-codes-psnr": (
        "tuned for the least squared error",
        coded_picture((40, 70), 6000, eye=False),
    ),
    "tiny-codes-fraction": ("a quality of hundredths, 37.21", coded_picture((32, 32), 3721)),
    "tiny-codes-farthest": (
        "codes ±32767, the longest escapes",
        coded_picture((9, 9), 5050, farthest),
    ),
    "tiny-joined": ("one part for all codes", coded_picture((40, 90), 6500, band_rows=0)),
    "tiny-joined-null": (
        "one part, which is empty",
        coded_picture((40, 90), 6500, without(1), band_rows=0),
    ),
    "tiny-bands": ("three bands", coded_picture((150, 70), 6500, band_rows=1)),
    "tiny-bands-uneven": (
        "two bands, the last one lower",
        coded_picture((170, 9), 3000, band_rows=2),
    ),
    "tiny-bands-null": (
        "three bands, no section 1 and 3",
        coded_picture((150, 20), 6500, without(1, 3), band_rows=1),
    ),
    "tiny-bands-torchac": (
        "two bands, coder 2",
        coded_picture((70, 20), 6500, coder=TORCHAC, band_rows=1),
    ),
    "tiny-profile-srgb": ("sRGB in a byte", with_profile(1)),
    "tiny-profile-p3": ("Display P3 in a byte", with_profile(2)),
    "tiny-grey": ("grey", coded_picture((32, 32), 5000, colour=False)),
    "tiny-compressed": ("codes that luxvox chose", tiny(picture((40, 56), 60))),
    "tiny-grey-alpha": ("grey with alpha, as luxvox writes it", tiny(picture((20, 20), 40, 2))),
    "tiny-rgb-alpha": ("colour with alpha, as luxvox writes it", tiny(picture((20, 20), 40, 4))),
    "tiny-null-section-1": ("section 1 empty", coded_picture((32, 64), 5000, without(1))),
    "tiny-null-section-3": ("section 3 empty", coded_picture((32, 64), 5000, without(3))),
    "tiny-null-section-5": ("section 5 empty", coded_picture((32, 64), 5000, without(5))),
    "tiny-null-sections-1-to-5": (
        "only section 6 left",
        coded_picture((32, 32), 5000, without(1, 2, 3, 4, 5)),
    ),
    "tiny-null-sections-5-6": (
        "sections 5 and 6 empty",
        coded_picture((32, 32), 5000, without(5, 6)),
    ),
    "tiny-null": ("no codes at all", coded_picture((50, 50), 5000, without(1, 2, 3, 4, 5, 6))),
    "tiny-torchac": ("coder 2", coded_picture((32, 33), 6000, coder=TORCHAC)),
    "tiny-torchac-null-section-3": (
        "coder 2, section 3 empty",
        coded_picture((32, 32), 6000, without(3), coder=TORCHAC),
    ),
    "tiny-cut-after-1": ("cut at the end of section 1", cut(coded_picture((40, 56), 6000), 1, 0)),
    "tiny-cut-in-6": ("cut inside section 6", cut(coded_picture((40, 56), 9500), 5, 20)),
    "tiny-cut-bands": (
        "cut inside section 2 of the second of three bands",
        lambda: coded_picture((150, 70), 6500, band_rows=1)()[:700],
    ),
    "tiny-cut-alpha": ("cut inside alpha", cut(tiny(picture((20, 20), 40, 4)), -1, 9)),
    "alpha-constant": ("alpha in one byte", with_sections(SMALL, type_64=b"\x80")),
    "alpha-png": ("alpha as 8-bit PNG", with_sections(SMALL, type_64=png(alpha_ramp()))),
    "alpha-png-1-bit": ("alpha as 1-bit PNG", with_sections(SMALL, type_64=png(DISC, "1"))),
    "alpha-webp": ("alpha as lossless WebP", with_sections(SMALL, type_64=webp(alpha_ramp()))),
    "metadata-icc": ("ICC profile", with_sections(SMALL, type_128=pack(icc()))),
    "metadata-exif": ("EXIF", with_sections(SMALL, type_129=pack(exif()))),
    "metadata-xmp": ("XMP", with_sections(SMALL, type_130=pack(XMP_PACKET))),
    "metadata-all": (
        "alpha, ICC profile, EXIF, XMP",
        with_sections(
            SMALL,
            type_64=b"\0",
            type_128=pack(b"icc"),
            type_129=pack(exif()),
            type_130=pack(XMP_PACKET),
        ),
    ),
    "skippable": ("unknown section that may be skipped", with_sections(SMALL, type_200=b"later")),
    **VOICE_FILES,
}


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Ignore that files are cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", luxvox.TruncatedWarning)
        yield
