"""Files, pipes and URLs: read whole, written whole or not at all.

`-` is standard input or output; what is at a URL such as `s3://bucket/photo.png` is reached through
`remote`. A file appears under its name only when all of it is on the disk;
if anything goes wrong, Ctrl-C included, nothing is left of it. An output that is
made from an input takes over its permissions and its time of modification.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from luxvox.codec import remote
from luxvox.codec.attributes import Attributes, attributes_for
from luxvox.errors import SystemFailure, UsageError

PIPE: Final = "-"

# Errors from a folder in which this user, or nobody, may make a file.
_FOLDER_REFUSES: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")
_STREAMS: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}


def read(source: str) -> bytes:
    """Read a file, what is at a URL, or standard input for `-`, to its end.

    Raises:
        UsageError: standard input is a terminal.
        SystemFailure: the file cannot be read, or standard input is closed.
    """
    if source == PIPE:
        if sys.stdin is None or sys.stdin.closed:
            raise SystemFailure("standard input is closed; name a file")
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal; pipe a file into it or name one")
        return sys.stdin.buffer.read()
    if remote.is_url(source):
        return remote.read(source)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise SystemFailure(f"cannot be read: {reason(error)}") from error


def read_pipes(sources: Sequence[str]) -> dict[str, bytes]:
    """Read the named pipes among some paths, whose content must be known before their turn.

    One that cannot be read is left out; `read` will say why.
    """
    held = {}
    for source in sources:
        if source != PIPE and is_special(source):
            with contextlib.suppress(SystemFailure):
                held[source] = read(source)
    return held


def peek(source: str, n_bytes: int) -> bytes:
    """Return the first bytes of a file; none for a pipe, which cannot be read twice.

    Raises:
        SystemFailure: the file cannot be read.
    """
    if source == PIPE:
        return b""
    if remote.is_url(source):
        return remote.peek(source, n_bytes)
    try:
        if is_special(source):
            return b""
        with Path(source).open("rb") as stream:
            return stream.read(n_bytes)
    except OSError as error:
        raise SystemFailure(f"cannot be read: {reason(error)}") from error


def write(target: str, data: bytes, overwrite: bool = False, like: str | None = None) -> None:
    """Write a file in one move, or to standard output for `-`.

    Args:
        target: path, URL, or `-`. Devices and named pipes are written to directly.
        data: all of the file.
        overwrite: whether a file of that name may be replaced.
        like: path of the input that the file is made from; see `open_output`.

    Raises:
        UsageError, SystemFailure, BrokenPipeError: as `open_output`.
    """
    with open_output(target, overwrite, like) as stream:
        write_all(stream, data)


@contextlib.contextmanager
def open_output(
    target: str, overwrite: bool = False, like: str | None = None
) -> Iterator[BinaryIO]:
    """Open a file that appears in one move at the end of the block, or standard output for `-`.

    If the block raises, nothing is left of the file. A file that somebody else makes under the
    same name during the block is not replaced either, unless `overwrite`.

    Args:
        target: path, URL, or `-`. Devices and named pipes are written to directly.
        overwrite: whether a file of that name may be replaced.
        like: path of the input; a new file takes over its permissions, owner and time of
            modification. A file that is replaced keeps its own permissions, but is not readable
            by more people than the input.

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
        with _open_target(target, overwrite, like) as stream:
            yield stream
    except FileExistsError as error:
        raise UsageError(f"{target} was created in the meantime; replace it with -f") from error
    except OSError as error:
        raise SystemFailure(f"{target} cannot be written: {reason(error)}") from error


def write_all(stream: BinaryIO, data: bytes) -> None:
    """Write all bytes; under PYTHONUNBUFFERED one call may write only some of them."""
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest) :]


def check_target(target: str, overwrite: bool = False) -> None:
    """Refuse a target that `write` would refuse, before any work is done for it.

    Raises:
        UsageError: the file exists and may not be replaced, or standard output is a terminal.
        SystemFailure: the folder does not exist, the name is too long, or standard output is
            closed.
    """
    if target == PIPE:
        check_standard_output()
        if sys.stdout.isatty():
            raise UsageError(
                "binary data is not written to a terminal; name a file with -o, or redirect it"
            )
        return
    if remote.is_url(target):
        remote.check_target(target, overwrite)
        return
    path = Path(target)
    try:
        found = _stat(path)
    except OSError as error:
        raise SystemFailure(f"{target} cannot be written: {reason(error)}") from error
    if path.is_dir():
        raise UsageError(f"{target} is a folder")
    if found is not None and not overwrite and not is_special(target):
        raise UsageError(f"{target} exists; name another with -o, or replace it with -f")
    if not path.parent.is_dir():
        raise SystemFailure(f"{target} cannot be written: {_fault_of_folder(path.parent)}")


def _fault_of_folder(folder: Path) -> str:
    """Return why nothing can be written to a folder that does not exist."""
    if folder.exists():
        return f"{folder} is not a folder"
    ancestor = next(path for path in (*folder.parents, Path(os.curdir)) if path.exists())
    if ancestor.is_dir() and not os.access(ancestor, os.W_OK | os.X_OK):
        return f"no permission to make the folder {folder}"
    return f"there is no folder {folder}"


def check_standard_output() -> None:
    """Raise an error if standard output is closed.

    Raises:
        SystemFailure: it is.
    """
    if sys.stdout is None or sys.stdout.closed:
        raise SystemFailure("standard output is closed; name a file with -o")


def is_special(path: str) -> bool:
    """Return whether a path leads to a pipe or a device, which are read once and never replaced."""
    if _descriptor_of(path) is not None:
        return True
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def plain_name(path: str, number: int) -> str:
    """Return `-` for other names of standard input (0) or output (1), any other path unchanged."""
    return PIPE if _descriptor_of(path) == number else path


def reason(error: OSError) -> str:
    """Say why the system refused, without the path and the number."""
    return error.strerror or str(error) or type(error).__name__


def _descriptor_of(path: str) -> int | None:
    """Return the open file of this process that a path such as `/dev/fd/3` stands for."""
    if os.name == "nt":
        return None
    match = _DESCRIPTOR.fullmatch(path)
    return int(match[1]) if match else _STREAMS.get(path)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _open_target(
    target: str, overwrite: bool, like: str | None
) -> contextlib.AbstractContextManager[BinaryIO]:
    if remote.is_url(target):
        return remote.open_output(target, overwrite)
    return _open_path(target, overwrite, like)


@contextlib.contextmanager
def _open_path(target: str, overwrite: bool, like: str | None) -> Iterator[BinaryIO]:
    if is_special(target):
        with _open_special(target) as stream:
            yield stream
        return
    path = Path(os.path.realpath(target))
    old = _stat(path)
    attributes = attributes_for(old, like)
    # The name is short: one that holds the target's could be longer than the system takes.
    part = path.with_name(f".luxvox-{secrets.token_hex(8)}.part")
    try:
        with _create(part, old, attributes) as stream:
            yield stream
            stream.flush()
            attributes.put_on(stream.fileno())
            os.fsync(stream.fileno())
            if not part.exists():
                _write_into(path, stream, attributes)
                return
        attributes.put_times_on(part)
        _move(part, path, overwrite, attributes)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def _open_special(target: str) -> BinaryIO:
    # A descriptor is written to where it stands: opening its name again would begin at 0.
    number = _descriptor_of(target)
    return Path(target).open("wb") if number is None else os.fdopen(os.dup(number), "wb")


def _create(part: Path, old: os.stat_result | None, attributes: Attributes) -> BinaryIO:
    """Create the file to write to; where the folder refuses it, a nameless one elsewhere."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        # Nobody else may read it before it has its final permissions.
        return os.fdopen(os.open(part, flags, 0o666 if attributes.is_usual else 0o600), "w+b")
    except OSError as error:
        if old is None or error.errno not in _FOLDER_REFUSES:
            raise
        return tempfile.TemporaryFile()  # noqa: SIM115 – the caller closes it


def _move(part: Path, path: Path, overwrite: bool, attributes: Attributes) -> None:
    """Give a finished file its name; unless `overwrite`, no file that has the name is replaced."""
    if not overwrite:
        _move_to_free_name(part, path)
        return
    try:
        part.replace(path)
    except PermissionError:  # other people's files in a folder like /tmp
        with part.open("rb") as stream:
            _write_into(path, stream, attributes)
        part.unlink()


def _move_to_free_name(part: Path, path: Path) -> None:
    if os.name == "nt":
        part.rename(path)  # never replaces a file there
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("xb"):
            pass
        part.replace(path)
        return
    part.unlink()


def _write_into(path: Path, stream: BinaryIO, attributes: Attributes) -> None:
    """Copy a finished file over another, which stays the same file.

    It is made long enough first, so that a full disk is found before anything is lost.
    """
    old = path.stat()
    if old.st_nlink > 1:  # the other name may be that of an input
        raise PermissionError(errno.EACCES, "the folder cannot be written to, the file has links")
    n_bytes = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    with path.open("r+b") as target:
        if n_bytes and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(target.fileno(), 0, n_bytes)
            except OSError:
                target.truncate(old.st_size)
                raise
        attributes.put_on(target.fileno())
        shutil.copyfileobj(stream, target)
        target.truncate()
        target.flush()
        os.fsync(target.fileno())
    attributes.put_times_on(path)
