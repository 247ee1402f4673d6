"""Torch as luxvox expects it, whatever the rest of the process has set.

Default type and device, autocast, inference mode, gradients and the precision of products are
settings of a thread or of the whole process. Networks that are built or run under other settings
fail, or give other codes and pixels. So each public function works under the usual settings, and
leaves those of its caller as they were.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np
import torch

Item = TypeVar("Item")

# What NumPy does by default; a caller may have asked for exceptions.
_NUMPY_USUAL: Final[dict[str, Any]] = {
    "divide": "warn",
    "over": "warn",
    "under": "ignore",
    "invalid": "warn",
}


@contextlib.contextmanager
def usual_state() -> Iterator[None]:
    """Let torch and NumPy work as they do in a fresh process, within the block."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(np.errstate(**_NUMPY_USUAL))
        for setting in _OF_PROCESS:
            stack.enter_context(setting.usual())
        if getattr(_thread, "was_forked", False):
            stack.enter_context(_one_thread())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(True))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def steps_in_usual_state(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items, each made under the usual settings, while the caller keeps its own between."""
    source = iter(items)
    end = object()
    while True:
        with usual_state():
            item: Any = next(source, end)
        if item is end:
            return
        yield item


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute in this thread alone, which in a forked child must not wait for others.

    OpenMP's team is of the thread that forked. The child inherits the team, but not its threads.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


@dataclass
class _ProcessSetting:
    """A setting that all threads share: the usual one as long as any thread needs it.

    The first thread that enters notes the caller's value, the last one that leaves puts it back,
    unless somebody has set another one meanwhile.
    """

    get: Callable[[], Any]
    put: Callable[[Any], object]
    usual_values: tuple[Any, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)
    n_inside: int = 0
    found: list[Any] = field(default_factory=list)

    @contextlib.contextmanager
    def usual(self) -> Iterator[None]:
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
        if self.found and self.get() in self.usual_values:
            self.put(self.found[0])
        self.found = []

    def after_fork(self) -> None:
        """Forget the threads that a child process does not have."""
        self.lock = threading.Lock()
        self.n_inside = 0
        self.put_back()


def _precision_of(backend: Any) -> _ProcessSetting:
    """Return the setting that lets one backend multiply float32 in fewer bits."""

    def get() -> Any:
        return backend.fp32_precision

    def put(value: Any) -> None:
        backend.fp32_precision = value

    return _ProcessSetting(get, put, ("ieee", "none"))


def _precisions() -> list[_ProcessSetting]:
    mkldnn: Any = torch.backends.mkldnn
    if hasattr(mkldnn, "matmul"):
        return [_precision_of(backend) for backend in (mkldnn.matmul, mkldnn.conv, _cuda.matmul)]
    get, put = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    return [_ProcessSetting(get, put, ("highest",))]


_cuda: Any = torch.backends.cuda
_OF_PROCESS: Final = (
    _ProcessSetting(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    *_precisions(),
)


_thread = threading.local()


def _after_fork() -> None:
    _thread.was_forked = True
    for setting in _OF_PROCESS:
        setting.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
