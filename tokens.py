"""Codes as tokens, for models that are trained on them: vocabulary, orders, a lazy data set.

    card = tokens.vocabulary("voice")              # sizes, grids and rates, ready for JSON
    sequence = tokens.flatten_voice(codes)         # int64 [frames × stages]
    codes = tokens.unflatten_voice(sequence)
    data = tokens.CodeDataset("recordings/")       # a torch Dataset of codes, read when asked for

Token 0 of a voice's stage is null: the frame has no more stages. Codes of pictures are whole
numbers of quantiser steps around 0. Arrays may be tensors everywhere; what comes back is an array.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.arguments import as_array, check_types
from luxvox.errors import UsageError
from luxvox.models.cards import preferred_folder, use_weights

if TYPE_CHECKING:
    import torch

    from luxvox.entropy.picture.prediction import LatticeCodes

Numbers: TypeAlias = "NDArray[Any] | torch.Tensor"

KINDS = ("picture", "voice")


def vocabulary(kind: str) -> dict[str, Any]:
    """Return the vocabulary of the codes of a kind, as a JSON object.

    Args:
        kind: `picture` or `voice`; of the newest weights that are installed.

    Raises:
        UsageError: if there is no such kind.
        ModelError: if no intact weights are installed.
    """
    if kind == "picture":
        return _picture_vocabulary()
    if kind == "voice":
        return _voice_vocabulary()
    raise UsageError(f"kind {kind!r} is unknown, legal: {', '.join(KINDS)}")


def _picture_vocabulary() -> dict[str, Any]:
    from luxvox.entropy.picture.layers import CODE_MAX
    from luxvox.models.picture.conditions import LEVELS, STRIDES
    from luxvox.models.picture.weights import picture_codec

    codec = picture_codec()
    levels = [
        {
            "name": level,
            "stride_pixels": STRIDES[level],
            "channels": codec.model.config.n_channels(level),
            "codes_per_pixel": codec.model.config.n_channels(level) / STRIDES[level] ** 2,
        }
        for level in LEVELS
    ]
    return {
        "kind": "picture",
        "model": codec.card.number,
        "levels": levels,
        "min": -CODE_MAX,
        "max": CODE_MAX,
        "null": 0,
        "meaning": "whole quantiser steps; what a step is follows from quality and tuning",
    }


def _voice_vocabulary() -> dict[str, Any]:
    from luxvox.models.voice.weights import voice_codec
    from luxvox.timeline import CODED_RATE_HZ, FRAME_SAMPLES

    codec = voice_codec(None)
    config = codec.model.config
    return {
        "kind": "voice",
        "model": codec.card.number,
        "stages": config.n_stages,
        "size_of_a_stage": config.codebook_size,
        "frames_per_second": CODED_RATE_HZ / FRAME_SAMPLES,
        "sample_rate_hz": CODED_RATE_HZ,
        "null": 0,
        "meaning": "codeword of a residual stage; null ends its frame",
    }


def flatten_voice(codes: Numbers) -> NDArray[np.int64]:
    """Lay codes [stages, frames] out frame by frame, stages in their order.

    Returns:
        int64 [frames × stages]; stage s has the tokens s · 1024 … s · 1024 + 1023.

    Raises:
        UsageError: if the shape or a code is not legal.
    """
    codes, size = _whole_numbers("codes", codes), _codebook_size()
    if codes.ndim != 2:
        raise UsageError(f"codes of shape {codes.shape}, legal: [stages, frames]")
    _check_range("codes", codes, 0, size - 1)
    offsets = np.arange(len(codes)) * size
    tokens: NDArray[np.int64] = (codes.T + offsets).ravel()
    return tokens


def unflatten_voice(tokens: Numbers, n_stages: int | None = None) -> NDArray[np.uint16]:
    """Undo `flatten_voice`.

    Args:
        tokens: whole numbers [frames × stages], complete frames.
        n_stages: of a frame; all that the model has by default.

    Raises:
        UsageError: if tokens are not whole frames, or one is not of the stage of its position.
    """
    check_types(n_stages=n_stages)
    tokens, size = _whole_numbers("tokens", tokens), _codebook_size()
    stages = vocabulary("voice")["stages"] if n_stages is None else n_stages
    if stages < 1:
        raise UsageError(f"{stages} stages, legal: 1 or more")
    if tokens.ndim != 1 or len(tokens) % stages:
        raise UsageError(f"tokens of shape {tokens.shape}, legal: a multiple of {stages} of them")
    codes = tokens.reshape(-1, stages).T - (np.arange(stages) * size)[:, None]
    if codes.size and not (codes.min() >= 0 and codes.max() < size):
        raise UsageError("a token is not of the stage of its position")
    whole: NDArray[np.uint16] = codes.astype(np.uint16)
    return whole


def flatten_picture(
    codes: Mapping[str, LatticeCodes] | Mapping[str, torch.Tensor],
) -> NDArray[np.int64]:
    """Lay the codes of a picture out from the coarsest level to the finest.

    Within a level row by row, within a cell channel by channel.

    Returns:
        int64 [codes].

    Raises:
        UsageError: if a level is missing, or its shape or a code is not legal.
    """
    from luxvox.entropy.picture.layers import CODE_MAX
    from luxvox.models.picture.conditions import LEVELS

    if not isinstance(codes, Mapping) or set(codes) != set(LEVELS):
        raise UsageError(f"expected the codes of a picture by level: {', '.join(LEVELS)}")
    arrays = [_whole_numbers(level, codes[level]) for level in LEVELS]
    for level, array in zip(LEVELS, arrays, strict=True):
        if array.ndim != 3:
            raise UsageError(f"{level} of shape {array.shape}, legal: [channels, height, width]")
        _check_range(level, array, -CODE_MAX, CODE_MAX)
    parts = [array.transpose(1, 2, 0).ravel() for array in arrays]
    tokens: NDArray[np.int64] = np.concatenate(parts)
    return tokens


def unflatten_picture(tokens: Numbers, height: int, width: int) -> dict[str, NDArray[np.int16]]:
    """Undo `flatten_picture` for a picture of a size in pixels.

    Raises:
        UsageError: if there are more or fewer tokens than such a picture has, or one is no code.
    """
    from luxvox.entropy.picture.layers import CODE_MAX
    from luxvox.models.picture.tiling import grid_shapes

    check_types(height=height, width=width)
    if min(height, width) < 1:
        raise UsageError(f"{width}×{height} pixels, legal: sides of at least 1")
    tokens = _whole_numbers("tokens", tokens)
    _check_range("tokens", tokens, -CODE_MAX, CODE_MAX)
    levels = {level["name"]: level["channels"] for level in vocabulary("picture")["levels"]}
    shapes = {level: (*grid_shapes(height, width)[level], n) for level, n in levels.items()}
    sizes = {level: math.prod(shape) for level, shape in shapes.items()}
    array = as_array("tokens", tokens)
    if array.shape != (sum(sizes.values()),):
        legal = f"[{sum(sizes.values())}] for {width}×{height} pixels"
        raise UsageError(f"tokens of shape {array.shape}, legal: {legal}")
    codes, offset = {}, 0
    for level, shape in shapes.items():
        part = array[offset : offset + sizes[level]]
        codes[level] = part.reshape(shape).transpose(2, 0, 1).astype(np.int16)
        offset += sizes[level]
    return codes


class CodeDataset:
    """The codes of `.lvx` files, each read when it is asked for.

    `torch.utils.data.DataLoader` takes it as a data set, also with several workers.

    Args:
        files: a folder, which is searched with all its subfolders, or paths of files.
        transform: applied to the codes of a file, such as `flatten_voice`.

    Raises:
        UsageError: if there are no files, or a single name is not that of a folder.

    Files are decoded with the weights that are in use where the data set is made.
    """

    def __init__(
        self,
        files: str | Path | Iterable[str | Path],
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if not isinstance(files, str | os.PathLike):
            self.paths = [Path(file) for file in files]
        elif os.path.isdir(files):
            self.paths = sorted(_files_below(files))
        else:
            raise UsageError(f"{os.fspath(files)}: not a folder; name files in a list")
        self.transform = transform
        self._weights = preferred_folder()  # which worker processes do not inherit
        if not self.paths:
            raise UsageError(f"{files}: no .lvx files")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        from luxvox.codec.lvx import codes

        own = contextlib.nullcontext() if self._weights is None else use_weights(self._weights)
        with own:
            found = codes(self.paths[index].read_bytes())
        return found if self.transform is None else self.transform(found)


def _files_below(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the `.lvx` files in a folder and below it; a folder that cannot be read is an error."""

    def refuse(error: OSError) -> None:
        raise UsageError(f"{error.filename}: cannot be read: {error.strerror}") from error

    for parent, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(parent, name) for name in names if name.lower().endswith(".lvx"))


def _whole_numbers(name: str, values: Any) -> NDArray[np.int64]:
    array = as_array(name, values)
    if array.dtype.kind not in "iu":
        raise UsageError(f"{name} of {array.dtype}, legal: whole numbers")
    return array.astype(np.int64)


def _check_range(name: str, array: NDArray[Any], low: int, high: int) -> None:
    if array.size and not low <= int(array.min()) <= int(array.max()) <= high:
        raise UsageError(f"{name} are out of range, legal: {low}..{high}")


def _codebook_size() -> int:
    size: int = vocabulary("voice")["size_of_a_stage"]
    return size
