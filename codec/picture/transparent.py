"""Colours under full transparency, which nobody sees: replaced by ones that cost few bits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def without_hidden_colours(
    pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return pixels in which hidden ones continue smoothly from the visible ones around them.

    Hidden pixels take the mean of the visible ones near them, or of ones further away where there
    are none (the pull-push method of Gortler, Grzeszczuk, Szeliski and Cohen, 1996).

    Args:
        pixels: uint8 [H, W, C].
        alpha: uint8 [H, W]; 0 hides a pixel.
    """
    hidden = alpha[:, :, None] == 0
    if not hidden.any():
        return pixels
    if hidden.all():
        return np.full_like(pixels, 128)
    filled = _fill(pixels.astype(np.float32), (~hidden).astype(np.float32))
    return np.where(hidden, np.rint(filled), pixels).astype(np.uint8)


def _fill(colours: Floats, weight: Floats) -> Floats:
    """Fill in where the weight is 0, from half the size; colours [H, W, C], weight [H, W, 1]."""
    if weight.all():
        return colours
    height, width = weight.shape[:2]
    sums, seen = _halve(colours * weight), _halve(weight)
    means = (sums / np.maximum(seen, 1e-6)).astype(np.float32)
    coarse = _fill(means, np.minimum(seen, 1.0).astype(np.float32))
    grown = coarse.repeat(2, 0).repeat(2, 1)[:height, :width]
    return colours * weight + grown * (1.0 - weight)


def _halve(plane: Floats) -> Floats:
    """Return the sums of squares of 2×2 samples; beyond the borders are zeros."""
    height, width = plane.shape[:2]
    padded = np.pad(plane, ((0, height % 2), (0, width % 2), (0, 0)))
    rows, columns = padded.shape[0] // 2, padded.shape[1] // 2
    sums: Floats = padded.reshape(rows, 2, columns, 2, -1).sum((1, 3))
    return sums
