"""The training loop: one phase at a time, resumable, logged.

A run folder holds

* `parts.safetensors` (pictures), or `model.safetensors` and `context.safetensors` (voices): the
  parts of the codec, each written whole by a phase that trains it,
* `phase-P.safetensors` and `phase-P.json`: the state from which phase P resumes,
* `phase-P.csv`: the log; `phase-P/`: samples of decoded voices,
* `summary-P.json`: command, steps, minutes and machine of phase P, for the model card,
* `run.json`: configuration, sources of the data, and the hours and phases of earlier training.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, distributed, nn

from luxvox.models.training.checkpoints import (
    Learner,
    PhaseState,
    load_state,
    rate_of_state,
    save_state,
    write_json,
)

log = logging.getLogger(__name__)

CHECKPOINT_S = 240.0  # a kill loses at most this much
REPORT_S = 20.0
WARM_UP_STEPS = 200
EMA_DECAY = 0.9985
MAX_GRADIENT_NORM = 1.0


class Phase(Protocol):
    """A phase as the loop uses it."""

    name: str
    learning_rate: float

    def trained_module(self) -> nn.Module:
        """Return the module whose parameters learn."""

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Return the factor on the learning rate of a parameter."""

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return a scalar loss on a fresh batch and figures to log."""

    def memory(self) -> dict[str, Tensor]:
        """Return the tensors that change without gradients; a resume writes into them."""

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure on held-back data; write samples to `folder`, if there are any."""

    def finish(self, run: Path) -> None:
        """Write the trained part of the codec into the run folder."""


def train(phase: Phase, run: Path, minutes: float, resume: bool, seed: int = 0) -> None:
    """Train one phase for `minutes` (counted over resumes) and write its part of the codec."""
    state_path = run / f"phase-{phase.name}"
    resumes = resume and state_path.with_suffix(".json").exists()
    if resumes:
        # A phase may choose another rate now that it has trained weights.
        phase.learning_rate = rate_of_state(state_path) or phase.learning_rate
    learner = _learner(phase)
    state = PhaseState()
    if resumes:
        state = load_state(state_path, learner)
        log.info("phase %s: resumed at step %d", phase.name, state.step)

    start = time.monotonic() - state.elapsed_s
    last_report = last_checkpoint = time.monotonic()
    sums: dict[str, float] = {}
    n_sums = 0
    while state.elapsed_s < minutes * 60.0:
        # The schedule follows the clock: the rate reaches its end when the minutes are over.
        rate = _schedule(state.step, state.elapsed_s / (minutes * 60.0))
        for group in learner.optimiser.param_groups:
            group["lr"] = phase.learning_rate * rate * group["factor"]

        # A batch depends only on its step number, so a resume sees the batches of an uninterrupted
        # run.
        generator = torch.Generator().manual_seed(batch_seed(seed, state.step))
        loss, figures = _learn(phase, learner, generator)
        state.step += 1
        state.elapsed_s = _agree_on_clock(time.monotonic() - start)
        _update_means(learner, state.step)

        # Reports give means since the last report, since single batches vary a lot.
        for key, value in {"loss": loss.item(), **figures}.items():
            sums[key] = sums.get(key, 0.0) + value
        n_sums += 1
        now = time.monotonic()
        if now - last_report > REPORT_S:
            means = {key: value / n_sums for key, value in sums.items()}
            _report(phase, run, state, means, minutes)
            sums, n_sums = {}, 0
            last_report = now

        if now - last_checkpoint > CHECKPOINT_S:
            _checkpoint(phase, run, state, learner, minutes)
            last_checkpoint = time.monotonic()

    _checkpoint(phase, run, state, learner, minutes)


def _learn(
    phase: Phase, learner: Learner, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Take one step of the optimiser; return the loss of its batch and figures to log."""
    loss, figures = phase.loss(generator)
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]

    # Gradients are averaged before they are clipped, so all processes take the same step.
    average_gradients(learner.parameters.values())
    nn.utils.clip_grad_norm_(learner.parameters.values(), MAX_GRADIENT_NORM)
    learner.optimiser.step()
    return loss, figures


def _update_means(learner: Learner, step: int) -> None:
    """Move the running means towards the parameters after a number of steps."""
    # Early means forget faster, or they would keep the values that training started from.
    decay = min(EMA_DECAY, step / (step + 20.0))
    with torch.no_grad():
        now_values: list[Tensor] = [learner.parameters[name] for name in learner.means]
        torch._foreach_lerp_(list(learner.means.values()), now_values, 1.0 - decay)


def batch_seed(seed: int, step: int) -> int:
    """Return the seed of a step's batch, different in each process."""
    return seed * 1_000_003 + step + 7_368_787 * process_rank()


def _agree_on_clock(seconds: float) -> float:
    """Return the first process's clock, so that all stop at the same step."""
    if not distributed.is_initialized():
        return seconds

    # A Python float is a float64, so the clock loses nothing in transfer.
    clock = torch.tensor([seconds], dtype=torch.float64)
    distributed.broadcast(clock, 0)
    return float(clock)


def process_rank() -> int:
    """Return the rank of this process among all that train together."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def n_processes() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def wait_for_all() -> None:
    """Wait until all processes that train together have reached this point."""
    if distributed.is_initialized():
        distributed.barrier()


def of_all_processes(tensor: Tensor) -> Tensor:
    """Return the tensors [B, …] of all processes that train together, as one [processes · B, …]."""
    if not distributed.is_initialized():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(n_processes())]
    distributed.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def share_generator(generator: torch.Generator) -> torch.Generator:
    """Return a generator that is the same in all processes, seeded by the first one's draw."""
    seed = torch.randint(2**62, (1,), generator=generator)
    if distributed.is_initialized():
        distributed.broadcast(seed, 0)
    return torch.Generator().manual_seed(int(seed))


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over all processes that train together."""
    if not distributed.is_initialized():
        return

    # All processes must send the same tensors, whatever their batches used.
    parameters = list(parameters)
    for parameter in parameters:
        if parameter.grad is None:  # another process may have used it
            parameter.grad = torch.zeros_like(parameter)
    gradients = [p.grad for p in parameters if p.grad is not None]

    # One message is quicker than one per parameter: all gradients in one row [n].
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()

    # [n] -> pieces in the shapes of the parameters.
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


def _learner(phase: Phase) -> Learner:
    parameters = {n: p for n, p in phase.trained_module().named_parameters() if p.requires_grad}

    # The optimiser has one learning rate per group, so parameters with the same factor share a
    # group.
    by_factor: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        by_factor.setdefault(phase.learning_rate_factor(name), []).append(parameter)
    groups = [{"params": group, "factor": factor} for factor, group in by_factor.items()]
    optimiser = torch.optim.Adam(groups, lr=phase.learning_rate, betas=(0.9, 0.99), fused=True)

    means = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    return Learner(parameters, means, optimiser, phase.memory())


def _schedule(step: int, share: float) -> float:
    """Return the factor on learning rates at a step, and at a share of the minutes."""
    # Half a cosine down to a hundredth; a linear rise over the first steps, when Adam knows little.
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
    return warm_up * max(cosine, 0.01)


def _checkpoint(
    phase: Phase, run: Path, state: PhaseState, learner: Learner, minutes: float
) -> None:
    """Save the state; write and validate the averaged weights as this phase's part of the codec."""
    if process_rank() > 0:
        return
    save_state(run / f"phase-{phase.name}", state, learner)

    # The phase validates and writes its own module, so the means replace the weights meanwhile.
    live = {name: p.detach().clone() for name, p in learner.parameters.items()}
    with torch.no_grad():
        for name, mean in learner.means.items():
            learner.parameters[name].copy_(mean)
        figures = phase.validate(run / f"phase-{phase.name}")
        phase.finish(run)
        for name, value in live.items():
            learner.parameters[name].copy_(value)

    _report(phase, run, state, {f"val_{k}": v for k, v in figures.items()}, minutes)
    record_phase(run, phase.name, state)


def _report(
    phase: Phase, run: Path, state: PhaseState, figures: dict[str, float], minutes: float
) -> None:
    if process_rank() > 0:
        return
    left_min = max(0.0, minutes - state.elapsed_s / 60.0)
    text = "  ".join(f"{key} {value:.4g}" for key, value in figures.items())
    log.info("phase %s  step %d  %s  %.0f min left", phase.name, state.step, text, left_min)

    # One row per figure: training and validation do not log the same ones.
    with (run / f"phase-{phase.name}.csv").open("a", newline="") as file:
        rows = csv.writer(file)
        for key, value in figures.items():
            rows.writerow([state.step, f"{state.elapsed_s:.1f}", key, f"{value:.6g}"])


def record_phase(run: Path, name: str, state: PhaseState) -> None:
    """Write to `summary-NAME.json` the work of a phase so far, and its place in the run."""
    path = run / f"summary-{name}.json"
    number = len(list(run.glob("summary-*.json")))
    if path.exists():
        number = json.loads(path.read_text()).get("number", number)
    write_json(
        path,
        {
            "phase": name,
            "number": number,
            "steps": state.step,
            "minutes": round(state.elapsed_s / 60.0, 1),
            "threads": torch.get_num_threads() * n_processes(),
            "command": training_command(sys.argv),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        },
    )


def training_command(argv: Sequence[str]) -> str:
    """Return the command line with folders reduced to their names."""
    # The command goes into model cards, where the location of folders is of no use to others.
    arguments = (Path(argument).name if "/" in argument else argument for argument in argv[1:])
    return shlex.join(["luxvox", *arguments])


def log_to_stderr() -> None:
    """Show the log on standard error, unless the caller has set it up."""
    logger = logging.getLogger("luxvox")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
