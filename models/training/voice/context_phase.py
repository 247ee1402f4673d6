"""The context model of voices, trained on stored codes of the final networks."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from luxvox.entropy.visitors import CodesChooser
from luxvox.entropy.voice.context import Context
from luxvox.entropy.voice.plan import Codes
from luxvox.entropy.voice.walk import walk
from luxvox.errors import InputError
from luxvox.models.training.loop import save_atomically, write_json
from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.twin import ContextTwins, speech_twins
from luxvox.models.voice.choice import VoiceChoice
from luxvox.models.voice.correction import HEARD_SHARE, correct_latents
from luxvox.models.voice.networks import LEVEL, SYNTHESIS_PARTS, SpeechModel, power_db
from luxvox.models.voice.spectra import spectrum
from luxvox.timeline import CODED_RATE_HZ, FRAME_SAMPLES

log = logging.getLogger(__name__)

PIECE_FRAMES = 128
MAX_CORRECTED_S = 2700.0  # of recordings; coding them takes a sixth of their length
N_CORRECTIONS = 2  # steps; more shift codes little, and take longer
BATCH = 8  # pieces per pass
PASSES_A_STEP = 6
N_VALIDATION = 64
N_PROBED = 16  # recordings that show whether a context model saves bits
CONTEXT_FILE = "context.safetensors"
MADE_BY = "made_by.json"


@torch.no_grad()
def store_speech_codes(
    model: SpeechModel,
    voices: Recordings,
    folder: Path,
    seed: int,
    context: Context | None = None,
) -> None:
    """Code recordings and write the codes in pieces of 128 frames.

    At most 45 minutes of them are coded as in the encoder: latents are corrected for the depths of
    a random rate, and codewords are chosen by the context model's costs, if there is one. The
    others are too many, and get the nearest codewords at random depths; they keep the context model
    from learning the first ones by heart.

    Writes `codes.npy`, uint16 [pieces, stages, 128], `log_steps.npy`, int64 [pieces],
    `corrected.npy`, bool [pieces], and `made_by.json`, the digest of what coded them. An existing
    folder is replaced as a whole.

    Raises:
        InputError: if no recording is long enough for a piece.
    """
    generator = torch.Generator().manual_seed(seed)
    for_correction = _draw_recordings(voices, generator)
    pieces: list[NDArray[np.uint16]] = []
    log_steps: list[int] = []
    corrected: list[bool] = []
    for index in range(len(voices.samples)):
        # [T] -> [1, 642, F] -> [1, n_channels, 1, F]
        samples = voices.whole(index)
        latents = model.latents(spectrum(samples[None]))
        if latents.shape[3] < PIECE_FRAMES:
            continue

        log_step_int = int(torch.randint(-127, 128, (), generator=generator))
        if index in for_correction:
            codes = _codes_at(model, _Analysed(samples, latents), log_step_int, context)
        else:
            codes = _nearest_codes_at(model, latents, log_step_int)
        cut = _cut(codes)
        pieces += cut
        log_steps += [log_step_int] * len(cut)
        corrected += [index in for_correction] * len(cut)
        if index % 50 == 0:
            log.info("coded %d of %d recordings", index, len(voices.samples))

    if not pieces:
        raise InputError("no recording of 2.6 seconds to train the context model on")
    arrays: dict[str, NDArray[Any]] = {"codes": np.stack(pieces), "corrected": np.array(corrected)}
    arrays["log_steps"] = np.array(log_steps, np.int64)
    _replace_folder(folder, arrays, digest(model))


def _cut(codes: Codes) -> list[NDArray[np.uint16]]:
    """Cut codes [stages, F] into pieces of 128 frames."""
    # The last piece overlaps the one before it, so that the end is not lost.
    last = codes.shape[1] - PIECE_FRAMES
    starts = [*range(0, last, PIECE_FRAMES), last]
    return [codes[:, start : start + PIECE_FRAMES].astype(np.uint16) for start in starts]


@dataclass(frozen=True)
class _Analysed:
    """A recording, samples [T], and its latents [1, n_channels, 1, F]."""

    samples: Tensor
    latents: Tensor


def _codes_at(
    model: SpeechModel,
    voice: _Analysed,
    log_step_int: int,
    context: Context | None,
) -> Codes:
    """Return codes [stages, F] at a log-step, of corrected latents."""
    corrected = voice.latents[0]  # [1, n_channels, 1, F] -> [n_channels, 1, F]
    power = power_db(voice.latents)[0, 0].numpy()  # [1, 1, F] -> [F]
    depths_of = functools.partial(_depths, model, log_step_int / 127.0, power)
    result = correct_latents(model, corrected, voice.samples, depths_of, N_CORRECTIONS)
    corrected = result.latents
    depths = depths_of(result.heard_db)

    # [stages, 1, 1, F] -> [stages, F]
    if context is not None:
        choice = VoiceChoice(model.vq, corrected, depths)
        shapes = {LEVEL: (1, corrected.shape[2])}
        return walk(context, shapes, log_step_int, CodesChooser(choice.choose))[LEVEL][:, 0, 0]

    return _nearest_codes(model, corrected, depths)


def _nearest_codes_at(model: SpeechModel, latents: Tensor, log_step_int: int) -> Codes:
    """Return codes [stages, F] at a log-step, of latents [1, n_channels, 1, F] as they are."""
    power = power_db(latents)[0, 0].numpy()  # [1, 1, F] -> [F]
    return _nearest_codes(model, latents[0], model.depths_of_powers(power, log_step_int / 127.0))


def _nearest_codes(model: SpeechModel, latents: Tensor, depths: NDArray[np.int64]) -> Codes:
    """Return codes [stages, F] of latents [n_channels, 1, F], cut to the depth of each frame."""
    codes: Codes = model.choose(latents[None])[0]
    return codes * (np.arange(len(codes))[:, None] < depths)


def _replace_folder(folder: Path, arrays: Mapping[str, NDArray[Any]], coder: str) -> None:
    """Write arrays, and what coded them, to a folder, replacing an existing one."""
    # A kill may leave half of a partial or an old folder, but never half of the folder itself.
    old = folder.with_name(f"{folder.name}.old")
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)

    for name, array in arrays.items():
        np.save(partial / f"{name}.npy", array)
    write_json(partial / MADE_BY, {"coder": coder})

    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _depths(
    model: SpeechModel,
    log_step: float,
    power: NDArray[np.float32],
    heard_db: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Return the stages of frames as the encoder chooses them."""
    return model.depths_of_powers(power + HEARD_SHARE * heard_db, log_step)


def _draw_recordings(voices: Recordings, generator: torch.Generator) -> set[int]:
    """Return which recordings are corrected, at random."""
    drawn = torch.randperm(len(voices.samples), generator=generator)

    # Recordings up to the limit, in the order in which they are drawn, and at least one.
    lengths = torch.tensor([len(s) / CODED_RATE_HZ for s in voices.samples])
    seconds = lengths[drawn].cumsum(0)
    return set(drawn[seconds <= max(MAX_CORRECTED_S, float(seconds[0]))].tolist())


def codes_fit(model: SpeechModel, folder: Path) -> bool:
    """Return whether stored codes come from a model's analysis and codebooks."""
    path = folder / MADE_BY
    return path.exists() and json.loads(path.read_text())["coder"] == digest(model)


def digest(model: SpeechModel) -> str:
    """Return a hash of everything that codes depend on: all but the synthesis."""
    summed = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(SYNTHESIS_PARTS):
            summed.update(tensor.contiguous().numpy().tobytes())
    return summed.hexdigest()


class SpeechContextPhase:
    """The context model, trained on stored codes."""

    name = "context"
    learning_rate = 1.5e-3

    def __init__(self, model: SpeechModel, folder: Path, held_back: Path) -> None:
        self.model = model
        self.twins = speech_twins(model)
        self.codes, self.log_steps = _load(folder)
        self.held_back = _load(held_back)

        # Of each batch one half is as in files, the other of all the recordings.
        is_corrected = np.load(folder / "corrected.npy")
        halves = np.flatnonzero(is_corrected), np.flatnonzero(~is_corrected)
        self.halves = [half for half in halves if len(half)]

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
            # Codes are in a memory-mapped file, which is read faster in ascending order.
            picks = np.sort(self._draw_pieces(generator))
            codes = _as_level(self.codes[picks])
            log_step_int = torch.from_numpy(self.log_steps[picks]).float()
            costs = self.twins.bits(LEVEL, codes, log_step_int, index, tensors)
            total = total + torch.stack(list(costs.values())).sum()

        # The chosen passes stand for all. At 50 frames a second, a bit per frame is 0.05 kbit/s.
        bits = total * (n_passes / len(chosen) / (BATCH * PIECE_FRAMES))
        return bits, {"kbps": bits.item() * 0.05}

    def _draw_pieces(self, generator: torch.Generator) -> NDArray[np.int64]:
        """Draw pieces for a pass."""
        shape = (BATCH // len(self.halves),)
        drawn = [torch.randint(len(half), shape, generator=generator) for half in self.halves]
        return np.concatenate(
            [half[picks.numpy()] for half, picks in zip(self.halves, drawn, strict=True)]
        )

    @torch.no_grad()
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure kbit/s on held-back codes, by stage, and against the static tables."""
        # Pieces from all recordings, the same each time.
        chosen = np.linspace(0, len(self.held_back[1]) - 1, N_VALIDATION).astype(np.int64)
        codes = _as_level(self.held_back[0][chosen])
        log_step_int = torch.from_numpy(self.held_back[1][chosen]).float()
        figures = _bits_by_stage(self.twins, codes, log_step_int)
        static = _static_bits(self.model, codes, log_step_int)

        total = sum(figures.values())
        unit = 0.05 / (len(chosen) * PIECE_FRAMES)
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

    Codebooks change while they learn. A context model of codebooks a little older still chooses
    well; one that needs more bits than static tables does not.
    """
    if not (run / CONTEXT_FILE).exists():
        return None

    # The first piece of a few recordings, in the nearest codewords at the middle of the range.
    pieces: list[NDArray[np.uint16]] = []
    for index in range(len(voices.samples)):
        samples = voices.whole(index)[: PIECE_FRAMES * FRAME_SAMPLES]
        latents = model.latents(spectrum(samples[None]))
        if latents.shape[3] >= PIECE_FRAMES:
            pieces += _cut(_nearest_codes_at(model, latents, 0))[:1]
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
    """Return bits under the context model, of all pieces together."""
    # A stage has several passes, whose bits add up.
    figures: dict[str, float] = {}
    for index in range(len(twins.plan[0].passes)):
        for stage, bits in twins.bits(LEVEL, codes, log_step_int, index).items():
            key = f"stage_{stage + 1}"
            figures[key] = figures.get(key, 0.0) + bits.item()
    return figures


def _static_bits(model: SpeechModel, codes: dict[str, Tensor], log_step_int: Tensor) -> float:
    """Return bits under static tables, of all pieces together."""
    return float(model.vq.static_bits(codes[LEVEL], log_step_int / 127.0).sum())


def load_speech_context(model: SpeechModel, run: Path) -> ContextTwins:
    """Return the twins of a run folder.

    Raises:
        InputError: if it has none.
    """
    if not (run / CONTEXT_FILE).exists():
        raise InputError(f"{run}: has no context model yet; train its context phase first")

    # No file says how large the network is, but its tensors do.
    state = load_file(run / CONTEXT_FILE)
    hidden, width = state[f"levels.{LEVEL}.values.head_weight"].shape[2:]
    twins = speech_twins(model, width, hidden)
    twins.load_state_dict({**twins.state_dict(), **state})
    return twins


def _load(folder: Path) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    return np.load(folder / "codes.npy", mmap_mode="r"), np.load(folder / "log_steps.npy")


def _as_level(pieces: NDArray[np.uint16]) -> dict[str, Tensor]:
    """Turn pieces [B, stages, F] into codes of the level, int64 [B, stages, 1, 1, F]."""
    return {LEVEL: torch.from_numpy(pieces.astype(np.int64))[:, :, None, None]}
