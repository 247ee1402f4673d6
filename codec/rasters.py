"""Pictures as the codec sees them: 8-bit grey or RGB, alpha apart, metadata beside them.

Arrays, Pillow images and files go in and come out here. Reading loses only what 8 bits of grey or
RGB cannot hold: 16-bit samples are rounded, inks become sRGB, and an animation its first frame.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from luxvox.codec import files, formats
from luxvox.codec.limits import DEFAULT_MAX_PIXELS
from luxvox.codec.metadata import Metadata, metadata_of, orientation_of, turned_upright
from luxvox.codec.modes import Samples, samples_of
from luxvox.codec.pillow import Source, deep_pixels, opened
from luxvox.errors import UsageError

_RGB = 3
_PLANES_WITH_ALPHA = (2, 4)


@dataclass(frozen=True, eq=False)
class Raster:
    """One picture, upright.

    Attributes:
        pixels: uint8 `[H, W, 3]` (RGB) or `[H, W, 1]` (grey).
        alpha: uint8 `[H, W]`, 0 transparent, 255 opaque; None when the picture has none.
        icc: ICC profile of `pixels`.
        exif: EXIF from its TIFF header on, without orientation.
        xmp: XMP packet, its orientation upright.
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def as_raster(pixels: NDArray[Any] | Image.Image | Raster) -> Raster:
    """Take an array, a PIL image or a raster as a raster.

    Raises:
        UsageError: if it is none of them.
    """
    if isinstance(pixels, Raster):
        return pixels
    if isinstance(pixels, np.ndarray):
        return from_array(pixels)
    if hasattr(pixels, "getbands"):
        return from_pil(pixels)
    raise UsageError(f"a picture is an array or a PIL image, not {type(pixels).__name__}")


def from_array(array: NDArray[Any]) -> Raster:
    """Take an array as a picture.

    Args:
        array: uint8 or uint16 `[H, W]` or `[H, W, 1]` (grey), `[H, W, 2]` (grey, alpha),
            `[H, W, 3]` (RGB) or `[H, W, 4]` (RGB, alpha). 16 bits are rounded to 8.

    Returns:
        The raster, which shares memory with `array` where nothing had to change.

    Raises:
        UsageError: another type or shape, or a side of 0.
    """
    if not isinstance(array, np.ndarray):
        raise UsageError(
            f"a picture is a NumPy array or a Pillow image, not {type(array).__name__}"
        )
    if array.dtype not in (np.uint8, np.uint16):
        raise UsageError(f"samples of a picture are uint8 or uint16, not {array.dtype}")
    planes = array[:, :, None] if array.ndim == 2 else array
    if planes.ndim != 3 or planes.shape[2] not in (1, 2, 3, 4) or 0 in planes.shape:
        raise UsageError(
            f"a picture has shape [H, W] or [H, W, 1..4] with sides of at least 1, "
            f"not {list(array.shape)}"
        )
    samples = _to_eight_bits(planes)
    if planes.shape[2] not in _PLANES_WITH_ALPHA:
        return Raster(np.ascontiguousarray(samples))
    return Raster(np.ascontiguousarray(samples[:, :, :-1]), np.ascontiguousarray(samples[:, :, -1]))


def from_pil(image: Image.Image) -> Raster:
    """Take a Pillow image of any mode as a picture, turned upright, with its metadata.

    Args:
        image: a Pillow image; of an animation, the frame it stands at.

    Returns:
        The raster.

    Raises:
        InputError: a mode that cannot be compressed.
        UsageError: a side of 0.
    """
    image.load()
    return _upright(image, samples_of(image))


def from_file(source: Source, max_pixels: int = DEFAULT_MAX_PIXELS) -> Raster:
    """Read a picture in any raster format that Pillow reads; of an animation, the first frame.

    Args:
        source: path of a file, or its bytes.
        max_pixels: most pixels that are accepted; checked before anything is decoded.

    Returns:
        The raster, upright, with its metadata.

    Raises:
        InputError: not a picture, damaged, or over the limit.
        OSError: the file itself cannot be opened or read.
    """
    with opened(source, max_pixels) as image:
        grey_in_colour = _raw_mode(image) == "LA;16B"  # Pillow has no deeper mode for it than RGBA
        deep = deep_pixels(image, source)
        image.load()
        if deep is not None:
            return _upright(image, deep)
        return _upright(image, samples_of(image.convert("LA") if grey_in_colour else image))


def to_array(raster: Raster) -> NDArray[np.uint8]:
    """Join pixels and alpha into one array.

    Args:
        raster: a picture.

    Returns:
        uint8 `[H, W]` (grey), `[H, W, 2]` (grey, alpha), `[H, W, 3]` (RGB) or `[H, W, 4]`.
    """
    if raster.alpha is not None:
        return np.concatenate([raster.pixels, raster.alpha[:, :, None]], axis=2)
    return raster.pixels if raster.pixels.shape[2] == _RGB else raster.pixels[:, :, 0]


def to_pil(raster: Raster) -> Image.Image:
    """Make a Pillow image of mode L, LA, RGB or RGBA, with the metadata in its `info`.

    Args:
        raster: a picture.

    Returns:
        The image; `info` holds `icc_profile`, `exif` and `xmp` where the picture has them.
    """
    image = Image.fromarray(to_array(raster))
    parts = {"icc_profile": raster.icc, "exif": raster.exif, "xmp": raster.xmp}
    image.info.update({name: part for name, part in parts.items() if part is not None})
    return image


def to_file(
    raster: Raster, target: str | os.PathLike[str] | BinaryIO, format: str | None = None
) -> None:
    """Write a picture in a usual format, with as much of its metadata as the format takes.

    A format without alpha gets the picture on white. JPEG and AVIF are written at high quality, the
    other formats without loss.

    Args:
        raster: a picture.
        target: path or binary stream; a stream need not seek.
        format: `png`, `jpg`, `webp`, `tiff`, `avif` ..., or None for the ending of the path.

    Raises:
        UsageError: an unknown format, or a picture too large for it.
        SystemFailure: the target cannot be written, or Pillow was built without the format.
    """
    data = to_bytes(raster, format or formats.ending_of(target))
    if isinstance(target, str | os.PathLike):
        files.write(os.fspath(target), data, overwrite=True)
    else:
        target.write(data)


def to_bytes(raster: Raster, format: str) -> bytes:
    """Make the bytes of a file in a usual format, as `to_file` does."""
    return formats.encode(to_pil(raster), Metadata(raster.icc, raster.exif, raster.xmp), format)


def round_to_uint8(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Clip to 0..255 and round half up: the one place where samples become 8 bits.

    Args:
        values: floats of any shape, in 8-bit units, no NaN.

    Returns:
        uint8 of the same shape.
    """
    fraction = np.clip(values, 0, 255)
    whole = np.floor(fraction)
    # The difference is exact, where adding a half first would itself be rounded.
    fraction -= whole
    whole += fraction >= 0.5
    rounded: NDArray[np.uint8] = whole.astype(np.uint8)
    return rounded


def _to_eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    if samples.dtype == np.uint8:
        return samples
    return round_to_uint8(samples.astype(np.float32) / 257)  # 257 = 65535 / 255


def _upright(image: Image.Image, samples: Samples) -> Raster:
    plain = from_array(turned_upright(samples, orientation_of(image)))
    kept = metadata_of(image)
    return Raster(plain.pixels, plain.alpha, kept.icc, kept.exif, kept.xmp)


def _raw_mode(image: Image.Image) -> object:
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return tiles[0].args if tiles else None
