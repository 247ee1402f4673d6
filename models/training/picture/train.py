"""`luxvox train image`: the phases of picture training.

| phase | what learns | from |
| --- | --- | --- |
| start | nothing: the linear transform | pictures |
| joint | all parts together | pictures |
| context | only the context model | codes, rounded with a small dead zone |
| tables | tables of counts, which takes only a few minutes | codes of the encoder |
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from luxvox.errors import UsageError
from luxvox.models.picture.conditions import PictureConfig
from luxvox.models.training.loop import Phase
from luxvox.models.training.picture.context import ContextPhase
from luxvox.models.training.picture.crops import PhaseSettings
from luxvox.models.training.picture.data import Pictures, to_units
from luxvox.models.training.picture.initialise import deepen, untrained_model
from luxvox.models.training.picture.joint import JointPhase
from luxvox.models.training.picture.parts import (
    PictureParts,
    load_parts,
    parts_of_weights,
    save_parts,
)
from luxvox.models.training.picture.tables import fit_tables
from luxvox.models.training.run import Fit, Job

log = logging.getLogger(__name__)

JOINT, CONTEXT, TABLES = "joint", "context", "tables"


@dataclasses.dataclass(frozen=True)
class PictureRecipe:
    """How pictures are trained.

    Attributes:
        tune: what to train for, `eye` or `psnr`; by default the same as the initial weights, or
            both if there are none.
        deepen: whether the initial weights get the additional blocks of newer networks, which
            change nothing before training.
        held_back: every n-th picture is used for validation and never for training.
        learning_rate: of the blocks of the synthesis; others learn more slowly.
        crop, batch: side in pixels of the crops of a step, and their number.
    """

    tune: str | None = None
    deepen: bool = False
    held_back: int = 50
    learning_rate: float = 4e-4
    crop: int = 256
    batch: int = 8

    @property
    def command(self) -> str:
        """Return the name of the subcommand."""
        return "image"

    @property
    def noun(self) -> str:
        """Return the word for training data."""
        return "pictures"

    @property
    def shares(self) -> Mapping[str, float]:
        """Return the phases and their shares; the tables have no limit of time."""
        return {JOINT: 0.85, CONTEXT: 0.15, TABLES: 0.0}

    def read(self, folders: Sequence[Path]) -> tuple[Pictures, Pictures]:
        """Return the pictures to train on, and the held-back ones."""
        return Pictures(folders).split(self.held_back)

    def start(self, job: Job, training: Pictures) -> PictureConfig:
        """Write the linear transform, or the parts that training continues from."""
        if job.init is None and self.deepen:
            raise UsageError("only weights to start from can be deepened")

        # The linear transform is exact already; pictures only show which channels matter most.
        if job.init is None:
            log.info("measuring the linear transform on %d pictures", len(training))
            pictures = [to_units(p) for p in training.pictures]
            parts = PictureParts(untrained_model(pictures, PictureConfig()))
        else:
            # A run folder keeps parts as training left them; weights keep them rounded.
            log.info("starting from %s", job.init)
            parts = load_parts(job.init) if job.init.is_dir() else parts_of_weights(job.init)
            if self.deepen:
                parts.model = deepen(parts.model, PictureConfig())

        save_parts(parts, job.run)
        config = parts.model.config
        return config if self.tune is None else dataclasses.replace(config, tunings=(self.tune,))

    def phase(self, name: str, job: Job, data: tuple[Pictures, Pictures]) -> Phase | Fit:
        """Return the joint phase, the context phase, or the fit of the tables."""
        parts = load_parts(job.run)
        # Counts have no gradient: they are fitted to codes, without a limit of time.
        if name == TABLES:
            return lambda: _fit_tables(parts, job.run, data[0])

        settings = PhaseSettings(
            job.device, job.bfloat16, self.learning_rate, self.crop, self.batch
        )
        if name == CONTEXT:
            return ContextPhase(parts, data, settings)
        phase = JointPhase(parts, data, settings)
        if job.compiled:
            phase.compile()
        return phase


def _fit_tables(parts: PictureParts, run: Path, training: Pictures) -> None:
    fit_tables(parts, training)
    save_parts(parts, run)
