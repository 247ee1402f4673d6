"""What the processor can do."""

from __future__ import annotations

import functools
import platform

import torch


@functools.cache
def has_bfloat16() -> bool:
    """Return whether the processor has units that multiply bfloat16 (AVX-512 BF16 or AMX)."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    # torch 2.4 lacks these functions.
    names = "_is_avx512_bf16_supported", "_is_amx_tile_supported"
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in names)
