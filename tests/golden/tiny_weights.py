"""Weights of a few thousand numbers, random but for what the format wants of them.

Golden files made with them keep the format in place whatever becomes of the shipped weights, and
fuzzing decodes thousands of files a minute with them. They were written once, by

    python tests/golden/tiny_weights.py tests/golden/weights

and stay as they are: files name them by number 0, which is for experiments, and by fingerprint.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from luxvox.entropy.layers import LevelShape, check_accumulators
from luxvox.models.catalogue import fingerprint, pack_context, pack_floats, pack_steps
from luxvox.models.context import (
    LINE,
    PARENTS,
    ContextTwins,
    LevelParts,
    parent_orders,
    plan_of,
    speech_plan_of,
)
from luxvox.models.image import LEVELS, ImageConfig, PictureModel
from luxvox.models.speech import SpeechConfig, SpeechModel
from luxvox.models.speech_weights import pack_speech

PICTURE = ImageConfig(
    width_8=3,
    width_16=160,
    analysis_blocks_8=0,
    analysis_blocks_16=0,
    synthesis_blocks_8=1,
    synthesis_blocks_16=0,
    codebook_size=7,
    base_groups=(1,) * 6 + (2,) * 5 + (8,) * 13,
    detail_groups=(2, 3, 8),
    top_groups=(1,) * 8 + (8,) * 3,
)
VOICE = SpeechConfig(
    n_channels=8,
    n_stages=4,
    codebook_size=257,
    first_stages=2,
    width=4,
    expansion=1,
    analysis_blocks=1,
    synthesis_blocks=1,
    n_bands=0,
    finest_depth=6.5,
)
WIDTH, HIDDEN = 6, 4

Weights = tuple[dict[str, Any], dict[str, Tensor]]


@torch.no_grad()
def picture_weights() -> Weights:
    """Return configuration and tensors of a picture model."""
    model = PictureModel(PICTURE)
    for name in ("order_16", "order_32"):
        getattr(model, name).copy_(torch.randperm(len(getattr(model, name))))
    for level in LEVELS:
        _fill(model.quantiser(level), reach=3.0)
    orders = parent_orders(model)
    shapes = {
        level: LevelShape(PICTURE.channels(level), PARENTS[level], WIDTH, HIDDEN)
        for level in LEVELS
    }
    parts = {
        level: LevelParts(shape, model.quantiser(level), orders.get(level))
        for level, shape in shapes.items()
    }
    twins = _stirred(ContextTwins(plan_of(PICTURE), parts))
    levels = {level: twins.runtime_level(level) for level in LEVELS}
    for level, tables in levels.items():
        check_accumulators(level, tables.tensors)
    tensors = pack_floats(model) | pack_context(levels) | pack_steps(PICTURE)
    return dataclasses.asdict(PICTURE), tensors


@torch.no_grad()
def voice_weights() -> Weights:
    """Return configuration and tensors of a voice model."""
    model = SpeechModel(VOICE)
    directions = torch.linalg.qr(torch.randn(model.up.shape))[0]
    model.up.copy_(directions)
    model.down.copy_(directions.T)
    model.synthesis.leave.weight.normal_(0.0, 0.02)
    _fill(model.vq, reach=6.0)
    plan = speech_plan_of(VOICE)
    shape = LevelShape(VOICE.n_channels, 0, WIDTH, HIDDEN, depth=True, kernel=LINE)
    twins = _stirred(ContextTwins(plan, {plan[0].name: LevelParts(shape, model.vq)}))
    level = twins.runtime_level(plan[0].name)
    check_accumulators(plan[0].name, level.tensors)
    return dataclasses.asdict(VOICE), pack_speech(model, level)


def _fill(quantiser: Any, reach: float) -> None:
    """Give codebooks finer and finer random words, and static rates."""
    books = quantiser.codebooks
    for stage in range(len(books)):
        books[stage].normal_(0.0, reach * 0.6**stage)
    books.copy_(torch.floor(books * 16 + 0.5) / 16)
    books[:, :, 0] = 0.0
    for group, slots in enumerate(quantiser.slots):
        books[:, group, :, slots == quantiser.n_channels] = 0.0
    quantiser.bits.fill_(4.0)
    quantiser.bits[..., 0] = 1.0


def _stirred(twins: ContextTwins) -> ContextTwins:
    """Make every table matter: no tensor is left at zero."""
    for plan in twins.plan:
        for name, values in twins.twin(plan.name).values.items():
            spread = 0.4 if name.startswith(("flag", "table")) else 0.1
            spread = 20.0 if name == "embedding" else spread
            values.add_(spread * torch.randn(values.shape))
    return twins


def write(kind: str, make: Callable[[], Weights], folder: Path) -> None:
    """Write weights and their card."""
    torch.manual_seed(20)
    config, tensors = make()
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    card = {
        "id": f"{kind}-0",
        "number": 0,
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "fingerprint": fingerprint(tensors).hex(),
        "licence": "MIT",
        "config": config,
    }
    (folder / f"{kind}-0.safetensors").write_bytes(data)
    text = json.dumps(card, ensure_ascii=False)
    (folder / f"{kind}-0.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("picture", picture_weights, Path(sys.argv[1]))
    write("voice", voice_weights, Path(sys.argv[1]))
