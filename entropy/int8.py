"""Products of small whole numbers, on the int8 units of a processor where these are exact.

Float32 sums of whole numbers below 2²⁴ are exact, and so are int32 sums; which of them is used only
changes the time: units for int8 (VNNI) are about four times as fast.
"""

from __future__ import annotations

import functools
import platform

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.entropy.fixed_point import rescale

MIN_ROWS = 16  # rows or terms of a sum: for fewer the conversions take longer than they save
_TRIED = ((1, 64, 16), (16, 256, 48), (17, 588, 256), (200, 768, 256))  # rows, sum, columns


def rescaled_linear(x: Tensor, weight: Tensor, bias: Tensor, shift: int) -> Tensor:
    """Return floor((x · weightᵀ + bias) / 2^shift + 1/2) [N, M], exactly.

    Gradients pass straight through the rounding.

    Args:
        x: whole numbers −127 … 127 [N, K], of a float type or a type of whole numbers.
        weight: whole numbers −127 … 127 [M, K], float.
        bias: whole numbers [M], float; no sum reaches 2²⁴ in magnitude.
        shift: 1 or more.

    Returns:
        Whole numbers, int32 from the int8 units, otherwise of the type of the weight.
    """
    if not _runs_on_units(x, weight, bias):
        return rescale(F.linear(x.to(weight.dtype), weight, bias), shift)
    half = 1 << (shift - 1)
    products = _int8_products(x, weight).add_(bias.to(torch.int32) + half)
    return products.bitwise_right_shift_(shift)


def _runs_on_units(x: Tensor, weight: Tensor, bias: Tensor) -> bool:
    learns = torch.is_grad_enabled() and any(part.requires_grad for part in (x, weight, bias))
    plain = not x.is_floating_point() or x.dtype == torch.float32
    return (
        plain
        and not learns
        and x.device.type == "cpu"
        and min(x.shape) >= MIN_ROWS
        and has_exact_int8()
    )


@functools.cache
def has_exact_int8() -> bool:
    """Return whether torch multiplies int8 matrices on this processor, quickly and exactly.

    Before VNNI, processors add pairs of products in 16 bits, which may saturate; so the largest
    values of both signs are tried.
    """
    if not hasattr(torch, "_int_mm") or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    with torch.no_grad():
        return all(_is_exact(*sizes) for sizes in _TRIED)


def _is_exact(n_rows: int, n_sum: int, n_columns: int) -> bool:
    rows = torch.arange(n_rows, device="cpu")[:, None]
    column = torch.arange(n_sum, device="cpu")
    ends = 127.0 - 254.0 * ((column >> (rows % 4)) & 1).float()  # runs of one sign
    weight = torch.full((n_columns, n_sum), 127.0, dtype=torch.float32, device="cpu")
    weight[::2] *= -1.0
    weight[1::3] = torch.arange(n_sum, dtype=torch.float32, device="cpu") % 255 - 127.0
    ends[::5] = 127.0
    try:
        products = _int8_products(ends, weight)
    except (RuntimeError, NotImplementedError):
        return False
    return torch.equal(products.double(), ends.double() @ weight.double().T)


def _int8_products(x: Tensor, weight: Tensor) -> Tensor:
    products: Tensor = torch._int_mm(x.to(torch.int8), weight.to(torch.int8).T)  # noqa: SLF001
    return products
