"""`luxvox train image`: the phases in order, each from the run folder's parts and back to them.

| phase | what learns | from |
| --- | --- | --- |
| start | nothing: the linear transform | pictures |
| joint | all parts together | pictures |
| tables | tables of counts, which needs no more than some minutes | codes of the encoder |

Several processes train together under `torchrun`; each takes batches of its own.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import time
from datetime import timedelta
from pathlib import Path

import torch
from torch import distributed

from luxvox.errors import UsageError
from luxvox.models.picture.conditions import PictureConfig
from luxvox.models.training.loop import (
    Progress,
    log_to_stderr,
    process_rank,
    record_phase,
    train,
    write_json,
)
from luxvox.models.training.picture.data import Pictures, to_units
from luxvox.models.training.picture.initialise import untrained_model
from luxvox.models.training.picture.joint import JointPhase
from luxvox.models.training.picture.parts import (
    PARTS_FILE,
    PictureParts,
    load_parts,
    parts_of_weights,
    save_parts,
)
from luxvox.models.training.picture.tables import fit_tables
from luxvox.models.training.provenance import sources

log = logging.getLogger(__name__)

START = "start"
JOINT, TABLES = "joint", "tables"
PHASES = (START, JOINT, TABLES)
HELD_BACK = 50  # every 50th picture is never trained on, but validated on
SEED = 0
# Learning rates from the linear transform, and from weights that were trained: at 4e-4 their loss
# rose by a third before it fell.
FIRST_RATE, LATER_RATE = 4e-4, 3e-4
_TIMEOUT = timedelta(minutes=30)  # for processes that wait for the first one to validate


@dataclasses.dataclass(frozen=True)
class PictureJob:
    """What a training of pictures was asked for.

    Attributes:
        data: folders of pictures.
        run: run folder, made if it is missing.
        minutes: how long the joint phase trains in all, resumes included.
        phase: one of `PHASES`; all in turn by default.
        init: what to start from instead of the linear transform: a run folder, or the model card
            of weights.
        resume: go on from the run folder's last checkpoint of the phase.
        device: `cpu` or `cuda`.
        overwrite: train a finished phase again.
        bfloat16: compute the networks in bfloat16.
        compiled: compile the networks' blocks, which needs a C++ compiler.
    """

    data: tuple[Path, ...]
    run: Path
    minutes: float
    phase: str | None = None
    init: Path | None = None
    resume: bool = False
    device: str = "cpu"
    overwrite: bool = False
    bfloat16: bool = True
    compiled: bool = False


def train_pictures(job: PictureJob) -> None:
    """Train the picture codec.

    Raises:
        UsageError: if phase, minutes or the state of the run folder do not allow it.
        InputError: if there are no pictures.
    """
    _check(job)
    log_to_stderr()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    _join_processes(job.device)
    job.run.mkdir(parents=True, exist_ok=True)
    data = Pictures(job.data).split(HELD_BACK)
    if job.phase in (None, START) and not (job.resume and (job.run / PARTS_FILE).exists()):
        _begin(job, data[0])
    if not (job.run / PARTS_FILE).exists():
        raise UsageError(f"{job.run}: phase {job.phase} needs phase {START} first")
    if job.phase in (None, JOINT):
        torch.manual_seed(SEED)
        rate = FIRST_RATE if _hours_before(job.run) == 0.0 else LATER_RATE
        phase = JointPhase(load_parts(job.run), data, job.device, job.bfloat16, rate)
        if job.compiled:
            phase.compile()
        train(phase, job.run, job.minutes, job.resume, SEED)
    if job.phase in (None, TABLES):
        _fit_tables(job, data[0])
    _say_what_is_next(job)


def _check(job: PictureJob) -> None:
    if job.phase is not None and job.phase not in PHASES:
        raise UsageError(f"phase {job.phase!r} is unknown, legal: {', '.join(PHASES)}")
    if not job.minutes > 0:
        raise UsageError(f"{job.minutes:g} minutes, legal: more than 0")
    if job.resume or job.overwrite:
        return
    names = PHASES if job.phase is None else (job.phase,)
    finished = [name for name in names if (job.run / f"summary-{name}.json").exists()]
    if finished:
        raise UsageError(
            f"{job.run} holds a run of phase {', '.join(finished)}; --resume goes on with it, "
            "--overwrite starts again"
        )


def _join_processes(device: str) -> None:
    """Meet the other processes of a `torchrun`, if there are any."""
    if "RANK" in os.environ and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=_TIMEOUT)


def _begin(job: PictureJob, training: Pictures) -> None:
    """Write the parts to start from; nothing of an earlier run stays."""
    start = time.monotonic()
    if process_rank() == 0:
        for stale in [*job.run.glob("phase-*.*"), *job.run.glob("summary-*")]:
            stale.unlink(missing_ok=True)
        torch.manual_seed(SEED)
        earlier_hours = 0.0
        if job.init is None:
            log.info("measuring the linear transform on %d pictures", len(training))
            pictures = [to_units(p) for p in training.pictures]
            parts = PictureParts(untrained_model(pictures, PictureConfig()))
        else:
            log.info("starting from %s", job.init)
            if job.init.is_dir():
                parts, earlier_hours = load_parts(job.init), _hours_behind(job.init)
            else:
                parts, earlier_hours = parts_of_weights(job.init)
        record = {
            "config": dataclasses.asdict(parts.model.config),
            "sources": sources(list(job.data), "pictures"),
            "earlier_core_hours": earlier_hours,
        }
        write_json(job.run / "run.json", record)
        save_parts(parts, job.run)
        record_phase(job.run, START, Progress(elapsed_s=time.monotonic() - start))
    if distributed.is_initialized():
        distributed.barrier()


def _fit_tables(job: PictureJob, training: Pictures) -> None:
    """Fit the tables of counts; one process does it alone."""
    if process_rank() > 0:
        return
    start = time.monotonic()
    parts = load_parts(job.run)
    fit_tables(parts, training)
    save_parts(parts, job.run)
    record_phase(job.run, TABLES, Progress(elapsed_s=time.monotonic() - start))


def _hours_behind(run: Path) -> float:
    """Return the core-hours of a run folder, those it started from included."""
    phases = [json.loads(p.read_text()) for p in run.glob("summary-*.json")]
    later: float = sum(one["minutes"] * one["threads"] for one in phases) / 60.0
    return _hours_before(run) + later


def _hours_before(run: Path) -> float:
    """Return the core-hours of what a run started from."""
    hours: float = json.loads((run / "run.json").read_text()).get("earlier_core_hours", 0.0)
    return hours


def _say_what_is_next(job: PictureJob) -> None:
    if process_rank() > 0:
        return
    following = {START: JOINT, JOINT: TABLES}.get(job.phase or "")
    if following:
        log.info("next: luxvox train image … --out %s --phase %s", job.run, following)
    else:
        log.info("next: luxvox train export %s", job.run)
