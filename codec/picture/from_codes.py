"""Pixels from codes alone, without a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.arguments import as_array, check_types, plain_number
from luxvox.codec.container.header_fields import CELL
from luxvox.codec.effort import check_tune
from luxvox.errors import UsageError
from luxvox.late_imports import FOR_PICTURES, load
from luxvox.models.tunings import DEFAULT_TUNE, TUNINGS

if TYPE_CHECKING:
    from luxvox.entropy.picture.prediction import LatticeCodes
    from luxvox.models.cards import ModelCard
    from luxvox.models.picture.conditions import PictureConfig


def pixels_of_codes(
    codes: Mapping[str, NDArray[Any]],
    quality: float | None,
    tune: str | None = None,
    model: int | None = None,
) -> NDArray[np.uint8]:
    """Return the pixels that codes stand for; see `luxvox.from_codes`."""
    load(*FOR_PICTURES)
    from luxvox.codec.picture.decoding import Canvas, draw_codes
    from luxvox.codec.quality import Quality
    from luxvox.models.picture.weights import picture_codec
    from luxvox.torch_state import usual_state

    check_types(quality=quality, model=model)
    if quality is None:
        raise UsageError("codes of pictures need the quality that they were made at")
    if tune is not None:
        check_tune(tune)
    with usual_state():
        codec = picture_codec(model, tune=tune or DEFAULT_TUNE)
        tune = _served_tune(codec.card, tune)
        whole = _check_codes(codes, codec.model.config)
        height, width = (CELL * n for n in whole["apex"].shape[1:])
        canvas = Canvas(
            width=width,
            height=height,
            colour=True,
            quality=Quality.of(plain_number(quality)),
            eye=tune == DEFAULT_TUNE,
        )
        return draw_codes(codec, canvas, whole)


def _served_tune(card: ModelCard, tune: str | None) -> str:
    """Return a tuning if a model serves it, or the model's own if none is given."""
    served = [name for name in TUNINGS if card.serves(name)]
    if tune is None:
        return served[0]
    if tune not in served:
        raise UsageError(f"{card.id} is for tune {' and '.join(served)}, not {tune}")
    return tune


def _check_codes(
    codes: Mapping[str, NDArray[Any]], config: PictureConfig
) -> dict[str, LatticeCodes]:
    """Return the codes of all levels as int16; levels that are missing are null."""
    from luxvox.entropy.picture.layers import CODE_MAX
    from luxvox.models.picture.conditions import LEVELS
    from luxvox.models.picture.tiling import grid_shapes

    if "apex" not in codes or codes.keys() - set(LEVELS):
        raise UsageError(
            f"levels {', '.join(map(str, codes))}, legal: apex and any of {', '.join(LEVELS)}"
        )
    arrays = {level: as_array("codes", codes[level]) for level in codes}
    if arrays["apex"].ndim != 3 or not arrays["apex"].size:
        raise UsageError(f"apex of shape {arrays['apex'].shape}, legal: [channels, height, width]")
    grids = grid_shapes(*(CELL * n for n in arrays["apex"].shape[1:]))
    whole = {}
    for level in LEVELS:
        shape = (config.n_channels(level), *grids[level])
        array = arrays.get(level, np.zeros(shape, np.int16))
        if array.shape != shape or array.dtype.kind not in "iu":
            raise UsageError(
                f"{level} of {array.dtype} {array.shape}, legal: whole numbers {shape}"
            )
        if array.min() < -CODE_MAX or array.max() > CODE_MAX:
            raise UsageError(f"codes of {level} are out of range, legal: ±{CODE_MAX}")
        whole[level] = array.astype(np.int16)
    return whole
