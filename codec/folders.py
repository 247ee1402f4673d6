"""Folders and the files in them: made, found, dated and deleted, on the disk and at URLs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from luxvox.codec import files, remote
from luxvox.errors import SystemFailure


def is_folder(path: str) -> bool:
    """Return whether a path or a URL names a folder.

    Raises:
        UsageError, SystemFailure: as `remote.read`, for a URL.
    """
    return remote.is_folder(path) if remote.is_url(path) else os.path.isdir(path)


def make_folder(path: str) -> None:
    """Make a folder and its parents, if they are missing; at URLs uploads make their own.

    Raises:
        OSError: it cannot be made.
    """
    if not remote.is_url(path):
        Path(path).mkdir(parents=True, exist_ok=True)


def make_folder_of(path: str) -> None:
    """Make the folder that a file goes into; see `make_folder`."""
    if not remote.is_url(path):
        make_folder(os.path.dirname(path) or os.curdir)


def remove(path: str) -> None:
    """Delete a file, on the disk or at a URL.

    Raises:
        SystemFailure: it cannot be deleted.
    """
    if remote.is_url(path):
        remote.remove(path)
        return
    try:
        os.unlink(path)
    except OSError as error:
        raise SystemFailure(f"cannot be deleted: {files.reason(error)}") from error


class ModificationTimes:
    """When files were last modified; of URLs each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[str, dict[str, float]] = {}

    def of(self, path: str) -> float:
        """Return the time in seconds since 1970; −∞ where a server does not tell it.

        Raises:
            OSError: there is no such file.
            UsageError, SystemFailure: as `remote.read`, for a URL.
        """
        if not remote.is_url(path):
            return os.stat(path).st_mtime
        if remote.is_web(path):
            return float("-inf")
        folder = path.rpartition("/")[0]
        if folder not in self._listed:
            self._listed[folder] = remote.times_in(path)
        times = self._listed[folder]
        if path not in times:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return times[path]
