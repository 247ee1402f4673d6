"""How Pillow opens files from anywhere: with our limit of pixels and one kind of exception.

Pillow raises a dozen types of exception, and its pixel limit is global to the process. Everything
luxvox reads with Pillow goes through `open_image`, which deals with that. It changes a single
global: with `LOAD_TRUNCATED_IMAGES`, Pillow silently fills what a cut file lacks with grey or
black, so that is off while a file is read.
"""

from __future__ import annotations

import io
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from luxvox.codec.picture.files import jpeg_xl
from luxvox.codec.picture.files.kinds import HEAD_BYTES, add_reader, refusal
from luxvox.codec.quiet import quiet_logger
from luxvox.errors import InputError, LuxvoxError
from luxvox.late_imports import no_fork_meanwhile
from luxvox.process_setting import ProcessSetting

# These are not pictures of their own: they call another program, or hold no pixels Pillow can read.
# It reads FITS without its scale, and as unsigned. Files of luxvox, which it reads with
# luxvox.pillow, are compressed already.
_NOT_OPENED = frozenset({"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5", "XVTHUMB", "FITS", "LVX"})

# What Pillow's readers raise about a file that is not in their format after all.
_NOT_MINE = (SyntaxError, IndexError, TypeError, struct.error)

Source = str | os.PathLike[str] | bytes

_HEAD_OF_PILLOW = 16  # bytes that its readers are asked about


def _set_lenience(value: bool) -> None:
    ImageFile.LOAD_TRUNCATED_IMAGES = value


_LENIENCE = ProcessSetting(lambda: ImageFile.LOAD_TRUNCATED_IMAGES, _set_lenience, (False,))


class UnknownFormat(InputError):
    """Report a file that none of Pillow's readers takes."""


@contextmanager
def open_image(
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
        SystemFailure: it takes a package that is not installed.
        OSError: the file itself cannot be opened or read.
    """
    name = "" if isinstance(source, bytes) else f"{os.fspath(source)}: "
    try:
        with _LENIENCE.usual(), stream_of(source) as stream:
            with _open(stream, formats, max_pixels) as image:
                _check_size(image.size, max_pixels)
                yield image
    except UnknownFormat as error:
        raise UnknownFormat(f"{name}{error}") from error
    except InputError as error:
        raise InputError(f"{name}{error}") from error
    except (LuxvoxError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{name}more pixels than Pillow accepts in such a file") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"{name}damaged picture: {_one_line(error)}") from error


def deep_pixels(image: Image.Image, source: Source) -> NDArray[np.uint16] | None:
    """Read a colour picture of 16 bits a channel exactly; None when it is not one.

    Pillow keeps the high byte only. Asked to read the samples in the wrong byte order it keeps the
    low one, so two readings make the whole. Call it inside `open_image`.

    Args:
        image: what `open_image` gave, its pixels not loaded yet.
        source: where it came from.

    Returns:
        uint16 `[H, W, 3]` or `[H, W, 4]`, or None.
    """
    if _swap_tiles(image) is None:
        return None
    with stream_of(source) as stream, _open(stream, [str(image.format)]) as low:
        low.seek(image.tell())
        low.tile = _swap_tiles(low) or []
        samples: NDArray[np.uint16] = np.asarray(low).astype(np.uint16)
    samples |= np.left_shift(np.asarray(image), 8, dtype=np.uint16)
    return samples


def stream_of(source: Source) -> BinaryIO:
    """Open a path or bytes for reading."""
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def raw_mode(image: Image.Image) -> str:
    """Return Pillow's name for the layout of a picture's samples, before it is loaded.

    It is empty if that is not known.
    """
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    arguments = tiles[0].args if tiles else None
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def is_deep(image: Image.Image) -> bool:
    """Return whether samples have more than 8 bits, in the file or in the image."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return True
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    for tile in tiles:
        # The decoders of maps are given the highest value.
        is_map = tile.codec_name in ("ppm", "ppm_plain")
        if is_map and isinstance(tile.args, tuple) and tile.args[1] > 255:
            return True
        if tile.codec_name == "SGI16":
            return True
    stored = raw_mode(image)
    return ";16" in stored and not stored.startswith("BGR")  # there, 16 bits are a pixel


def _open(
    stream: BinaryIO, formats: list[str] | None, max_pixels: int | None = None
) -> ImageFile.ImageFile:
    """Do what `Image.open` does, without the pixel limit that all of the process shares."""
    head = stream.read(HEAD_BYTES)
    add_reader(head)
    quiet_logger("PIL")
    with no_fork_meanwhile():
        Image.init()
    is_jpeg_xl = head.startswith((jpeg_xl.CODESTREAM, jpeg_xl.CONTAINER))
    if max_pixels is not None and is_jpeg_xl and "JXL" in Image.ID:
        # Its reader decodes all of the picture when it opens the file.
        size = jpeg_xl.size_of(stream)
        if size is None:
            raise InputError("damaged picture: the JPEG XL file does not say how large it is")
        _check_size(size, max_pixels)
    for name in formats or [name for name in Image.ID if name not in _NOT_OPENED]:
        factory, accepts = Image.OPEN[name]
        try:
            accepted = accepts is None or accepts(head[:_HEAD_OF_PILLOW])
            if accepted and not isinstance(accepted, str):
                stream.seek(0)
                return factory(stream, "")
        except _NOT_MINE:
            continue
    error = refusal(head)
    raise UnknownFormat(str(error)) if type(error) is InputError else error


def _swap_tiles(image: Image.Image) -> list[Any] | None:
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    swapped = [_swap(tile) for tile in tiles]
    return swapped if swapped and None not in swapped else None


def _swap(tile: Any) -> Any | None:
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    mode = arguments[0]
    if mode not in {f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "BLN"}:
        return None
    order = mode[-1]
    if order == "N":
        order = "L" if sys.byteorder == "little" else "B"
    swapped = mode[:-1] + {"B": "L", "L": "B"}[order]
    return tile._replace(args=(swapped, *arguments[1:]))


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{width} × {height} is {width * height:,} pixels; at most {max_pixels:,} are accepted"
        )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
