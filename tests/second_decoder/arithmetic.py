"""FORMAT.md, Whole numbers: what the context models of both kinds share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Tensors = Mapping[str, NDArray[Any]]


def round_shift(a: Integers, shift: int) -> Integers:
    """Round a / 2^shift; `round` of the document."""
    rounded: Integers = (a + (1 << shift - 1)) >> shift
    return rounded


def compand(v: Integers) -> Integers:
    u = 2 * np.minimum(np.abs(v), 32767) + 8
    exponent = np.frexp(u)[1] - 1
    companded: Integers = np.sign(v) * (8 * (exponent - 3) + (u >> (exponent - 3)) - 8)
    return companded


def fingerprint(tensors: Tensors) -> bytes:
    digest = hashlib.sha256()
    types = {"uint8": "u1", "int8": "i1", "int16": "i2", "int32": "i4"}
    for name in sorted(tensors):
        if name.startswith("context."):
            values = tensors[name]
            kind = types[values.dtype.name]
            digest.update(f"{name} {kind} {values.shape}\n".encode())
            digest.update(values.astype("<" + kind).tobytes())
    return digest.digest()[:4]


def log_step(quality: int) -> int:
    """Return p of a quality in hundredths."""
    return 127 - (508 * (quality - 100) + 9900) // 19800


def convolve(x: Integers, weight: Integers) -> Integers:
    """Σ weight · input, 0 outside the grid; taps 3×3, 1×3 or 1×1."""
    _, rows, columns = x.shape
    above, left = weight.shape[2] // 2, weight.shape[3] // 2
    padded = np.pad(x, ((0, 0), (above, above), (left, left)))
    total = np.zeros((len(weight), rows, columns), np.int64)
    for r, s in np.ndindex(weight.shape[2:]):
        total += np.tensordot(weight[:, :, r, s], padded[:, r : r + rows, s : s + columns], 1)
    return total
