"""How Pillow is asked to open a stranger's file: our limits, no words on stderr, one exception.

Pillow warns, raises a dozen types of exception, and has a pixel limit of its own that is global to
the process. Everything luxvox reads with Pillow goes through `opened`, which deals with that once.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from luxvox.errors import InputError, LuxvoxError

# These are not pictures of their own: they call another program, or hold no pixels Pillow can read.
_NOT_OPENED = frozenset({"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5", "XVTHUMB"})

# Pillow's pixel limit and the warning filters are global; only one picture is opened at a time.
_pillow_lock = threading.Lock()

Source = str | os.PathLike[str] | bytes


@contextmanager
def opened(
    source: Source, max_pixels: int, formats: list[str] | None = None
) -> Iterator[Image.Image]:
    """Open a picture, check its size before a pixel is decoded, and close it again.

    What is raised inside the `with` block while pixels are decoded counts as the file's fault.

    Args:
        source: path of a file, or its bytes.
        max_pixels: most pixels that are accepted.
        formats: Pillow's names of the formats that are accepted; None for all raster formats.

    Raises:
        InputError: not a picture, damaged, or over the limit; the path, if any, leads the message.
        OSError: the file itself cannot be opened or read.
    """
    name = "" if isinstance(source, bytes) else f"{os.fspath(source)}: "
    with _pillow_lock, _own_limits(max_pixels):
        try:
            with Image.open(_stream(source), formats=formats or _formats()) as image:
                _check_size(image, max_pixels)
                yield image
        except InputError as error:
            raise InputError(f"{name}{error}") from error
        except (LuxvoxError, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise InputError(f"{name}more pixels than the {max_pixels:,} accepted") from error
        except UnidentifiedImageError as error:
            raise InputError(f"{name}not a picture in a format that Pillow can read") from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(f"{name}damaged picture: {_one_line(error)}") from error


def deep_pixels(image: Image.Image, source: Source) -> NDArray[np.uint16] | None:
    """Read a colour picture of 16 bits a channel exactly; None when it is not one.

    Pillow keeps the high byte only. Asked to read the samples in the wrong byte order it keeps the
    low one, so two readings make the whole. Call it inside `opened`, which set the limits.

    Args:
        image: what `opened` gave, its pixels not loaded yet.
        source: where it came from.

    Returns:
        uint16 `[H, W, 3]` or `[H, W, 4]`, or None.
    """
    if _swapped_tiles(image) is None or "transparency" in image.info:
        return None
    with Image.open(_stream(source)) as low:
        assert isinstance(low, ImageFile.ImageFile)
        low.tile = _swapped_tiles(low) or []
        samples: NDArray[np.uint16] = np.asarray(low).astype(np.uint16)
    samples |= np.left_shift(np.asarray(image), 8, dtype=np.uint16)
    return samples


def _swapped_tiles(image: Image.Image) -> list[Any] | None:
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    swapped = [_swapped(tile) for tile in tiles]
    return swapped if swapped and None not in swapped else None


def _swapped(tile: Any) -> Any | None:
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    raw_mode = arguments[0]
    if raw_mode not in {f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "BLN"}:
        return None
    order = raw_mode[-1]
    if order == "N":
        order = "L" if sys.byteorder == "little" else "B"
    other = raw_mode[:-1] + {"B": "L", "L": "B"}[order]
    return tile._replace(args=(other, *arguments[1:]))


def _stream(source: Source) -> io.BytesIO | str | os.PathLike[str]:
    return io.BytesIO(source) if isinstance(source, bytes) else source


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in _NOT_OPENED]


@contextmanager
def _own_limits(max_pixels: int) -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{image.width} × {image.height} is {image.width * image.height:,} pixels; "
            f"at most {max_pixels:,} are accepted"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
