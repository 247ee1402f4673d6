"""Files and pipes: read whole, written whole or not at all, and how outputs are named.

`-` is standard input or output. A file appears under its name only when all of it is on the disk;
whatever goes wrong, or Ctrl-C, leaves neither a part of it nor a trace.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from luxvox.errors import SystemFailure, UsageError

PIPE = "-"
COMPRESSED_ENDING = ".lvx"


def read(source: str) -> bytes:
    """Read a file, or standard input for `-`, to its end.

    Raises:
        UsageError: standard input is a terminal.
        SystemFailure: the file cannot be read.
    """
    if source == PIPE:
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; pipe a file into it or name one")
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise SystemFailure(f"cannot be read: {reason(error)}") from error


def peek(source: str, n_bytes: int) -> bytes:
    """Return the first bytes of a file; none of standard input, which cannot be read twice.

    Raises:
        SystemFailure: the file cannot be read.
    """
    if source == PIPE:
        return b""
    try:
        if not Path(source).is_file():  # of a named pipe, too, they would be gone
            return b""
        with Path(source).open("rb") as stream:
            return stream.read(n_bytes)
    except OSError as error:
        raise SystemFailure(f"cannot be read: {reason(error)}") from error


def write(target: str, data: bytes, overwrite: bool = False) -> None:
    """Write a file in one move, or to standard output for `-`.

    Args:
        target: path, or `-`. Devices and named pipes are written to directly.
        data: all of the file.
        overwrite: whether a file of that name may be replaced.

    Raises:
        UsageError, SystemFailure, BrokenPipeError: as `opened`.
    """
    with opened(target, overwrite) as stream:
        write_all(stream, data)


@contextlib.contextmanager
def opened(target: str, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file that appears in one move at the end of the block, or standard output for `-`.

    If the block raises, nothing is left of the file.

    Raises:
        UsageError: the file exists, or standard output is a terminal.
        SystemFailure: the disk is full, the folder unwritable or missing.
        BrokenPipeError: the reader of standard output has gone.
    """
    check_target(target, overwrite)
    if target == PIPE:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _opened_path(Path(os.path.realpath(target))) as stream:
            yield stream
    except OSError as error:
        raise SystemFailure(f"{target} cannot be written: {reason(error)}") from error


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all bytes; under PYTHONUNBUFFERED one call may write a part only."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def check_target(target: str, overwrite: bool = False) -> None:
    """Refuse a target that `write` would refuse, before any work is done for it.

    Raises:
        UsageError: the file exists and may not be replaced, or standard output is a terminal.
        SystemFailure: the folder does not exist.
    """
    if target == PIPE:
        if sys.stdout.isatty():
            raise UsageError(
                "binary data is not written to a terminal; name a file with -o, or redirect it"
            )
        return
    path = Path(target)
    if path.is_dir():
        raise UsageError(f"{target} is a folder")
    if path.exists() and not overwrite and not _is_special(path):
        raise UsageError(f"{target} exists; name another with -o, or replace it with -f")
    if not path.parent.is_dir():
        raise SystemFailure(f"{target} cannot be written: there is no folder {path.parent}")


def name_outputs(sources: Sequence[str], output: str | None, endings: Sequence[str]) -> list[str]:
    """Name the file that each input becomes.

    Without `output` it stands beside its input, `photo.png` becoming `photo` and the ending;
    standard input goes to standard output. A folder as `output` takes them all.

    Args:
        sources: paths of the inputs, or `-`.
        output: path of a file (for one input), of a folder, `-`, or None.
        endings: ending of each output, with its dot.

    Returns:
        One path or `-` per input.

    Raises:
        UsageError: several inputs for one output, or standard input for a folder.
    """
    if output is None or _names_folder(output):
        pairs = zip(sources, endings, strict=True)
        return [_default_name(source, output, ending) for source, ending in pairs]
    if len(sources) > 1:
        raise UsageError(f"{len(sources)} inputs need a folder as output, not {output}")
    return [output]


def find_clashes(sources: Sequence[str], targets: Sequence[str]) -> dict[int, str]:
    """Find the jobs whose output would replace an input or an earlier output of the same command.

    Args:
        sources: paths of the inputs, or `-`.
        targets: the output of each.

    Returns:
        What is wrong, by the position of the job.
    """
    inputs = {os.path.realpath(source) for source in sources if source != PIPE}
    taken: dict[str, str] = {}
    clashes: dict[int, str] = {}
    for position, (source, target) in enumerate(zip(sources, targets, strict=True)):
        place = target if target == PIPE else os.path.realpath(target)
        if place in inputs:
            clashes[position] = f"{target} is also an input, and inputs are kept; use -o"
        elif place in taken:
            clashes[position] = f"{target} is already the output of {taken[place]}; use -o"
        taken.setdefault(place, source)
    return clashes


def reason(error: OSError) -> str:
    """Say why the system refused, without the path and the number."""
    return error.strerror or str(error) or type(error).__name__


def _names_folder(output: str) -> bool:
    return output != PIPE and (output.endswith(("/", os.sep)) or os.path.isdir(output))


def _default_name(source: str, folder: str | None, ending: str) -> str:
    if source == PIPE:
        if folder is None:
            return PIPE
        raise UsageError(f"standard input has no name to keep in the folder {folder}")
    path = Path(source)
    # photo.png becomes photo.lvx and photo.lvx photo.png, but photo.bak becomes photo.bak.png.
    replaces = path.suffix and COMPRESSED_ENDING in (ending, path.suffix)
    named = path.with_suffix(ending) if replaces else Path(f"{path}{ending}")
    return str(named if folder is None else Path(folder) / named.name)


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


@contextlib.contextmanager
def _opened_path(path: Path) -> Iterator[BinaryIO]:
    if _is_special(path):
        with path.open("wb") as stream:
            yield stream
        return
    part = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:  # Ctrl-C too
        part.unlink(missing_ok=True)
        raise
