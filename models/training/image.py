"""`luxvox train image`: the phases in order, each from the run folder's parts and back to them.

| phase | what learns | from |
| --- | --- | --- |
| 0 | nothing: DCT networks, Lloyd codebooks, static tables | pictures |
| 1 | context model | codes chosen by static rates |
| 1-top | context model of the top level alone, after 1 | the same codes |
| 2 | synthesis network | pictures and their codes |
| 3 | analysis, gains, codebooks and synthesis together | pictures |
| 4 | context model again | codes chosen by the context model's own rates |

Phases 1 and 2 both start from phase 0 and may run side by side.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from luxvox.errors import UsageError
from luxvox.models.catalogue import load_picture_codec
from luxvox.models.context import picture_twins
from luxvox.models.image import ImageConfig, PictureModel
from luxvox.models.training.context_phase import TOP_PHASE, ContextPhase, load_context, store_codes
from luxvox.models.training.data import Pictures
from luxvox.models.training.export import sources
from luxvox.models.training.initialise import untrained_model
from luxvox.models.training.joint_phase import JointPhase
from luxvox.models.training.loop import (
    Phase,
    Progress,
    log_to_stderr,
    record_phase,
    save_atomically,
    train,
    write_json,
)
from luxvox.models.training.phases import SynthesisPhase, load_parts, run_config, save_parts

log = logging.getLogger(__name__)

SHARES = {"1": 0.45, "2": 0.4, "4": 0.15}
"""What each phase gets of the minutes when all are trained in turn; phase 0 takes two or so."""

PHASES = ("0", "1", TOP_PHASE, "2", "3", "4")
CONTEXT_FILE = "context.safetensors"
HELD_BACK = 50  # every 50th picture is never trained on, but validated on
SEED = 0


@dataclasses.dataclass(frozen=True)
class Job:
    """What `train_image` was asked for, once."""

    run: Path
    training: Pictures
    held_back: Pictures
    resume: bool
    device: str


def train_image(  # noqa: PLR0913
    data: Sequence[Path],
    out: Path,
    minutes: float,
    phase: str | None = None,
    init: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
) -> None:
    """Train the picture codec.

    Args:
        data: folders of pictures.
        out: run folder, made if it is missing.
        minutes: how long the phase is to train in all, resumes included; if no phase is given,
            all phases together.
        phase: one of `PHASES`; all in turn by default.
        init: model card of weights to start from, instead of phase 0.
        resume: go on from the run folder's last checkpoint of the phase.
        device: `cpu` or `cuda`; phase 2 uses it, the others run on the CPU.

    Raises:
        UsageError: if phase, minutes or the state of the run folder do not allow it.
        InputError: if there are no pictures.
    """
    if phase is not None and phase not in PHASES:
        raise UsageError(f"phase {phase!r} is unknown, legal: {', '.join(PHASES)}")
    if not minutes > 0:
        raise UsageError(f"{minutes:g} minutes, legal: more than 0")
    log_to_stderr()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    out.mkdir(parents=True, exist_ok=True)
    training, held_back = Pictures(data).split(HELD_BACK)
    job = Job(out, training, held_back, resume, device)
    if phase in (None, "0") and not (resume and (out / "run.json").exists()):
        torch.manual_seed(SEED)
        _begin(job, data, init)
    if not (out / "run.json").exists():
        raise UsageError(f"{out}: phase {phase} needs phase 0 first")
    for name in [phase] if phase else list(SHARES):
        if name != "0":
            share = SHARES[name] if phase is None else 1.0
            torch.manual_seed(SEED)
            train(_phase(name, job), out, minutes * share, resume, SEED)


def _begin(job: Job, data: Sequence[Path], init: Path | None) -> None:
    """Phase 0, or its place taken by weights; nothing of an earlier run stays."""
    start = time.monotonic()
    for stale in [*job.run.glob("phase-*.*"), *job.run.glob("summary-*"), job.run / CONTEXT_FILE]:
        stale.unlink(missing_ok=True)
    for name in ("codes", "codes-held-back", "codes-4", "codes-4-held-back"):
        shutil.rmtree(job.run / name, ignore_errors=True)
    if init is None:
        model = untrained_model(job.training, ImageConfig(), SEED)
    else:
        codec = load_picture_codec(init.with_suffix(".json"))
        model = codec.model
        twins = picture_twins(model)
        for name, level in codec.context.levels.items():
            twins.twin(name).start_from_integers(level.tensors)
        save_atomically(dict(twins.state_dict()), job.run / CONTEXT_FILE)
        log.info("starting from %s", codec.card.id)
    save_parts(model, job.run)
    config = dataclasses.asdict(model.config)
    write_json(job.run / "run.json", {"config": config, "sources": sources(list(data), "pictures")})
    record_phase(job.run, "0", Progress(elapsed_s=time.monotonic() - start))


def _phase(name: str, job: Job) -> Phase:
    model = PictureModel(run_config(job.run))
    load_parts(model, job.run)
    if name == "2":
        return SynthesisPhase(model.to(job.device), job.training, job.held_back)
    if name == "3":
        return JointPhase(model, job.training, job.held_back)
    codes = "codes-4" if name == "4" else "codes"
    if name != "1" and not (job.run / CONTEXT_FILE).exists():
        raise UsageError(f"{job.run}: phase {name} needs phase 1 first")
    if name != TOP_PHASE and not job.resume:  # the analysis may have learnt since
        shutil.rmtree(job.run / codes, ignore_errors=True)
        shutil.rmtree(job.run / f"{codes}-held-back", ignore_errors=True)
    context = None
    if name == "4":
        twins = picture_twins(model)
        load_context(twins, job.run)
        context = twins.runtime()
    if not (job.run / f"{codes}-held-back" / "wide-positions.npy").exists():
        store_codes(model, job.training, job.run / codes, SEED, context)
        store_codes(model, job.held_back, job.run / f"{codes}-held-back", SEED + 1, context)
    phase = ContextPhase(model, job.run, name, codes)
    if name != "1":
        load_context(phase.twins, job.run)
    return phase
