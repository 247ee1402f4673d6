"""Stored codes of recordings, and the pieces of them that train the context model."""

from __future__ import annotations

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
from torch import Tensor

from luxvox.entropy.visitors import CodesChooser
from luxvox.entropy.voice.context import Context
from luxvox.entropy.voice.plan import Codes
from luxvox.entropy.voice.walk import walk
from luxvox.errors import InputError
from luxvox.models.training.checkpoints import write_json
from luxvox.models.training.voice.data import Recordings
from luxvox.models.voice.choice import VoiceChoice
from luxvox.models.voice.correction import correct_latents
from luxvox.models.voice.networks import LEVEL, SYNTHESIS_PARTS, SpeechModel, power_db
from luxvox.models.voice.spectra import spectrum
from luxvox.timeline import CODED_RATE_HZ

log = logging.getLogger(__name__)

PIECE_FRAMES = 128
MAX_CORRECTED_S = 2700.0  # of recordings; coding takes a sixth of their duration
N_CORRECTIONS = 2  # steps; more shift codes little, and take longer
FINEST_STEP, COARSEST_STEP = -127, 127
MADE_BY = "made_by.json"

Pieces = tuple[Codes, NDArray[np.int64]]
"""Codes [B, stages, 128] and log-steps [B], whole numbers."""


@torch.no_grad()
def store_speech_codes(
    model: SpeechModel,
    voices: Recordings,
    folder: Path,
    seed: int,
    context: Context | None = None,
) -> None:
    """Code recordings of 128 frames and more, and write the codes.

    At most 45 minutes of them are coded nearly as in the encoder: latents are corrected twice for
    the depths of a random rate, and codewords are chosen by the context model's costs, if there is
    one. That would take too long for the others, which get the nearest codewords, at full depth;
    they keep the context model from overfitting.

    Writes arrays that hold all recordings one after the other, and `made_by.json`, the digest of
    the networks. An existing folder is replaced as a whole.

        codes.npy       uint16 [F, stages]
        power_db.npy    float32 [F], of latents, for cutting codes from full depth
        log_steps.npy   int64 [F], of corrected codes
        corrected.npy   bool [F]
        starts.npy      bool [F], whether 128 frames of a recording begin here

    Raises:
        InputError: if no recording is long enough.
    """
    generator = torch.Generator().manual_seed(seed)
    for_correction = _draw_recordings(voices, generator)
    parts: list[dict[str, NDArray[Any]]] = []
    for index in range(len(voices.samples)):
        # [T] -> [1, 642, F] -> [1, n_channels, 1, F]
        samples = voices.whole(index)
        analysed = _Analysed(samples, model.latents(spectrum(samples[None])))
        if analysed.latents.shape[3] < PIECE_FRAMES:
            continue

        log_step_int = _draw_log_step(generator)
        if index in for_correction:
            codes = _codes_at(model, analysed, log_step_int, context)
        else:
            codes = model.choose(analysed.latents)[0]
        parts.append(_arrays(codes, analysed, log_step_int, index in for_correction))
        if index % 50 == 0:
            log.info("coded %d of %d recordings", index, len(voices.samples))

    if not parts:
        raise InputError("no recording of 2.6 seconds to train the context model on")
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    _replace_folder(folder, joined, digest(model))


def _arrays(
    codes: Codes, analysed: _Analysed, log_step_int: int, is_corrected: bool
) -> dict[str, NDArray[Any]]:
    """Return the stored arrays of a recording by name."""
    power = power_db(analysed.latents)[0, 0].numpy()  # [1, 1, F] -> [F]
    return {
        "codes": codes.T.astype(np.uint16),
        "power_db": power,
        "log_steps": np.full(len(power), log_step_int),
        "corrected": np.full(len(power), is_corrected),
        "starts": np.arange(len(power)) <= len(power) - PIECE_FRAMES,
    }


class StoredCodes:
    """The codes of a folder.

    Args:
        model: the one that coded them.
        folder: holds them.
    """

    def __init__(self, model: SpeechModel, folder: Path) -> None:
        self._model = model
        self._codes = np.load(folder / "codes.npy", mmap_mode="r")
        names = "power_db", "log_steps", "corrected", "starts"
        arrays = {name: np.load(folder / f"{name}.npy") for name in names}
        self._power_db, self._log_steps = arrays["power_db"], arrays["log_steps"]
        self._is_corrected, self._starts = arrays["corrected"], np.flatnonzero(arrays["starts"])

        # Half of each draw is corrected, as in files; the other half is not.
        is_corrected = self._is_corrected[self._starts]
        halves = self._starts[is_corrected], self._starts[~is_corrected]
        self._halves = [half for half in halves if len(half)]

    def draw(self, n: int, generator: torch.Generator) -> Pieces:
        """Draw n pieces at random, one of each half at least; uncorrected ones at random rates."""
        shape = (max(n // len(self._halves), 1),)
        starts = [
            half[torch.randint(len(half), shape, generator=generator).numpy()]
            for half in self._halves
        ]
        return self._pieces(np.concatenate(starts), generator)

    def spread(self, n: int) -> Pieces:
        """Return n pieces from all recordings, the same each time."""
        chosen = np.linspace(0, len(self._starts) - 1, n).astype(np.int64)
        return self._pieces(self._starts[chosen], torch.Generator().manual_seed(n))

    def _pieces(self, starts: NDArray[np.int64], generator: torch.Generator) -> Pieces:
        pieces, log_steps = [], []
        for start in starts:
            part = slice(start, start + PIECE_FRAMES)
            codes, log_step_int = self._codes[part].T, int(self._log_steps[start])
            if not self._is_corrected[start]:
                log_step_int = _draw_log_step(generator)
                power = self._power_db[part]
                codes = _cut(codes, self._model.depths_of_powers(power, log_step_int / 127.0))
            pieces.append(codes)
            log_steps.append(log_step_int)
        return np.stack(pieces), np.array(log_steps, np.int64)


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
    depths = model.depths_of_powers(power, log_step_int / 127.0)
    result = correct_latents(model, corrected, voice.samples, depths, N_CORRECTIONS)
    corrected = result.latents

    # [stages, 1, 1, F] -> [stages, F]
    if context is not None:
        choice = VoiceChoice(model.vq, corrected, depths)
        shapes = {LEVEL: (1, corrected.shape[2])}
        return walk(context, shapes, log_step_int, CodesChooser(choice.choose))[LEVEL][:, 0, 0]

    return _cut(model.choose(corrected[None])[0], depths)


def nearest_codes_at(model: SpeechModel, latents: Tensor, log_step_int: int) -> Codes:
    """Return codes [stages, F] at a log-step, of uncorrected latents [1, n_channels, 1, F]."""
    power = power_db(latents)[0, 0].numpy()  # [1, 1, F] -> [F]
    depths = model.depths_of_powers(power, log_step_int / 127.0)
    return _cut(model.choose(latents)[0], depths)


def _cut(codes: Codes, depths: NDArray[np.int64]) -> Codes:
    """Cut codes [stages, F] to the depth of each frame."""
    cut: Codes = codes * (np.arange(len(codes))[:, None] < depths).astype(codes.dtype)
    return cut


def _draw_log_step(generator: torch.Generator) -> int:
    return int(torch.randint(FINEST_STEP, COARSEST_STEP + 1, (), generator=generator))


def _replace_folder(folder: Path, arrays: Mapping[str, NDArray[Any]], coder: str) -> None:
    """Write arrays, and the digest of their coder, to a folder, replacing an existing one."""
    # A kill may leave a partial or an old folder, but never half of the folder itself.
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


def _draw_recordings(voices: Recordings, generator: torch.Generator) -> set[int]:
    """Return which recordings are corrected, at random."""
    order = torch.randperm(len(voices.samples), generator=generator)

    # Recordings in this order up to the limit, and at least one.
    lengths = torch.tensor([len(s) / CODED_RATE_HZ for s in voices.samples])
    seconds = lengths[order].cumsum(0)
    return set(order[seconds <= max(MAX_CORRECTED_S, float(seconds[0]))].tolist())


def codes_fit(model: SpeechModel, folder: Path) -> bool:
    """Return whether stored codes come from a model's analysis and codebooks."""
    path = folder / MADE_BY
    return path.exists() and json.loads(path.read_text()).get("coder") == digest(model)


def digest(model: SpeechModel) -> str:
    """Return a hash of the analysis and the codebooks, which say what codes mean."""
    summed = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not name.startswith(SYNTHESIS_PARTS):
            summed.update(tensor.contiguous().numpy().tobytes())
    return summed.hexdigest()
