"""A picture on its way to a file: analysed, its codes chosen and written section by section."""

from __future__ import annotations

import copy
import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from luxvox.codec.advance import Advance, part_of
from luxvox.codec.container import Section
from luxvox.codec.rate import centi_to_position
from luxvox.entropy.walk import CodesEncoder, walk
from luxvox.models.catalogue import PictureCodec, picture_codec
from luxvox.models.choice import RateAwareChoice
from luxvox.models.image import LEVELS, quality_to_step
from luxvox.models.strips import analyse, grid_shapes

_ANALYSIS_SHARE = 0.3  # of the time, for progress


def codec_on(device: str) -> PictureCodec:
    """Return the newest picture codec, its networks on a device: `cpu` or `cuda`."""
    codec = picture_codec()
    return codec if device == "cpu" else _moved(codec.card.sha256, device)


@functools.lru_cache(maxsize=4)
def _moved(_: str, device: str) -> PictureCodec:
    """Move a codec once for each content of its weights."""
    codec = picture_codec()
    return dataclasses.replace(codec, model=copy.deepcopy(codec.model).to(device))


def code_sections(
    codec: PictureCodec, pixels: NDArray[np.uint8], centi: int, coder: int, advance: Advance
) -> list[Section]:
    """Choose and code the codes of uint8 [H, W, 1 or 3]; empty sections stand for null codes."""
    pixels = _as_rgb(pixels)
    model = codec.model
    step = quality_to_step(centi / 100.0, model.config)
    latents = analyse(model, pixels, step, part_of(advance, 0.0, _ANALYSIS_SHARE))
    quantisers = {level: model.quantiser(level).cpu() for level in LEVELS}
    encoder = CodesEncoder(RateAwareChoice(quantisers, latents).choose, coder)
    walk(codec.context, grid_shapes(*pixels.shape[:2]), centi_to_position(centi), encoder)
    coded = encoder.sections()
    return [Section(n, coded.get(n, b"")) for n in range(1, codec.n_sections + 1)]


def _as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
