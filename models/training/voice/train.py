"""`luxvox train speech`: the phases of voice training.

| phase | what learns | from |
| --- | --- | --- |
| start | nothing: principal directions, k-means codebooks, static tables | voices |
| joint | analysis, codebooks and synthesis together | voices |
| synthesis | synthesis and codebooks | voices, their codes corrected as by the encoder |
| context | context model | codes of the final analysis |

Codes depend on everything that the other phases change, so the context model comes last. Its phase
stores codes first; when it is trained again, the context model chooses some of them, as in the
encoder.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from luxvox.errors import UsageError
from luxvox.models.training.checkpoints import save_atomically
from luxvox.models.training.loop import Phase, process_rank, wait_for_all
from luxvox.models.training.provenance import earlier_core_hours
from luxvox.models.training.run import SEED, Fit, Job
from luxvox.models.training.voice.context_phase import (
    CONTEXT_FILE,
    SpeechContextPhase,
    load_speech_context,
    save_speech_context,
    useful_context,
)
from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.equalise import equalise
from luxvox.models.training.voice.initialise import untrained_speech_model, widen, with_stages
from luxvox.models.training.voice.phases import (
    MODEL_FILE,
    JointSpeechPhase,
    load_speech_model,
)
from luxvox.models.training.voice.stored_codes import codes_fit, store_speech_codes
from luxvox.models.training.voice.synthesis_phase import SpeechSynthesisPhase
from luxvox.models.training.voice.twin import ContextTwins, speech_twins, with_new_taps
from luxvox.models.voice.networks import LEVEL, SpeechConfig, SpeechModel
from luxvox.models.voice.weights import load_voice_codec

log = logging.getLogger(__name__)

JOINT, CONTEXT, SYNTHESIS = "joint", "context", "synthesis"
STAGES = range(4, 61)  # at least the first section, at most the limit of the loader
NEW = SpeechConfig(
    n_stages=28,
    finest_depth=36.4,
    coarsest_slope=0.0,
    finest_slope=1.305,
    slope_rise=3.35,
    wide_width=384,
    wide_synthesis=(1, 2, 4, 1, 2, 4, 1, 2, 1, 1, 2, 1, 2, 1, 2, 1, 2),
    fine=(1, 2, 4, 8, 1, 2, 1, 2),
)
"""The networks of new models."""


@dataclasses.dataclass(frozen=True)
class VoiceRecipe:
    """How voices are trained.

    Attributes:
        stages: number of stages of residual VQ; unchanged by default.
        widen: whether the initial weights get the wide paths, the blocks, and the taps of the
            context model that they lack, which change nothing before training.
        equalise: whether the latents get a basis in which all errors are about equally audible.
        keep_codebooks: whether the synthesis phase leaves the codebooks as they are.
        config: the networks of new models.
        held_back: every n-th recording is used for validation and never for training.
        first_rate, later_rate: learning rates of the joint phase, from nothing and from trained
            weights: at 6e-4 the latter lost 0.1 of PESQ-WB in the first minutes.

    Raises:
        UsageError: if the number of stages is out of range.
    """

    stages: int | None = None
    widen: bool = False
    equalise: bool = False
    keep_codebooks: bool = False
    config: SpeechConfig = NEW
    held_back: int = 40
    first_rate: float = 5e-4
    later_rate: float = 2e-4

    def __post_init__(self) -> None:
        if self.stages is not None and self.stages not in STAGES:
            raise UsageError(f"{self.stages} stages, legal: {STAGES[0]}..{STAGES[-1]}")

    @property
    def command(self) -> str:
        """Return the name of the subcommand."""
        return "speech"

    @property
    def noun(self) -> str:
        """Return the word for training data."""
        return "recordings"

    @property
    def shares(self) -> Mapping[str, float]:
        """Return the phases, and each one's share of the minutes."""
        return {JOINT: 0.6, SYNTHESIS: 0.2, CONTEXT: 0.2}

    def read(self, folders: Sequence[Path]) -> tuple[Recordings, Recordings]:
        """Return the recordings to train on, and the held-back ones."""
        return Recordings(folders).split(self.held_back)

    def start(self, job: Job, training: Recordings) -> SpeechConfig:
        """Write a linear codec, or the networks that training continues from."""
        if job.init is None and (self.stages is not None or self.widen or self.equalise):
            raise UsageError("--stages, --widen and --equalise need weights to start from (--init)")
        self._refuse_to_keep_codebooks()

        twins = None
        if job.init is None:
            model = untrained_speech_model(training, self.config, SEED)
        else:
            log.info("starting from %s", job.init.stem)
            model, twins = _load_networks(job.init)
            if self.widen:
                model, twins = widen(model, self.config), with_new_taps(twins, model)
            if self.stages not in (None, model.config.n_stages):
                model, twins = _with_stages(model, twins, training, self.stages)
            if self.equalise:
                equalise(model, training, SEED)

        # Codes and context models of an earlier run do not belong to this one's networks. They are
        # removed once the start is made, which may fail, or start from this very folder.
        for old_file in job.run.glob("context.*"):
            old_file.unlink()
        for folder in _codes(job.run):
            shutil.rmtree(folder, ignore_errors=True)
        if twins is not None:
            save_speech_context(twins, job.run)
        save_atomically(dict(model.state_dict()), job.run / MODEL_FILE)
        return model.config

    def phase(self, name: str, job: Job, data: tuple[Recordings, Recordings]) -> Phase | Fit:
        """Return a phase; the context phase stores codes first."""
        if name != SYNTHESIS:
            self._refuse_to_keep_codebooks()
        model = load_speech_model(job.run)

        # Trained weights need smaller steps than a linear codec.
        if name == JOINT:
            rate = self.first_rate if earlier_core_hours(job.run) == 0.0 else self.later_rate
            return JointSpeechPhase(model, *data, job.bfloat16, rate)

        if name == SYNTHESIS:
            learns_codewords = not self.keep_codebooks
            return SpeechSynthesisPhase(
                model, *data, job.bfloat16, learns_codewords=learns_codewords
            )

        # A resume continues with the stored codes, unless the analysis has changed.
        folders = _codes(job.run)
        if not (job.resume and all(codes_fit(model, folder) for folder in folders)):
            if process_rank() == 0:
                _store(model, job.run, data)
            wait_for_all()
        phase = SpeechContextPhase(model, *folders)
        if (job.run / CONTEXT_FILE).exists():
            phase.continue_with(load_speech_context(model, job.run))
        return phase

    def _refuse_to_keep_codebooks(self) -> None:
        if self.keep_codebooks:
            raise UsageError("only phase synthesis can keep the codebooks: name it (--phase)")


def _load_networks(init: Path) -> tuple[SpeechModel, ContextTwins]:
    """Return the networks and the context model of a run folder, or of a card's weights."""
    if init.is_dir():
        model = load_speech_model(init)
        return model, load_speech_context(model, init)

    # A weights file holds the integers of the context model, from which its twin starts.
    codec = load_voice_codec(init.with_suffix(".json"))
    level = codec.context.levels[LEVEL]
    twins = speech_twins(codec.model, level.shape)
    twins.twin(LEVEL).start_from_integers(level.tensors)
    return codec.model.requires_grad_(True), twins


def _with_stages(
    model: SpeechModel, twins: ContextTwins, voices: Recordings, n_stages: int
) -> tuple[SpeechModel, ContextTwins]:
    """Return a model with another number of stages, and a context model to start from."""
    level = twins.runtime_level(LEVEL)
    more, n_kept = with_stages(model, voices, n_stages, SEED)
    new = speech_twins(more, level.shape)
    new.twin(LEVEL).start_from_stages(level.tensors, twins.plan[0], n_kept)
    return more, new


def _codes(run: Path) -> tuple[Path, Path]:
    return run / "codes", run / "codes-held-back"


def _store(model: SpeechModel, run: Path, data: tuple[Recordings, Recordings]) -> None:
    """Store the codes of all recordings, training and held-back."""
    context = useful_context(model, run, data[1])
    for seed, (voices, folder) in enumerate(zip(data, _codes(run), strict=True), start=SEED):
        store_speech_codes(model, voices, folder, seed, context)
