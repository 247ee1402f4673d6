"""The alpha plane without loss: one byte when it is constant, else the smaller of WebP and PNG.

The payload itself tells which it is: one byte is the value everywhere, `RIFF` begins a lossless
WebP (alpha in all three colours), and PNG's signature begins an 8-bit or 1-bit grey PNG. No other
kinds of either format are read, nor is their metadata.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from luxvox.codec.picture.files.pillow import open_image
from luxvox.codec.picture.views import View
from luxvox.errors import FormatError, InputError

_WEBP_MAGIC = b"RIFF"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_GREY_PNGS = (b"\x01\0", b"\x08\0")  # bits per sample, colour type
_LOSSLESS_WEBP = b"WEBPVP8L"
_WEBP_LONGEST_SIDE = 16383


def encode_alpha(alpha: NDArray[np.uint8]) -> bytes:
    """Write an alpha plane compactly and without loss.

    Args:
        alpha: uint8 `[H, W]`, not empty.

    Returns:
        The payload of the container's alpha section.
    """
    if alpha.min() == alpha.max():
        return bytes([int(alpha.flat[0])])
    candidates = [_png(alpha)]
    if max(alpha.shape) <= _WEBP_LONGEST_SIDE:
        candidates.append(_webp(alpha))
    return min(candidates, key=len)


def decode_alpha(payload: bytes, width: int, height: int) -> NDArray[np.uint8]:
    """Read an alpha plane that `encode_alpha` wrote.

    Args:
        payload: what the alpha section holds.
        width: width of the picture.
        height: height of the picture.

    Returns:
        uint8 `[H, W]`.

    Raises:
        FormatError: the payload is not such a plane, or has a different size.
    """
    if len(payload) == 1:
        return np.full((height, width), payload[0], np.uint8)
    try:
        with open_image(payload, width * height, [_format_of(payload)]) as image:
            if image.size != (width, height):
                raise InputError(f"{image.width} × {image.height} where {width} × {height} belongs")
            if image.mode not in ("L", "1", "RGB"):
                raise InputError(f"mode {image.mode} where opaque pixels belong")
            plane = np.asarray(image if image.mode == "RGB" else image.convert("L"))
    except (InputError, OSError) as error:
        raise FormatError(f"alpha section: {error}") from error
    return np.array(plane if plane.ndim == 2 else plane[:, :, 0])


def alpha_of_view(alpha: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Return the part of an alpha plane `[H, W]` that a view shows, averaged if it is smaller."""
    if view.crop is not None:
        left, top, width, height = view.crop
        return alpha[top : top + height, left : left + width].copy()
    if view.factor == 1:
        return alpha
    return np.array(Image.fromarray(alpha).reduce(view.factor))


def _format_of(payload: bytes) -> str:
    if payload.startswith(_PNG_MAGIC):
        if payload[12:16] != b"IHDR" or payload[24:26] not in _GREY_PNGS:
            raise InputError("a PNG that is not grey of 1 or 8 bits")
        return "PNG"
    if payload.startswith(_WEBP_MAGIC):
        if payload[8:16] != _LOSSLESS_WEBP:
            raise InputError("a WebP that is not simple and lossless")
        return "WEBP"
    raise InputError("neither one byte, nor PNG, nor WebP")


def _png(alpha: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(alpha)
    if np.isin(alpha, (0, 255)).all():
        image = image.convert("1", dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _webp(alpha: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.repeat(alpha[:, :, None], 3, axis=2)).save(
        stream, "WEBP", lossless=True, quality=100, method=4
    )
    return stream.getvalue()
