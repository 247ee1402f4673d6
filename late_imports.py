"""Modules that are imported by the first call that needs them, so that a fork does no harm.

While a thread imports a module it holds the module's lock. A child forked in the meantime inherits
the lock, but not the thread, and would wait for it for ever. So a fork waits for these imports.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Final

from luxvox.errors import SystemFailure

TO_READ_PICTURES: Final = (
    "luxvox.codec.picture.decoding",
    "luxvox.entropy.coders",
    "luxvox.torch_state",
)
FOR_PICTURES: Final = (
    "luxvox.codec.picture.encoding",
    "luxvox.codec.picture.inputs",
    "luxvox.codec.picture.rates",
    *TO_READ_PICTURES,
)
FOR_VOICES: Final = (
    "luxvox.codec.voice.encoding",
    "luxvox.codec.voice.decoding",
    "luxvox.codec.voice.inputs",
    "luxvox.codec.voice.recordings",
    "luxvox.models.voice.tiling",
    "luxvox.models.voice.weights",
    "luxvox.torch_state",
)

# Hooks before a fork run in the reverse order. Modules take the lock of `logging` while they are
# imported, so a fork must take this lock before that one: it is registered after it.
logging.getLogger(__name__)
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )
_loaded: set[tuple[str, ...]] = set()


@contextlib.contextmanager
def no_fork_meanwhile() -> Iterator[None]:
    """Make forks, and other such blocks, wait until the block has ended.

    One lock guards everything that a fork must not find half done. With two, a fork could take
    one while the thread that holds the other waits for it.
    """
    with _lock:
        yield


def load(*names: str) -> None:
    """Import modules; each set of them only the first time.

    Raises:
        SystemFailure: as `module`.
    """
    _check_folder()
    if names not in _loaded:
        with no_fork_meanwhile():
            for name in names:
                importlib.import_module(name)
            _loaded.add(names)


def module(name: str) -> ModuleType:
    """Import a module and return it.

    Raises:
        SystemFailure: the current folder has been deleted; there torch's library MKL ends the
            process.
    """
    _check_folder()
    with no_fork_meanwhile():
        return importlib.import_module(name)


def _check_folder() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise SystemFailure("the current folder has been deleted; go to another") from None
