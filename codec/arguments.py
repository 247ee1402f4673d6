"""Arguments of the public functions: checked once, refused with one clear error.

An argument's name means the same in all public functions, so each name has one rule.
"""

from __future__ import annotations

import math
import numbers
import os
import re
import sys
from array import array
from collections.abc import Callable, Mapping
from mmap import mmap
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luxvox.codec import remote
from luxvox.errors import SystemFailure, UsageError

if TYPE_CHECKING:
    import torch

FileBytes: TypeAlias = (
    "bytes | bytearray | memoryview | mmap | array[int] | NDArray[np.uint8] "
    "| str | os.PathLike[str] | IO[bytes]"
)
"""A file: its bytes in any object that holds them in memory, its path, its URL, or an open file."""

ForeignFile: TypeAlias = (
    "bytes | bytearray | memoryview | mmap | str | os.PathLike[str] | IO[bytes]"
)
"""A picture or a recording as a file; an array is not a file but the samples themselves."""

_DEVICE: Final = re.compile(r"cpu|cuda(?::(\d{1,3}))?")
_LONGEST_SHOWN: Final = 40
_WANTED: Final = "a .lvx file is wanted: its bytes, its path, or an open file"


def check_types(**arguments: object) -> None:
    """Check the types of arguments by their names.

    Raises:
        UsageError: one is of the wrong type; the message says which, and what is legal.
    """
    for name, value in arguments.items():
        legal, fits = _RULES[name]
        if not fits(value):
            raise UsageError(f"{name} has to be {legal}, not {_describe(value)}")


def check_device(device: str) -> None:
    """Check that networks can run on a device.

    Raises:
        UsageError: there is no device of that name.
        SystemFailure: it is a GPU that this machine does not have.
    """
    check_types(device=device)
    match = _DEVICE.fullmatch(device)
    if match is None:
        raise UsageError(f"device {device!r} is unknown, legal: cpu, cuda, cuda:0 …")
    if device == "cpu":
        return
    import torch

    if int(match[1] or 0) >= torch.cuda.device_count():
        raise SystemFailure(f"device {device} is not available; use cpu")


def file_bytes(data: FileBytes) -> bytes:
    """Return the bytes of a file that a caller passes or names.

    Args:
        data: bytes, or any other object with single bytes in memory: `bytearray`, `memoryview`,
            `mmap`, a NumPy array of uint8; the path of a file or its URL (`luxvox[remote]`); or a
            file that is open for reading bytes, which is read to its end.

    Raises:
        UsageError: it is something else.
        OSError: there is no such file, or it cannot be read.
        SystemFailure: what is at the URL cannot be read.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str | os.PathLike):
        return _file_at(_path_of(data))
    buffer: Any = data
    try:
        view = memoryview(buffer)
        whole = view.tobytes() if view.itemsize == 1 else None
    except (TypeError, ValueError, BufferError):
        if hasattr(data, "read"):
            return _rest_of(buffer)
        raise UsageError(f"{_WANTED}, not {_describe(data)}") from None
    if whole is None:
        raise UsageError(f"{_WANTED}, not items of {view.itemsize} bytes")
    return whole


def _file_at(path: str) -> bytes:
    if remote.is_url(path):
        return remote.read(path)
    with open(path, "rb") as stream:
        return stream.read()


def _path_of(file: str | os.PathLike[str]) -> str:
    """Return a path as text; refuse one that no file can have, or `open` raises ValueError."""
    path = os.fsdecode(file)
    try:
        is_possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        is_possible = False
    if not is_possible:
        raise UsageError(f"no file can have the name {path!a}")
    return path


def _rest_of(stream: IO[bytes]) -> bytes:
    try:
        data: object = stream.read()
    except ValueError as error:  # it is closed, or open for writing
        raise UsageError(f"the file cannot be read from: {error}") from None
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    if not isinstance(data, bytes):
        raise UsageError("the file is open for text; open it with mode 'rb'")
    return data


def plain_number(value: float) -> float:
    """Convert a number of any type (a fraction, NumPy's) to a float; too large ones become ∞."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def is_file(value: object) -> bool:
    """Return whether an argument is a file, and not samples: `ForeignFile`."""
    if isinstance(value, memoryview):
        return value.itemsize == 1 and value.ndim == 1
    if isinstance(value, bytes | bytearray | mmap | str | os.PathLike):
        return True
    return hasattr(value, "read")


def foreign_file(file: ForeignFile) -> bytes | str:
    """Return the path of a file on the disk, or the bytes of any other.

    Raises:
        UsageError, SystemFailure: as `file_bytes`.
    """
    path = _path_of(file) if isinstance(file, str | os.PathLike) else None
    return file_bytes(file) if path is None or remote.is_url(path) else path


def is_tensor(value: object) -> bool:
    """Return whether an argument is a torch tensor; does not load torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def unstack(values: Any, n_dimensions: int) -> list[Any] | None:
    """Return the items of an array or a tensor of n dimensions; None for anything else."""
    is_stack = isinstance(values, np.ndarray) or is_tensor(values)
    return list(values) if is_stack and values.ndim == n_dimensions else None


def array_of_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    """Return a tensor's values, from any device; half-precision floats become float32."""
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    is_half = plain.is_floating_point() and plain.element_size() < 4
    values: NDArray[Any] = (plain.float() if is_half else plain).numpy()
    return values


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Convert an argument to an array; a tensor may be on any device.

    Raises:
        UsageError: NumPy cannot convert it, such as lists of different lengths.
    """
    try:
        return array_of_tensor(values) if is_tensor(values) else np.asarray(values)
    except Exception as error:  # whatever the object's own conversion raises
        reason = " ".join(str(error).split())
        raise UsageError(f"{name} cannot be converted to an array: {reason}") from None


def _describe(value: object) -> str:
    """Return the type of a value, and the value itself if it is short."""
    kind = type(value).__name__
    try:
        text = repr(value)
    except Exception:
        return kind
    return f"{kind} {text}" if len(text) <= _LONGEST_SHOWN and "\n" not in text else kind


def _is_flag(value: object) -> bool:
    return isinstance(value, bool | np.bool_)


def _is_number(value: object) -> bool:
    if not isinstance(value, numbers.Real) or _is_flag(value):
        return False
    number: Any = value
    return not math.isnan(plain_number(number))  # nothing is above NaN, so no limit would hold


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not _is_flag(value)


def _or_none(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or fits(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_Rule: TypeAlias = tuple[str, Callable[[object], bool]]
_NUMBER: Final[_Rule] = "a number", _is_number
_NUMBER_OR_NONE: Final[_Rule] = "a number", _or_none(_is_number)
_WHOLE: Final[_Rule] = "a whole number", _is_whole
_WHOLE_OR_NONE: Final[_Rule] = "a whole number", _or_none(_is_whole)
_FLAG: Final[_Rule] = "True or False", _is_flag
_TEXT: Final[_Rule] = "a string", _is_text


def _is_crop(value: object) -> bool:
    return isinstance(value, tuple | list) and len(value) == 4 and all(map(_is_whole, value))


_RULES: Final[Mapping[str, _Rule]] = {
    "quality": _NUMBER_OR_NONE,
    "bpp": _NUMBER_OR_NONE,
    "size": _NUMBER_OR_NONE,
    "psnr": _NUMBER_OR_NONE,
    "bitrate": _NUMBER_OR_NONE,
    "sample_rate": _NUMBER,
    "max_pixels": _NUMBER,
    "scale": _NUMBER,
    "crop": (
        "four whole numbers (left, top, width, height) or None",
        lambda value: value is None or _is_crop(value),
    ),
    "max_seconds": _NUMBER,
    "frames": _WHOLE,
    "whence": _WHOLE,
    "blocksize": _WHOLE,
    "n_stages": _WHOLE_OR_NONE,
    "height": _WHOLE,
    "width": _WHOLE,
    "effort": _WHOLE,
    "sections": _WHOLE_OR_NONE,
    "model": _WHOLE_OR_NONE,
    "strip": _FLAG,
    "strict": _FLAG,
    "conceal": _FLAG,
    "as_pil": _FLAG,
    "coder": _TEXT,
    "tune": _TEXT,
    "device": _TEXT,
    "progress": ("a function of the share that is done", _or_none(callable)),
}
