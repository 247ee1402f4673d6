"""Permissions, owner and times that an output takes over from its input."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ALL: Final = 0o777
_OWNER: Final = 0o700
_GROUP: Final = 0o070


@dataclass(frozen=True)
class Attributes:
    """What is known about a file before it is written.

    Attributes:
        mode: permissions; None for those that new files usually get.
        owner: user and group; None for those of the process.
        times_ns: of the last access and the last modification; None for the time of writing.
    """

    mode: int | None = None
    owner: tuple[int, int] | None = None
    times_ns: tuple[int, int] | None = None

    @property
    def is_usual(self) -> bool:
        """Return whether the file gets the permissions that new files usually get."""
        return self.mode is None

    def put_on(self, descriptor: int) -> None:
        """Set owner and permissions of an open file, as far as the system allows it."""
        if self.mode is None or not hasattr(os, "fchown"):
            return
        mode = self.mode
        if self.owner is not None and not _has_group(descriptor, self.owner):
            # The process's group must not get the permissions of the input's group.
            mode &= ~_GROUP | (mode & 0o007) << 3
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, mode)

    def put_times_on(self, path: Path) -> None:
        """Set the times of a closed file, as far as the system allows it."""
        if self.times_ns is not None:
            with contextlib.suppress(OSError):
                os.utime(path, ns=self.times_ns)


def attributes_for(old: os.stat_result | None, like: str | None) -> Attributes:
    """Determine the attributes of an output.

    Args:
        old: of the file that is replaced, if any: its owner and permissions stay.
        like: path of the input. It gives the times. A new file takes over its owner and
            permissions; one that is replaced must not become readable by more people than it.
    """
    source = _regular(like)
    times = None if source is None else (source.st_atime_ns, source.st_mtime_ns)
    model = old or source
    if model is None:
        return Attributes()
    mode = stat.S_IMODE(model.st_mode) & _ALL
    if old is not None and source is not None:
        mode &= source.st_mode | _OWNER
    return Attributes(mode, (model.st_uid, model.st_gid), times)


def _regular(path: str | None) -> os.stat_result | None:
    """Return what the system knows of a file; None for pipes, and for files that do not exist."""
    if path is None:
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _has_group(descriptor: int, owner: tuple[int, int]) -> bool:
    """Give a file its owner, or at least its group; return whether it then has that group."""
    for user in (owner[0], -1):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, user, owner[1])
            return True
    return os.fstat(descriptor).st_gid == owner[1]
