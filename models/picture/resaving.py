"""Pictures that were decoded from an earlier file: how to recover the codes of that file.

Saving such a picture at the same setting should lose nothing. Its latents lie close to whole
numbers, which those of other pictures do not. The analysis is nearly the inverse of the synthesis;
a fixed-point iteration makes up for the rest: y ← y₀ + ŷ − A(S(ŷ)), with the codes ŷ of y. It
settles on codes whose picture is the one given, except for pixels next to padding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.models.picture.analysing import analyse
from luxvox.models.picture.conditions import LEVELS, Setting
from luxvox.models.picture.drawing import Drawing
from luxvox.models.picture.networks import PictureModel
from luxvox.models.picture.placement import Placement
from luxvox.rounding import round_to_uint8

N_STEPS = 3  # of the iteration, at most
# Distances of latents from whole numbers, root mean square: 0.29 if they are unrelated to codes.
_WELL_ROUNDED = 0.2
_JUDGED = ("top", "base")
_JUDGED_ROWS = 16  # at once
_MIN_CODES = 50  # that are not zero; with fewer there is nothing to judge by
# Mean squared errors in 8-bit levels: below the first, another step is not worth it; above the
# second, this is not such a picture.
_ENOUGH, _MAX_SQUARED_ERROR = 0.1, 0.4
_MAX_SHARE = 1e-4  # of a squared step, in addition: pixels next to padding differ more

Latents = dict[str, Tensor]


@torch.inference_mode()
def latents_of_saved(
    model: PictureModel, pixels: NDArray[np.uint8], setting: Setting, latents: Mapping[str, Tensor]
) -> Latents | None:
    """Return latents that are the codes of a picture's last file, or None if it had no such file.

    Args:
        model: on the device to be used.
        pixels: uint8 [H, W, 3].
        setting: step and tuning of the file to be written.
        latents: of the picture, as `analyse` gives them.
    """
    if _distance(model, setting, latents) > _WELL_ROUNDED:
        return None  # most pictures were never in a file
    codes, factors = _round_latents(model, setting, latents)
    best, min_error = None, _MAX_SQUARED_ERROR + _MAX_SHARE * setting.step**2
    for _ in range(N_STEPS):
        drawn = _draw(model, codes, setting, pixels.shape[:2])
        exact = {level: code * factors[level] for level, code in codes.items()}
        error = float(np.square(drawn - pixels.astype(np.float32)).mean())
        if error < min_error:
            best, min_error = exact, error
        if error < _ENOUGH:
            break
        again = analyse(model, drawn, setting, lambda share: None)
        moved = {level: exact[level] + latents[level] - again[level] for level in LEVELS}
        codes, factors = _round_latents(model, setting, moved)
    return best


def _distance(model: PictureModel, setting: Setting, latents: Mapping[str, Tensor]) -> float:
    """Return how far latents of the judged levels lie from codes other than zero.

    That is their root mean square distance in steps, infinite if there are few such codes.
    """
    placement = Placement(model, setting)
    squares, n_codes = 0.0, 0
    for level in LEVELS[: LEVELS.index(_JUDGED[-1]) + 1]:
        if level in _JUDGED:
            for start in range(0, latents[level].shape[2], _JUDGED_ROWS):
                rows = slice(start, start + _JUDGED_ROWS)
                placed = placement.place(latents[level][:, :, rows], rows)
                error = (placed - torch.round(placed))[torch.round(placed) != 0]
                squares += float(error.square().sum())
                n_codes += len(error)
        if level != _JUDGED[-1]:
            placement.know(torch.round(placement.place(latents[level])))
    return math.sqrt(squares / n_codes) if n_codes >= _MIN_CODES else math.inf


def _round_latents(
    model: PictureModel, setting: Setting, latents: Mapping[str, Tensor]
) -> tuple[Latents, Latents]:
    """Return the codes of latents [1, C, h, w] in steps, and the factors on their steps."""
    placement = Placement(model, setting)
    codes, factors = {}, {}
    for level in LEVELS:
        factors[level] = placement.factors()
        codes[level] = torch.round(latents[level] / factors[level])
        placement.know(codes[level])
    return codes, factors


def _draw(
    model: PictureModel, codes: Latents, setting: Setting, size: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Return the pixels of codes as a decoder gives them."""
    arrays = {level: code[0].to(torch.int16).numpy() for level, code in codes.items()}
    picture = Drawing(model, arrays, setting)
    levels = np.concatenate([rows for strip in picture.strips() for rows in picture.draw(strip)])
    return round_to_uint8(levels[: size[0], : size[1]])
