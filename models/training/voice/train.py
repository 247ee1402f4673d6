"""`luxvox train speech`: the phases in order, each from the run folder's parts and back to them.

| phase | what learns | from |
| --- | --- | --- |
| 0 | nothing: principal directions, k-means codebooks, static tables | voices |
| 3 | analysis, codebooks and synthesis together | voices |
| 1 | context model | codes of the final analysis |
| 2 | synthesis alone | the same codes, and voices |

The latents move in phase 3, so the context model comes after it. Phase 1 stores codes; begun a
second time, it has some of them chosen by the context model, as the encoder does. Phase 2 may run
next to it from then on.
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
from luxvox.models.cards import read_card
from luxvox.models.training.loop import (
    Phase,
    Progress,
    log_to_stderr,
    record_phase,
    save_atomically,
    train,
    write_json,
)
from luxvox.models.training.provenance import core_hours, sources
from luxvox.models.training.voice.context_phase import (
    CONTEXT_FILE,
    SpeechContextPhase,
    codes_fit,
    fitting_context,
    load_speech_context,
    save_speech_context,
    store_speech_codes,
)
from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.initialise import untrained_speech_model, widened, with_stages
from luxvox.models.training.voice.phases import (
    MODEL_FILE,
    JointSpeechPhase,
    SpeechSynthesisPhase,
    load_speech_model,
)
from luxvox.models.training.voice.twin import ContextTwins, speech_twins
from luxvox.models.voice.networks import LEVEL, SpeechConfig, SpeechModel
from luxvox.models.voice.weights import load_voice_codec

log = logging.getLogger(__name__)

SHARES = {"3": 0.6, "1": 0.2, "2": 0.2}
"""What each phase gets of the minutes when all are trained in turn; phase 0 takes two or so."""

PHASES = ("0", "1", "2", "3")
HELD_BACK = 40  # every 40th recording is never trained on, but validated on
SEED = 0
STAGES = range(4, 61)  # no fewer than the first section has, no more than a loader takes


NEW = SpeechConfig(n_stages=28, finest_depth=36.4, slope_rise=3.253808867751506, wide_width=384)
"""The networks of new models: those of `voice-5`, and wide paths."""


@dataclasses.dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        init: model card of weights, or folder of a run.
        stages: that the residual VQ is to have.
        widen: whether networks get the wide paths they lack.
    """

    init: Path
    stages: int | None
    widen: bool

    def __post_init__(self) -> None:
        if self.stages is not None and self.stages not in STAGES:
            raise UsageError(f"{self.stages} stages, legal: {STAGES[0]}..{STAGES[-1]}")

    def core_hours(self) -> float:
        """Return what the training of the weights took, and of those that it began with."""
        if self.init.is_dir():
            return core_hours(self.init)
        card = read_card(self.init.with_suffix(".json"))
        hours: float = card.extra["training"]["core_hours"]
        return hours

    def load(self) -> tuple[SpeechModel, ContextTwins]:
        """Return the networks, and the context model that training goes on from."""
        log.info("starting from %s", self.init.stem)
        if self.init.is_dir():
            model = load_speech_model(self.init)
            return model, load_speech_context(model, self.init)
        codec = load_voice_codec(self.init.with_suffix(".json"))
        level = codec.context.levels[LEVEL]
        twins = speech_twins(codec.model, level.shape.width, level.shape.hidden)
        twins.twin(LEVEL).start_from_integers(level.tensors)
        return codec.model.requires_grad_(True), twins


@dataclasses.dataclass(frozen=True)
class Job:
    """What `train_speech` was asked for, once."""

    run: Path
    training: Recordings
    held_back: Recordings
    resume: bool
    half_precision: bool


def train_speech(  # noqa: PLR0913 – one argument an option
    data: Sequence[Path],
    out: Path,
    minutes: float,
    phase: str | None = None,
    *,
    init: Path | None = None,
    resume: bool = False,
    half_precision: bool = False,
    stages: int | None = None,
    widen: bool = False,
) -> None:
    """Train the voice codec.

    Args:
        data: folders of recordings, 16 kHz.
        out: run folder, made if it is missing.
        minutes: how long the phase is to train in all, resumes included; if no phase is given,
            all phases together.
        phase: one of `PHASES`; all in turn by default.
        init: model card of weights, or another run's folder, to start from, instead of phase 0.
        resume: go on from the run folder's last checkpoint of the phase.
        half_precision: compute the networks in bfloat16, which processors with matrix units
            (AMX) do several times faster.
        stages: how many of the residual VQ the weights are to have that training starts from.
        widen: give them the wide paths that they lack, which change nothing before training.

    Raises:
        UsageError: if phase, minutes, stages or the state of the run folder do not allow it.
        InputError: if there are no recordings.
    """
    _check(minutes, phase, init, stages is not None or widen)
    log_to_stderr()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    out.mkdir(parents=True, exist_ok=True)
    training, held_back = Recordings(data).split(HELD_BACK)
    job = Job(out, training, held_back, resume, half_precision)
    start = None if init is None else Start(init, stages, widen)
    if phase in (None, "0") and not (resume and (out / "run.json").exists()):
        torch.manual_seed(SEED)
        _begin(job, data, start)
    if not (out / "run.json").exists():
        raise UsageError(f"{out}: phase {phase} needs phase 0 first")
    for name in [phase] if phase else list(SHARES):
        if name != "0":
            share = SHARES[name] if phase is None else 1.0
            torch.manual_seed(SEED)
            train(_phase(name, job), out, minutes * share, resume, SEED)


def _check(minutes: float, phase: str | None, init: Path | None, changed: bool) -> None:
    if phase is not None and phase not in PHASES:
        raise UsageError(f"phase {phase!r} is unknown, legal: {', '.join(PHASES)}")
    if not minutes > 0:
        raise UsageError(f"{minutes:g} minutes, legal: more than 0")
    if changed and (init is None or phase not in (None, "0")):
        raise UsageError("stages and wide paths need weights to start from, and phase 0")


def _begin(job: Job, data: Sequence[Path], weights: Start | None) -> None:
    """Phase 0, or its place taken by weights; nothing of an earlier run stays."""
    start = time.monotonic()
    for pattern in ("phase-*.*", "summary-*", "context.*"):
        for stale in job.run.glob(pattern):
            stale.unlink()
    for folder in _codes(job):
        shutil.rmtree(folder, ignore_errors=True)
    if weights is None:
        model = untrained_speech_model(job.training, NEW, SEED)
    else:
        model = _started(job, weights)
    save_atomically(dict(model.state_dict()), job.run / MODEL_FILE)
    record = {
        "config": dataclasses.asdict(model.config),
        "sources": sources(list(data), "recordings"),
        "earlier_core_hours": 0.0 if weights is None else weights.core_hours(),
    }
    write_json(job.run / "run.json", record)
    record_phase(job.run, "0", Progress(elapsed_s=time.monotonic() - start))


def _started(job: Job, start: Start) -> SpeechModel:
    """Return the model to start from, as it is wanted, and write its context model."""
    model, twins = start.load()
    if start.widen:
        model = widened(model, NEW)
    if start.stages in (None, model.config.n_stages):
        save_speech_context(model, twins, job.run)
        return model
    level = twins.runtime_level(LEVEL)
    more, n_kept = with_stages(model, job.training, start.stages, SEED)
    new = speech_twins(more, level.shape.width, level.shape.hidden)
    new.twin(LEVEL).start_from_stages(level.tensors, twins.plan[0], n_kept)
    save_atomically(dict(new.state_dict()), job.run / CONTEXT_FILE)  # of other codes
    return more


def _codes(job: Job) -> tuple[Path, Path]:
    return job.run / "codes", job.run / "codes-held-back"


def _phase(name: str, job: Job) -> Phase:
    model = load_speech_model(job.run)
    if name == "3":
        return JointSpeechPhase(model, job.training, job.held_back, job.half_precision)
    folders = _codes(job)
    fit = all(codes_fit(model, folder) for folder in folders)
    if name == "2":
        if not fit:
            raise UsageError(f"{job.run}: phase 2 needs the codes that phase 1 stores")
        half = job.half_precision
        return SpeechSynthesisPhase(model, job.training, job.held_back, folders[0], half)
    if not (job.resume and fit):
        _store(model, job)
    phase = SpeechContextPhase(model, *folders)
    if (job.run / CONTEXT_FILE).exists():
        phase.twins = load_speech_context(model, job.run)
    return phase


def _store(model: SpeechModel, job: Job) -> None:
    """Store codes of all recordings, as the encoder would choose them."""
    context = fitting_context(model, job.run)
    for seed, (voices, folder) in enumerate(
        zip((job.training, job.held_back), _codes(job), strict=True), start=SEED
    ):
        store_speech_codes(model, voices, folder, seed, context)
