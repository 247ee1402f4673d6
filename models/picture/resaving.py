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

from luxvox.models.picture.conditions import LEVELS, Setting
from luxvox.models.picture.drawing import Drawing
from luxvox.models.picture.networks import PictureModel
from luxvox.models.picture.tiling import Placement, analyse
from luxvox.rounding import round_to_uint8

N_STEPS = 3  # of the iteration, at most
# Distances of latents from whole numbers, root mean square: 0.29 if they are unrelated to codes.
_WELL_ROUNDED = 0.2
_JUDGED = ("top", "base")
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
    rounded = _round_latents(model, setting, latents, _WELL_ROUNDED)
    if rounded is None:
        return None
    codes, factors = rounded
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
        rounded = _round_latents(model, setting, moved)
        assert rounded is not None
        codes, factors = rounded
    return best


def _round_latents(
    model: PictureModel,
    setting: Setting,
    latents: Mapping[str, Tensor],
    max_distance: float = math.inf,
) -> tuple[Latents, Latents] | None:
    """Return the codes and the factors on their steps; None if the latents are far from codes.

    Args:
        model: on the device to be used.
        setting: step and tuning.
        latents: [1, C, h, w] by level, in steps.
        max_distance: root mean square distance of the judged levels from their codes, in steps.
    """
    placement = Placement(model, setting)
    codes, factors = {}, {}
    squares, n_codes = 0.0, 0
    for number, level in enumerate(LEVELS):
        factors[level] = placement.factors(number)
        placed = latents[level] / factors[level]
        codes[level] = torch.round(placed)

        if level in _JUDGED:
            coded = codes[level] != 0
            squares += float((placed - codes[level])[coded].square().sum())
            n_codes += int(coded.sum())

        # What follows takes most of the time, and most pictures were never in a file.
        if level == _JUDGED[-1]:
            distance = (squares / n_codes) ** 0.5 if n_codes >= _MIN_CODES else math.inf
            if distance > max_distance:
                return None
        placement.know(number, codes[level])
    return codes, factors


def _draw(
    model: PictureModel, codes: Latents, setting: Setting, size: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Return the pixels of codes as a decoder gives them."""
    arrays = {level: code[0].to(torch.int16).numpy() for level, code in codes.items()}
    picture = Drawing(model, arrays, setting)
    levels = np.concatenate([picture.draw(strip) for strip in picture.strips()])
    return round_to_uint8(levels[: size[0], : size[1]])
