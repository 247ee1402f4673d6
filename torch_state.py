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
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import numpy as np
import torch

from luxvox.process_setting import ProcessSetting

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
            stack.enter_context(one_thread())
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
def one_thread() -> Iterator[None]:
    """Let torch compute in this thread alone, within the block.

    Sums then have one order. A forked child needs it, too: it inherits the team that OpenMP keeps
    for the thread that forked, but not the threads of the team, and would wait for them.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _precision_of(backend: Any) -> ProcessSetting:
    """Return the setting that lets one backend multiply float32 in fewer bits."""

    def get() -> Any:
        return backend.fp32_precision

    def put(value: Any) -> None:
        backend.fp32_precision = value

    return ProcessSetting(get, put, ("ieee", "none"))


def _precisions() -> list[ProcessSetting]:
    mkldnn: Any = torch.backends.mkldnn
    if hasattr(mkldnn, "matmul"):
        return [_precision_of(backend) for backend in (mkldnn.matmul, mkldnn.conv, _cuda.matmul)]
    get, put = torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
    return [ProcessSetting(get, put, ("highest",))]


_cuda: Any = torch.backends.cuda
_OF_PROCESS: Final = (
    ProcessSetting(torch.get_default_dtype, torch.set_default_dtype, (torch.float32,)),
    *_precisions(),
)


_thread = threading.local()


def _after_fork() -> None:
    _thread.was_forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
