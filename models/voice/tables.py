"""The tables of the context model of voices: their walk, their shapes, and checks on loading."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from luxvox.entropy.voice.layers import LevelShape
from luxvox.entropy.voice.plan import LevelPlan, voice_plan
from luxvox.errors import ModelError
from luxvox.models.voice.networks import SpeechConfig

CODEWORDS = "codewords"
MIN_CODEWORDS = 3  # null, and two that can be told apart
TAPS = range(1, 16, 2)


def speech_plan_of(config: SpeechConfig) -> tuple[LevelPlan, ...]:
    """Return the walk of a voice model."""
    return voice_plan(config.n_stages, config.first_stages, config.codebook_size)


def shape_of_tables(n_channels: int, tables: Mapping[str, Tensor]) -> LevelShape:
    """Return the sizes of a context network, derived from its tables."""
    width, _, _, first_taps = tables["conv1.weight"].shape
    hidden, third_taps = tables["head.weight"].shape[2], tables["conv3.weight"].shape[3]
    return LevelShape(n_channels, width, hidden, first_taps, third_taps)


def table_shapes(shape: LevelShape, plan: LevelPlan) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tables of a context model, by name (FORMAT.md, Tensors)."""
    width, hidden = shape.width, shape.hidden
    n_stages, n_codewords = plan.n_stages, plan.codebook_size - 1
    return {
        "conv1.weight": (width, shape.n_inputs, 1, shape.first_taps),
        "conv2.weight": (width, width, 1, 1),
        "conv3.weight": (width, width, 1, shape.third_taps),
        "conv4.weight": (width, width, 1, 1),
        "conv1.bias": (len(plan.passes), width),
        **{f"conv{n}.bias": (width,) for n in (2, 3, 4)},
        "head.weight": (n_stages, 1, hidden, width),
        "head.bias": (n_stages, 1, hidden),
        "embedding": (n_stages - 1, 1, plan.codebook_size, hidden),
        "flag.weight": (n_stages, 1, hidden),
        "flag.bias": (n_stages, 1),
        "table.weight": (n_stages, 1, n_codewords, hidden),
        "table.bias": (n_stages, 1, n_codewords),
    }


def check_tables(shape: LevelShape, plan: LevelPlan, tensors: Mapping[str, Tensor]) -> None:
    """Check the integer tables of a level as a weights file holds them.

    Args:
        shape, plan: of the level.
        tensors: its tables and its codewords [stages, K, channels].

    Raises:
        ModelError: if one is missing, superfluous or of the wrong shape or type, if there are too
            few codewords or an illegal number of taps, or if codeword 0 is not zero.
    """
    if plan.codebook_size < MIN_CODEWORDS:
        found = f"{plan.codebook_size} codewords a codebook"
        raise ModelError(f"{plan.name}: {found}, legal: {MIN_CODEWORDS} or more")
    for n_taps in (shape.first_taps, shape.third_taps):
        if n_taps not in TAPS:
            raise ModelError(f"{plan.name}: {n_taps} taps, legal: 1, 3 … {TAPS[-1]}")
    books = plan.n_stages, plan.codebook_size, shape.n_channels
    expected = {**table_shapes(shape, plan), CODEWORDS: books}
    for name in sorted(expected.keys() ^ tensors.keys()):
        known = name in expected
        raise ModelError(f"{plan.name}: table {name} is {'missing' if known else 'unknown'}")
    for name, size in expected.items():
        wide = torch.int32 if name.endswith("bias") else torch.int8
        kind = torch.int16 if name == CODEWORDS else wide
        if tuple(tensors[name].shape) != size or tensors[name].dtype != kind:
            found = f"{tensors[name].dtype} {list(tensors[name].shape)}"
            raise ModelError(f"{plan.name}: table {name} is {found}, legal: {kind} {list(size)}")
    if tensors[CODEWORDS][:, 0].any():
        raise ModelError(f"{plan.name}: codeword 0 is not zero, which null codes need")
