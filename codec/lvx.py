"""Files of either kind: which kind a file is, what it says about itself, its codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from luxvox.cautions import warn_all
from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, check_types, file_bytes, is_tensor, unstack
from luxvox.codec.container import VoiceHeader
from luxvox.codec.container.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS
from luxvox.errors import LuxvoxError, UsageError
from luxvox.late_imports import load

if TYPE_CHECKING:
    import torch

    from luxvox.entropy.picture.prediction import LatticeCodes
    from luxvox.entropy.voice.plan import Codes


HEAD_BYTES = container.MAX_HEADER_SIZE
"""How much of a file `is_voice` needs."""


def is_voice(data: bytes) -> bool:
    """Return whether a `.lvx` file, or its first `MAX_HEADER_SIZE` bytes, holds a voice."""
    try:
        return isinstance(container.read_header(data)[0], VoiceHeader)
    except LuxvoxError:
        return False


@overload
def codes(
    data: list[FileBytes] | tuple[FileBytes, ...],
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> list[dict[str, LatticeCodes] | Codes]: ...


@overload
def codes(
    data: FileBytes,
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> dict[str, LatticeCodes] | Codes: ...


def codes(
    data: FileBytes | list[FileBytes] | tuple[FileBytes, ...],
    *,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_seconds: float = DEFAULT_MAX_SECONDS,
) -> dict[str, LatticeCodes] | Codes | list[dict[str, LatticeCodes] | Codes]:
    """Return the codes of a file, without running the synthesis network.

    Args:
        data: a `.lvx` file: its bytes, path or URL, or opened; or a list of them.
        max_pixels, max_seconds: refuse larger pictures, longer recordings.

    Returns:
        Of a picture: by level, int16 [channels, height, width], in steps. Of a voice: uint16
        [stages, frames], or [2, stages, frames] if it is stereo: mid and side, or left and right,
        as `inspect` says. Of a list of files a list of these.

    Raises:
        LuxvoxError: as `decompress_image` and `decompress_speech` do.
    """
    load("luxvox.codec.pictures", "luxvox.codec.voices")
    from luxvox.codec import pictures, voices

    if isinstance(data, list | tuple):
        return [codes(file, max_pixels=max_pixels, max_seconds=max_seconds) for file in data]
    check_types(max_pixels=max_pixels, max_seconds=max_seconds)
    file = container.open_file(file_bytes(data))
    found: dict[str, LatticeCodes] | Codes
    if isinstance(file.header, VoiceHeader):
        found, cautions = voices.codes_of(file, max_seconds)
    else:
        found, cautions = pictures.codes_of(file, max_pixels)
    warn_all(cautions, stacklevel=2)
    return found


VoiceCodes: TypeAlias = "NDArray[Any] | torch.Tensor"
PictureCodes: TypeAlias = "Mapping[str, NDArray[Any]] | Mapping[str, torch.Tensor]"


@overload
def from_codes(
    codes: list[VoiceCodes] | tuple[VoiceCodes, ...], *, model: int | None = None
) -> list[NDArray[np.float32]]: ...


@overload
def from_codes(
    codes: list[PictureCodes] | tuple[PictureCodes, ...],
    *,
    quality: float,
    tune: str | None = None,
    model: int | None = None,
) -> list[NDArray[np.uint8]]: ...


@overload
def from_codes(codes: VoiceCodes, *, model: int | None = None) -> NDArray[np.float32]: ...


@overload
def from_codes(
    codes: PictureCodes,
    *,
    quality: float,
    tune: str | None = None,
    model: int | None = None,
) -> NDArray[np.uint8]: ...


def from_codes(
    codes: Any,
    *,
    quality: float | None = None,
    tune: str | None = None,
    model: int | None = None,
) -> Any:
    """Return what codes stand for: the samples of a voice, or the pixels of a picture.

    Args:
        codes: arrays or tensors. Of a voice, whole numbers [stages, frames], 0 … 1023; 0 is null,
            and ends its frame; fewer stages than the model has are taken for a prefix. Of a
            picture, whole numbers [channels, height, width] by level, as `codes` returns them. A
            list of these, or one more dimension in front, is a batch; so are the two channels of a
            stereo voice.
        quality: pictures only: the quality of the file that the codes are from, 1 … 100.
        tune: pictures only: `eye` or `psnr`, as the file was made (`FileInfo.tune`); by default
            what the model was trained for, `eye` if for both.
        model: number of the model; by default the newest, of pictures for this tuning.

    Returns:
        Of a voice float32 [T] at 16 kHz and the common level. Of a picture uint8 [H, W, 3], with
        sides that are multiples of 64. Of a batch a list of these.

    Raises:
        UsageError: if the shape or a code is not legal, a picture has no quality, or the model was
            not trained for the tuning.
    """
    load("luxvox.codec.pictures", "luxvox.codec.voices")
    from luxvox.codec import voices
    from luxvox.codec.picture.from_codes import pixels_of_codes

    batch = _batch_of_codes(codes)
    if batch is not None:
        options = {} if quality is None else {"quality": quality}
        return [from_codes(item, **options, tune=tune, model=model) for item in batch]
    if isinstance(codes, Mapping):
        return pixels_of_codes(codes, quality, tune, model)
    if quality is not None or tune is not None:
        name = "tune" if quality is None else "quality"
        raise UsageError(f"{name} is for the codes of pictures, and these are of a voice")
    return voices.samples_of_codes(codes, model)


def _batch_of_codes(codes: Any) -> list[Any] | None:
    """Return the codes of each file of a batch, or None if they are a single file's."""
    if isinstance(codes, Mapping):
        if not codes or any(getattr(level, "ndim", 0) != 4 for level in codes.values()):
            return None
        sizes = {len(level) for level in codes.values()}
        if len(sizes) > 1:
            raise UsageError(f"levels of batches of {', '.join(map(str, sorted(sizes)))} pictures")
        return [{level: codes[level][n] for level in codes} for n in range(sizes.pop())]
    if isinstance(codes, list | tuple):
        is_batch = any(isinstance(item, Mapping | np.ndarray) or is_tensor(item) for item in codes)
        return list(codes) if is_batch else None
    return unstack(codes, 3)
