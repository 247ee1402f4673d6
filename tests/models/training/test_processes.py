"""Several processes training together learn the same as one process with all their batches."""

import json
import os
import time
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file
from torch import distributed, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import spawn

from luxvox.models.training import checkpoints, loop
from luxvox.models.training.voice.follower import CodebookFollower
from luxvox.models.voice.rvq import ResidualVQ

N_RANKS = 2
N_STEPS = 5


class Regression:
    """A phase: a linear layer fitted to noise, on one batch a step or several."""

    name = "regression"
    learning_rate = 0.05

    def __init__(self, n_batches):
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)
        self.unused = nn.Parameter(torch.ones(2))
        self.layer.register_parameter("unused", self.unused)
        self.n_batches = n_batches
        self.n_steps = 0

    def trained_module(self):
        return self.layer

    def learning_rate_factor(self, parameter_name):
        return 1.0

    def loss(self, generator):
        rank = loop.process_rank()
        total = torch.zeros(())
        for batch in range(self.n_batches):
            batch_generator = torch.Generator().manual_seed(10 * self.n_steps + rank + batch)
            x = torch.randn(8, 4, generator=batch_generator)
            total = total + self.layer(x).square().mean() / self.n_batches
            if rank + batch == 1:  # only one of the batches uses it
                total = total + self.unused.square().sum() / self.n_batches
        self.n_steps += 1
        return total, {}

    def memory(self):
        return {}

    def validate(self, folder):
        return {"norm": float(self.layer.weight.norm())}

    def finish(self, run):
        checkpoints.save_atomically(dict(self.layer.state_dict()), run / "layer.safetensors")


def train_steps(run, n_batches):
    """Train for a few steps, by a clock that ticks at each reading."""
    ticks = iter(range(1000))
    with mock.patch.object(time, "monotonic", lambda: next(ticks) / 3.0):
        loop.train(Regression(n_batches), run, N_STEPS / 60.0, resume=False)


def rank_main(rank, folder):
    torch.set_num_threads(1)
    store = FileStore(str(folder / "store"), N_RANKS)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=N_RANKS)
    train_steps(folder / "run", 1)
    distributed.barrier()  # gloo aborts a process whose peer has gone
    distributed.destroy_process_group()


@pytest.mark.skipif(os.name != "posix", reason="gloo over a file store")
def test_two_processes_equal_one_with_twice_the_batch(tmp_path):
    (tmp_path / "run").mkdir()
    spawn(rank_main, (tmp_path,), nprocs=N_RANKS)
    (tmp_path / "alone").mkdir()
    train_steps(tmp_path / "alone", 2)
    steps = [
        json.loads((tmp_path / name / "phase-regression.json").read_text())["step"]
        for name in ("run", "alone")
    ]
    assert steps[0] == steps[1] > 1
    together = load_file(tmp_path / "run" / "phase-regression.safetensors")
    alone = load_file(tmp_path / "alone" / "phase-regression.safetensors")
    for name, value in alone.items():
        if name.startswith("live/"):
            torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-6)


def follow(latents, codes, log_step):
    """Let codebooks follow a batch, as joint training of voices does; return their new state."""
    torch.manual_seed(1)
    vq = ResidualVQ((6,), 3, 16)
    vq.codebooks.copy_(torch.randn(vq.codebooks.shape))
    vq.bits.fill_(4.0)
    follower = CodebookFollower(vq, 0.05, 2)
    latents, codes, log_step = map(loop.of_all_processes, (latents, codes.int(), log_step))
    generator = torch.Generator().manual_seed(loop.process_rank())
    follower.learn(latents, codes, log_step, loop.share_generator(generator))
    return follower.memory()


def random_batch():
    """Return latents [4, 6, 1, 50], codes [4, 3, 1, 1, 50] and log-steps [4] of four voices."""
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(4, 6, 1, 50, generator=generator)
    codes = torch.randint(16, (4, 3, 1, 1, 50), generator=generator).to(torch.uint8)
    return latents, codes, torch.linspace(-0.9, 0.9, 4)


def follow_as_rank(rank, folder):
    torch.set_num_threads(1)
    store = FileStore(str(folder / "store"), N_RANKS)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=N_RANKS)
    half = slice(2 * rank, 2 * rank + 2)
    checkpoints.save_atomically(
        follow(*(x[half] for x in random_batch())), folder / f"{rank}.safetensors"
    )
    distributed.barrier()  # gloo aborts a process whose peer has gone
    distributed.destroy_process_group()


@pytest.mark.skipif(os.name != "posix", reason="gloo over a file store")
def test_codebooks_follow_the_batches_of_all_processes(tmp_path):
    spawn(follow_as_rank, (tmp_path,), nprocs=N_RANKS)
    alone = follow(*random_batch())
    for rank in range(N_RANKS):
        tensors = load_file(tmp_path / f"{rank}.safetensors")
        assert all(torch.equal(tensors[name], value) for name, value in alone.items())


def test_hours_count_all_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "n_processes", lambda: 2)
    loop.record_phase(tmp_path, "joint", checkpoints.PhaseState(elapsed_s=60.0))
    record = json.loads((tmp_path / "summary-joint.json").read_text())
    assert record["threads"] == 2 * torch.get_num_threads()
