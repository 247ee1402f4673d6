"""What callers may pass as pictures: arrays, tensors, Pillow images and files; one or a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from luxvox.codec.arguments import (
    ForeignFile,
    as_array,
    foreign_file,
    is_file,
    is_tensor,
    unstack,
)
from luxvox.codec.picture import reading
from luxvox.codec.picture.rasters import Raster, as_raster
from luxvox.errors import UsageError

if TYPE_CHECKING:
    import torch
    from PIL import Image

Picture: TypeAlias = "NDArray[Any] | torch.Tensor | Image.Image | Raster | ForeignFile"
"""A picture: an array `[H, W, C]`, a tensor `[C, H, W]`, an image of Pillow, a raster or a file."""

_BATCH_DIMENSIONS = 4


def split_batch(pictures: Any) -> tuple[list[Any], bool]:
    """Return the pictures of an argument, and whether it is a batch of them.

    Args:
        pictures: a picture; or a list or tuple of them, an array `[B, H, W, C]`, a tensor
            `[B, C, H, W]`.
    """
    if isinstance(pictures, list | tuple):
        return list(pictures), True
    stack = unstack(pictures, _BATCH_DIMENSIONS)
    return ([pictures], False) if stack is None else (stack, True)


def raster_of(picture: Picture) -> Raster:
    """Convert a picture in any form to a raster.

    Raises:
        UsageError: it is not a picture, or an array of an unsupported type or shape.
        InputError: a file that is not a picture, is damaged, or has too many pixels.
        SystemFailure: an optional package is needed to read it, or its URL cannot be read.
        OSError: the file cannot be opened or read.
    """
    untyped: Any = picture
    if is_tensor(picture):
        return as_raster(_planes_last(untyped))
    if is_file(picture):
        return reading.from_file(foreign_file(untyped))
    return as_raster(untyped)


def _planes_last(tensor: torch.Tensor) -> NDArray[Any]:
    array = as_array("pixels", tensor)
    if array.ndim == 3 and array.shape[0] not in (1, 2, 3, 4):
        raise UsageError(
            f"a tensor of a picture has shape [H, W] or [1..4, H, W], not {list(array.shape)}"
        )
    return array.transpose(1, 2, 0) if array.ndim == 3 else array
