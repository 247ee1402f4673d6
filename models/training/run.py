"""A training run: the phases of a kind in order; each reads the run folder's parts and writes them.

A `Recipe` holds the differences between kinds. Under `torchrun` several processes train together;
each draws its own batches.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import distributed

from luxvox.errors import UsageError
from luxvox.models.training.checkpoints import PhaseState, rate_of_state, write_json
from luxvox.models.training.loop import (
    Phase,
    log_to_stderr,
    process_rank,
    record_phase,
    train,
    wait_for_all,
)
from luxvox.models.training.provenance import history, sources

log = logging.getLogger(__name__)

START = "start"
RUN_FILE = "run.json"
SEED = 0
_TIMEOUT = timedelta(minutes=30)  # for processes waiting for the first one to validate

Data = TypeVar("Data")
Fit = Callable[[], None]
"""A phase without gradients, which has no limit of time."""


@dataclasses.dataclass(frozen=True)
class Job:
    """A training run as requested.

    Attributes:
        data: folders of pictures, or of recordings at 16 kHz.
        run: run folder, made if it is missing.
        minutes: how long a phase trains in all, including resumes; if no phase is given, how long
            all phases train together.
        phase: one of the recipe's; all in turn by default.
        init: what to start from instead of nothing: a run folder, or the model card of weights.
        resume: continue from the run folder's last checkpoint of the phase.
        device: `cpu` or `cuda`; voices train on `cpu`.
        overwrite: train a finished phase again.
        learning_rate: of the phase, before it falls; otherwise the phase's own.
        bfloat16: compute the networks in bfloat16.
        compiled: compile the networks' blocks, which needs a C++ compiler; pictures only.
    """

    data: tuple[Path, ...]
    run: Path
    minutes: float
    phase: str | None = None
    init: Path | None = None
    resume: bool = False
    device: str = "cpu"
    overwrite: bool = False
    learning_rate: float | None = None
    bfloat16: bool = True
    compiled: bool = False


class Recipe(Protocol[Data]):
    """How the models of a kind are trained."""

    @property
    def command(self) -> str:
        """Return the subcommand of `luxvox train` that trains them."""

    @property
    def noun(self) -> str:
        """Return what they are trained on."""

    @property
    def shares(self) -> Mapping[str, float]:
        """Return the phases after `START` in order, and the share of the minutes that each gets.

        Phases without a share take as long as they need.
        """

    def read(self, folders: Sequence[Path]) -> tuple[Data, Data]:
        """Return the data to train on, and the held-back data.

        Raises:
            InputError: if there are too few.
        """

    def start(self, job: Job, training: Data) -> Any:
        """Write the initial parts into the run folder; nothing of an earlier run remains.

        Returns:
            The configuration of the model, a dataclass.
        """

    def phase(self, name: str, job: Job, data: tuple[Data, Data]) -> Phase | Fit:
        """Return a phase after `START`.

        Raises:
            UsageError: if the run folder lacks something that it needs.
        """


def train_model(recipe: Recipe[Data], job: Job) -> None:
    """Train a model by a recipe.

    Raises:
        UsageError: if phase or minutes are illegal, or the run folder does not allow it.
        InputError: if there are no data.
    """
    _check(recipe, job)
    log_to_stderr()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    _join_processes(job.device)
    job.run.mkdir(parents=True, exist_ok=True)
    data = recipe.read(job.data)

    # A resume continues from the parts that the run folder holds.
    if job.phase in (None, START) and not (job.resume and (job.run / RUN_FILE).exists()):
        _begin(recipe, job, data[0])
    if not (job.run / RUN_FILE).exists():
        raise UsageError(f"{job.run}: phase {job.phase} needs phase {START} first")

    # A phase on its own gets all the minutes; all phases together share them.
    for name, share in recipe.shares.items():
        if job.phase in (None, name):
            minutes = job.minutes * (share if job.phase is None else 1.0)
            _run(recipe, dataclasses.replace(job, phase=name, minutes=minutes), data)
    _log_next_command(recipe, job)


def _check(recipe: Recipe[Data], job: Job) -> None:
    phases = (START, *recipe.shares)
    if job.phase is not None and job.phase not in phases:
        raise UsageError(f"phase {job.phase!r} is unknown, legal: {', '.join(phases)}")
    if not job.minutes > 0:
        raise UsageError(f"{job.minutes:g} minutes, legal: more than 0")

    if job.learning_rate is not None:
        if job.phase == START:
            raise UsageError(f"phase {START} has no learning rate")
        if job.phase is None:
            raise UsageError("--learning-rate applies to one phase: name it with --phase")
        if not 0.0 < job.learning_rate <= 1.0:
            raise UsageError(f"learning rate {job.learning_rate:g}, legal: more than 0, at most 1")

    # A command given twice must not destroy hours of training.
    if job.resume or job.overwrite:
        return
    names = phases if job.phase is None else (job.phase,)
    finished = [name for name in names if (job.run / f"summary-{name}.json").exists()]
    if finished:
        raise UsageError(
            f"{job.run} holds a run of phase {', '.join(finished)}; --resume continues it, "
            "--overwrite starts over"
        )


def _join_processes(device: str) -> None:
    """Connect to the other processes of a `torchrun`, if there are any."""
    if "RANK" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_TIMEOUT)


def _begin(recipe: Recipe[Data], job: Job, training: Data) -> None:
    """Write the initial parts and the run's description, in one process."""
    if process_rank() == 0:
        start = time.monotonic()
        torch.manual_seed(SEED)
        config = recipe.start(job, training)
        hours, phases = (0.0, []) if job.init is None else history(job.init)

        # Checkpoints and summaries of an earlier run would be mistaken for this one's. They are
        # removed once the start is made, which may fail, or count the hours of this very folder.
        for old_file in [*job.run.glob("phase-*.*"), *job.run.glob("summary-*")]:
            old_file.unlink(missing_ok=True)
        record = {
            "config": dataclasses.asdict(config),
            "sources": sources(list(job.data), recipe.noun),
            "earlier_core_hours": hours,
            "earlier_phases": phases,
        }
        write_json(job.run / RUN_FILE, record)
        record_phase(job.run, START, PhaseState(elapsed_s=time.monotonic() - start))

    # The others read what the first one writes.
    wait_for_all()


def _run(recipe: Recipe[Data], job: Job, data: tuple[Data, Data]) -> None:
    """Train one phase."""
    assert job.phase is not None
    # The first process may still be writing the parts of the previous phase.
    wait_for_all()
    torch.manual_seed(SEED)
    phase = recipe.phase(job.phase, job, data)

    # A fit has no batches to share out, so one process does it alone.
    if not callable(phase):
        _set_learning_rate(phase, job)
        train(phase, job.run, job.minutes, job.resume, SEED)
    elif job.learning_rate is not None:
        raise UsageError(f"phase {job.phase} has no learning rate")
    elif process_rank() == 0:
        start = time.monotonic()
        phase()
        record_phase(job.run, job.phase, PhaseState(elapsed_s=time.monotonic() - start))


def _set_learning_rate(phase: Phase, job: Job) -> None:
    """Give a phase the learning rate that was asked for; a resume keeps its own."""
    if job.learning_rate is None:
        return
    path = job.run / f"phase-{phase.name}"
    if job.resume and path.with_suffix(".json").exists():
        before = rate_of_state(path)
        if before is not None and before != job.learning_rate:
            raise UsageError(f"phase {phase.name} began with a learning rate of {before:g}")
    phase.learning_rate = job.learning_rate


def _log_next_command(recipe: Recipe[Data], job: Job) -> None:
    if process_rank() > 0:
        return

    # After the last phase only the export remains.
    phases = [START, *recipe.shares]
    number = len(phases) - 1 if job.phase is None else phases.index(job.phase)
    if number + 1 < len(phases):
        following = phases[number + 1]
        log.info("next: luxvox train %s … --out %s --phase %s", recipe.command, job.run, following)
    else:
        log.info("next: luxvox train export %s", job.run)
