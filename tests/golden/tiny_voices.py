"""The tiny weights of voices."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from luxvox.entropy.voice.layers import LevelShape, check_accumulators
from luxvox.models.training.voice.twin import ContextTwins, LevelParts
from luxvox.models.voice.networks import SpeechConfig, SpeechModel
from luxvox.models.voice.tables import speech_plan_of
from luxvox.models.voice.weights import pack_speech

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


@torch.no_grad()
def voice_weights() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return configuration and tensors of a voice model."""
    model = SpeechModel(VOICE)
    directions = torch.linalg.qr(torch.randn(model.up.shape))[0]
    model.up.copy_(directions)
    model.down.copy_(directions.T)
    model.synthesis.leave.weight.normal_(0.0, 0.02)
    _fill(model.vq, reach=6.0)
    plan = speech_plan_of(VOICE)
    shape = LevelShape(VOICE.n_channels, WIDTH, HIDDEN)
    twins = _stir(ContextTwins(plan, {plan[0].name: LevelParts(shape, model.vq)}))
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


def _stir(twins: ContextTwins) -> ContextTwins:
    """Make every table matter: no tensor is left at zero."""
    for plan in twins.plan:
        for name, values in twins.twin(plan.name).values.items():
            spread = 0.4 if name.startswith(("flag", "table")) else 0.1
            spread = 20.0 if name == "embedding" else spread
            values.add_(spread * torch.randn(values.shape))
    return twins
