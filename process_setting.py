"""Settings that all threads of a process share: set as luxvox needs them, then restored."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ProcessSetting:
    """A setting that all threads share: the usual one as long as any thread needs it.

    The first thread to enter notes the caller's value; the last one to leave puts it back, unless
    somebody has set another one in the meantime.
    """

    get: Callable[[], Any]
    put: Callable[[Any], object]
    usual_values: tuple[Any, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_inside: int = 0
    found: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.after_fork)

    @contextlib.contextmanager
    def usual(self) -> Iterator[None]:
        """Let the setting be the usual one within the block."""
        with self.lock:
            now = self.get()
            if now not in self.usual_values:
                self.found = [now]
                self.put(self.usual_values[0])
            self.n_inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_inside -= 1
                if self.n_inside == 0:
                    self.put_back()

    def put_back(self) -> None:
        """Set the caller's value again, unless somebody has set another one in the meantime."""
        if self.found and self.get() in self.usual_values:
            self.put(self.found[0])
        self.found = []

    def after_fork(self) -> None:
        """Forget the threads that a child process does not have."""
        self.lock = threading.Lock()
        self.n_inside = 0
        self.put_back()
