"""Files at URLs: in buckets, on web servers, in memory. fsspec does the work (`luxvox[remote]`).

A file appears at its URL whole or not at all: buckets take it in a single request, or in parts that
they join at the end; elsewhere it gets another name first. Requests are repeated as the packages of
fsspec do it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final
from urllib.parse import unquote

from luxvox.errors import LuxvoxError, SystemFailure, UsageError

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # a single letter is a drive
_WEB: Final = ("http", "https")
_LOCAL: Final = ("file", "local")
# Objects of these appear when their upload has ended, and can be made without replacing others.
_BUCKETS: Final = ("s3", "s3a", "gs", "gcs")

_EXTRA: Final = "'luxvox[remote]'"
_PACKAGES: Final = {
    **dict.fromkeys(("s3", "s3a", "http", "https"), _EXTRA),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "adl", "az"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
}
_CREDENTIALS: Final = {
    **dict.fromkeys(
        ("s3", "s3a"), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run: aws configure"
    ),
    **dict.fromkeys(("gs", "gcs"), "run: gcloud auth application-default login"),
}
_TIMES: Final = ("LastModified", "last_modified", "mtime", "updated", "created")


def is_url(path: str) -> bool:
    """Return whether a path is a URL, such as `s3://bucket/photo.png`."""
    return _SCHEME.match(path) is not None


def is_web(url: str) -> bool:
    """Return whether a URL is a web page's, which has no neighbours and cannot be written."""
    return _scheme(url) in _WEB


def is_of_this_process(url: str) -> bool:
    """Return whether a URL is in this process's memory, where others find nothing."""
    return _scheme(url) == "memory"


def split(url: str) -> tuple[str, PurePosixPath]:
    """Return the beginning of a URL (`s3://`) and the path after it.

    What follows the path in the address of a web page, such as a signature, is not part of a name.
    """
    rest = url[len(_scheme(url)) + len("://") :]
    if is_web(url):
        rest = unquote(re.split("[?#]", rest, maxsplit=1)[0])
    return f"{_scheme(url)}://", PurePosixPath(rest)


def identity(url: str) -> str:
    """Return what the URLs of one file have in common: `memory://a` and `memory:///a`, say.

    A file on the disk has its path.
    """
    scheme = _scheme(url)
    rest = url[len(scheme) + len("://") :]
    if scheme in _LOCAL:
        return unquote(rest).removeprefix("localhost") if scheme == "file" else rest
    return f"{scheme}://{rest.lstrip('/') if scheme == 'memory' else rest}"


def is_local(url: str) -> bool:
    """Return whether a URL names a file on this machine's disk."""
    return _scheme(url) in _LOCAL


def read(url: str) -> bytes:
    """Read a file.

    Raises:
        UsageError: there are no such URLs.
        SystemFailure: the file, a package or credentials are missing, or the server refuses.
    """
    with _file_system(url, "cannot be read") as (system, path):
        data: bytes = system.cat_file(path)
    return data


def peek(url: str, n_bytes: int) -> bytes:
    """Return the first bytes of a file; raises as `read` does."""
    with _file_system(url, "cannot be read") as (system, path):
        try:
            head: bytes = system.cat_file(path, start=0, end=n_bytes)
        except OSError:
            if system.size(path) != 0:  # an empty file has no such range
                raise
            return b""
    return head[:n_bytes]  # some servers send all of it


@contextlib.contextmanager
def open_output(url: str, overwrite: bool) -> Iterator[BinaryIO]:
    """Open a file on the disk that is uploaded at the end of the block, if nothing was raised.

    Raises:
        UsageError: a file of that name was created in the meantime, unless `overwrite`.
        SystemFailure: the upload failed; nothing is left of it.
    """
    with tempfile.TemporaryDirectory(prefix="luxvox-") as folder:
        # The ending tells the server the type of the content.
        local = Path(folder, "output").with_suffix(split(url)[1].suffix)
        with local.open("w+b") as stream:
            yield stream
        with _file_system(url, f"{url} cannot be written") as (system, path):
            try:
                _upload(system, local, path, overwrite)
            except FileExistsError:
                raise UsageError(f"{url} was created in the meantime; replace it with -f") from None


def _upload(system: Any, local: Path, path: str, overwrite: bool) -> None:
    protocols = {system.protocol} if isinstance(system.protocol, str) else {*system.protocol}
    if protocols & {*_BUCKETS}:
        system.put_file(str(local), path, mode="overwrite" if overwrite else "create")
        return
    folder = path.rpartition("/")[0]
    part = f"{folder}/.luxvox-{secrets.token_hex(8)}.part"
    system.makedirs(folder, exist_ok=True)
    try:
        system.put_file(str(local), part)
        if not overwrite and system.exists(path):
            raise FileExistsError(path)
        system.mv(part, path)
    except BaseException:  # Ctrl-C too
        with contextlib.suppress(Exception):
            system.rm_file(part)
        raise


def check_target(url: str, overwrite: bool = False) -> None:
    """Refuse a URL that `open_output` would refuse, before any work is done for it.

    Raises:
        UsageError: there is a folder, or a file that may not be replaced, or it is a web page.
        SystemFailure: there is no such bucket, a package or credentials are missing.
    """
    if is_web(url):
        raise UsageError(f"{url} cannot be written to; name a file or folder with -o")
    with _file_system(url, f"{url} cannot be written") as (system, path):
        system.invalidate_cache()
        try:
            kind = system.info(path)["type"]
        except FileNotFoundError as error:
            if _lacks_bucket(error):
                raise
            return
    if kind == "directory":
        raise UsageError(f"{url} is a folder")
    if not overwrite:
        raise UsageError(f"{url} exists; name another with -o, or replace it with -f")


def is_folder(url: str) -> bool:
    """Return whether there are files below a URL; web servers have no folders."""
    if is_web(url):
        return False
    with _file_system(url, f"{url} cannot be read") as (system, path):
        system.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            return bool(system.info(path)["type"] == "directory")
    return False


def is_pattern(url: str) -> bool:
    """Return whether a URL has a `*` that stands for any characters of a name."""
    return "*" in url and not is_web(url)


def files_in(url: str, is_recursive: bool) -> list[str]:
    """Return the URLs of the files in a folder, or of all below it, sorted by name.

    Names that begin with a dot, and keys that are not relative paths, are left out: the output for
    such a key could land anywhere.
    """
    beginning, folder = split(url)
    with _file_system(url, f"{url} cannot be read") as (system, path):
        system.invalidate_cache()
        root = path.rstrip("/") + "/"
        found = system.find(path, maxdepth=None if is_recursive else 1)
        names = [name.removeprefix(root) for name in found if name.startswith(root)]
    plain = sorted(name for name in names if all(map(_is_plain, name.split("/"))))
    return [f"{beginning}{folder / name}" for name in plain]


def matches(url: str) -> list[str]:
    """Return the URLs of the files that a pattern stands for, sorted by name."""
    with _file_system(url, f"{url} cannot be read") as (system, path):
        system.invalidate_cache()
        found = sorted(system.glob(path))
    return [f"{split(url)[0]}{name}" for name in found]


def _is_plain(part: str) -> bool:
    is_path_elsewhere = os.name == "nt" and ("\\" in part or ":" in part)
    return bool(part) and not part.startswith(".") and not is_path_elsewhere


def remove(url: str) -> None:
    """Delete a file.

    Raises:
        SystemFailure: it cannot be deleted.
    """
    with _file_system(url, "cannot be deleted") as (system, path):
        system.rm_file(path)


def times_in(url: str) -> dict[str, float]:
    """Return when the files next to a URL were last modified, by URL, in seconds since 1970.

    Where a server does not tell, a file counts as infinitely old.
    """
    beginning, name = split(url)
    with _file_system(url, "cannot be read") as (system, path):
        system.invalidate_cache()
        try:
            entries = system.ls(path.rpartition("/")[0], detail=True)
        except FileNotFoundError as error:
            if _lacks_bucket(error):
                raise
            return {}
    return {
        f"{beginning}{name.with_name(entry['name'].rpartition('/')[2])}": _time_of(entry)
        for entry in entries
        if entry["type"] == "file"
    }


def _time_of(entry: dict[str, Any]) -> float:
    for key in _TIMES:
        value = entry.get(key)
        if isinstance(value, str) and value:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return float("-inf")


def _scheme(url: str) -> str:
    match = _SCHEME.match(url)
    return match[1].lower() if match else ""


@contextlib.contextmanager
def _file_system(url: str, failed: str) -> Iterator[tuple[Any, str]]:
    """Find the file system of a URL, and the path there; what it raises becomes one line.

    Args:
        url: of a file or folder.
        failed: what cannot be done, for the message.
    """
    try:
        fsspec = importlib.import_module("fsspec")
    except ImportError as error:
        raise SystemFailure(f"URLs need fsspec: pip install {_EXTRA}") from error
    try:
        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        package = _PACKAGES.get(_scheme(url))
        remedy = f"pip install {package}" if package else str(error)
        raise SystemFailure(f"{_scheme(url)}:// needs another package: {remedy}") from error
    except ValueError as error:
        raise UsageError(f"{url} cannot be used: {error}") from error
    try:
        yield system, path
    except (LuxvoxError, MemoryError, FileExistsError):
        raise
    except Exception as error:  # every service has exceptions of its own
        raise SystemFailure(f"{failed}: {_reason(error, url)}") from error


def _reason(error: Exception, url: str) -> str:
    """Say in one line why a server, or the package that talks to it, refused."""
    scheme = _scheme(url)
    if "Credential" in type(error).__name__:
        remedy = f"; {_CREDENTIALS[scheme]}" if scheme in _CREDENTIALS else ""
        return f"no credentials for {scheme}:// are found{remedy}"
    if isinstance(error, FileNotFoundError):
        if _lacks_bucket(error):
            return f"there is no bucket {split(url)[1].parts[0]}"
        return "there is no such file"
    if isinstance(error, NotImplementedError):
        return f"{scheme}:// does not allow it"
    # The system's own errors repeat the path.
    words = getattr(error, "strerror", None) if type(error).__module__ == "builtins" else None
    return " ".join(str(words or error).split()) or type(error).__name__


def _lacks_bucket(error: FileNotFoundError) -> bool:
    return "bucket does not exist" in str(error)
