"""Fitted codebooks: unseen vectors use all of them, and dead codewords come back."""

import dataclasses

import torch

from luxvox.models.training.voice import initialise
from luxvox.models.training.voice.follower import CodebookFollower
from luxvox.models.voice.networks import SpeechModel
from luxvox.models.voice.rvq import ResidualVQ
from luxvox.tests.models.training.voice.conftest import TINY


def test_unseen_vectors_use_most_codewords():
    generator = torch.Generator().manual_seed(0)
    config = dataclasses.replace(TINY, n_channels=96, codebook_size=128)
    model = SpeechModel(config)
    latents = torch.randn(1, 96, 1, 40_000, generator=generator)
    latents *= torch.randn(40_000, generator=generator).exp()  # few are long
    fitted, unseen = latents.chunk(2, dim=3)
    initialise.fit_codebooks(model, fitted, generator)
    codes = model.vq.encode(unseen, torch.zeros(1), 0.0)
    used = [len(torch.unique(codes[0, stage])) for stage in range(config.n_stages)]
    assert sum(used) > 0.92 * config.n_stages * config.codebook_size


def test_dead_codewords_come_back():
    generator = torch.Generator().manual_seed(0)
    vq = ResidualVQ((24,), 1, 64)
    vq.codebooks[0, 0, 1:4] = torch.randn(3, 24, generator=generator)
    vq.codebooks[0, 0, 4:] = 100.0
    vq.bits[:] = 6.0
    follower = CodebookFollower(vq, 0.05, even_from=1)
    follower.counts[:, :, 4:] = 0.0
    position = torch.zeros(1)
    for _ in range(60):
        latents = torch.randn(1, 24, 1, 400, generator=generator)
        follower.learn(latents, vq.encode(latents, position, 0.0), position, generator)
    codes = vq.encode(torch.randn(1, 24, 1, 4000, generator=generator), position, 0.0)
    assert len(torch.unique(codes)) > 57  # 90 %
