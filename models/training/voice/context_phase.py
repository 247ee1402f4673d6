"""The context model of voices, trained on stored codes of the final networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from luxvox.entropy.voice.context import Context
from luxvox.entropy.voice.plan import Codes
from luxvox.errors import InputError
from luxvox.models.training.checkpoints import save_atomically
from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.stored_codes import (
    PIECE_FRAMES,
    StoredCodes,
    nearest_codes_at,
)
from luxvox.models.training.voice.twin import ContextTwins, speech_twins
from luxvox.models.voice.networks import LEVEL, SpeechModel
from luxvox.models.voice.spectra import spectrum
from luxvox.models.voice.tables import shape_of_tables
from luxvox.timeline import FRAME_SAMPLES

FIRST_RATE, LATER_RATE = 1.5e-3, 7e-4  # learning rates of untrained and of trained tables
BATCH = 8  # pieces per pass
PASSES_A_STEP = 6
N_VALIDATION = 64
N_PROBED = 16  # recordings that show whether a context model saves bits
CONTEXT_FILE = "context.safetensors"


class SpeechContextPhase:
    """The context model, trained on stored codes."""

    name = "context"

    def __init__(self, model: SpeechModel, folder: Path, held_back: Path) -> None:
        self.model = model
        self.twins, self.learning_rate = speech_twins(model), FIRST_RATE
        self.codes, self.held_back = StoredCodes(model, folder), StoredCodes(model, held_back)

    def continue_with(self, twins: ContextTwins) -> None:
        """Continue with a trained context model, at a lower learning rate."""
        self.twins, self.learning_rate = twins, LATER_RATE

    def trained_module(self) -> nn.Module:
        """Return the float twins."""
        return self.twins

    def learning_rate_factor(self, parameter_name: str) -> float:
        """Use one learning rate for all but the embedding, whose unit is an activation."""
        return 30.0 if "embedding" in parameter_name else 1.0

    def memory(self) -> dict[str, Tensor]:
        """Return nothing: everything that this phase changes has a gradient."""
        return {}

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """Return bits per frame, estimated from a few passes, each on different pieces."""
        n_passes = len(self.twins.plan[0].passes)
        tensors = self.twins.twin(LEVEL).integers()
        total = torch.zeros(())
        chosen = torch.randperm(n_passes, generator=generator)[:PASSES_A_STEP]
        for index in chosen.tolist():
            pieces, log_steps = self.codes.draw(BATCH, generator)
            at = torch.from_numpy(log_steps).float()
            costs = self.twins.bits(LEVEL, _as_level(pieces), at, index, tensors)
            total = total + torch.stack(list(costs.values())).sum()

        # The chosen passes represent all. At 50 frames a second, a bit per frame is 0.05 kbit/s.
        bits = total * (n_passes / len(chosen) / (BATCH * PIECE_FRAMES))
        return bits, {"kbps": bits.item() * 0.05}

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure kbit/s on held-back codes, by stage, and against the static tables."""
        pieces, log_steps = self.held_back.spread(N_VALIDATION)
        codes, log_step_int = _as_level(pieces), torch.from_numpy(log_steps).float()
        figures = _bits_by_stage(self.twins, codes, log_step_int)
        static = _static_bits(self.model, codes, log_step_int)

        total = sum(figures.values())
        unit = 0.05 / (N_VALIDATION * PIECE_FRAMES)
        by_stage = {key: value * unit for key, value in figures.items()}
        return {"kbps": total * unit, "saved": 1.0 - total / static, **by_stage}

    def finish(self, run: Path) -> None:
        """Write `context.safetensors`."""
        save_speech_context(self.twins, run)


def save_speech_context(twins: ContextTwins, run: Path) -> None:
    """Write `context.safetensors`."""
    save_atomically(dict(twins.state_dict()), run / CONTEXT_FILE)


@torch.no_grad()
def useful_context(model: SpeechModel, run: Path, voices: Recordings) -> Context | None:
    """Return the context model of a run folder, if it saves bits on codes of this model.

    Codebooks change in training. A context model of slightly older codebooks still chooses well,
    unless it needs more bits than static tables.
    """
    if not (run / CONTEXT_FILE).exists():
        return None

    # The first piece of a few recordings, in the nearest codewords, at the middle of the range.
    pieces: list[Codes] = []
    for index in range(len(voices.samples)):
        samples = voices.whole(index)[: PIECE_FRAMES * FRAME_SAMPLES]
        latents = model.latents(spectrum(samples[None]))
        if latents.shape[3] >= PIECE_FRAMES:
            pieces.append(nearest_codes_at(model, latents, 0)[:, :PIECE_FRAMES])
        if len(pieces) == N_PROBED:
            break
    if not pieces:
        return None

    codes = _as_level(np.stack(pieces))
    log_step_int = torch.zeros(len(pieces))
    twins = load_speech_context(model, run)
    bits = sum(_bits_by_stage(twins, codes, log_step_int).values())
    return twins.runtime() if bits < _static_bits(model, codes, log_step_int) else None


def _bits_by_stage(
    twins: ContextTwins, codes: dict[str, Tensor], log_step_int: Tensor
) -> dict[str, float]:
    """Return the bits of all pieces together under the context model, by stage."""
    # A stage has several passes, whose bits add up.
    figures: dict[str, float] = {}
    for index in range(len(twins.plan[0].passes)):
        for stage, bits in twins.bits(LEVEL, codes, log_step_int, index).items():
            key = f"stage_{stage + 1}"
            figures[key] = figures.get(key, 0.0) + bits.item()
    return figures


def _static_bits(model: SpeechModel, codes: dict[str, Tensor], log_step_int: Tensor) -> float:
    """Return the bits of all pieces together under static tables."""
    return float(model.vq.static_bits(codes[LEVEL], log_step_int / 127.0).sum())


def load_speech_context(model: SpeechModel, run: Path) -> ContextTwins:
    """Return the twins of a run folder.

    Raises:
        InputError: if it has none.
    """
    if not (run / CONTEXT_FILE).exists():
        raise InputError(f"{run}: has no context model yet; train its context phase first")

    # The size of the network follows from its tensors.
    state = load_file(run / CONTEXT_FILE)
    prefix = f"levels.{LEVEL}.values."
    tables = {key.removeprefix(prefix).replace("_", "."): table for key, table in state.items()}
    twins = speech_twins(model, shape_of_tables(model.config.n_channels, tables))
    twins.load_state_dict({**twins.state_dict(), **state})
    return twins


def _as_level(pieces: Codes) -> dict[str, Tensor]:
    """Turn pieces [B, stages, F] into codes of the level, int64 [B, stages, 1, 1, F]."""
    return {LEVEL: torch.from_numpy(pieces.astype(np.int64))[:, :, None, None]}
