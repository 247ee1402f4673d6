"""Freeze a run: half-precision floats, integer tables, model card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save as save_tensors
from torch import Tensor

from luxvox.entropy.picture.layers import check_sums
from luxvox.entropy.voice.layers import check_accumulators
from luxvox.errors import InputError, UsageError
from luxvox.models.cards import SHIPPED
from luxvox.models.picture.weights import PICTURE_KIND, pack_picture
from luxvox.models.training.picture.parts import PARTS_FILE, load_parts
from luxvox.models.training.provenance import core_hours, phases
from luxvox.models.training.voice.context_phase import load_speech_context
from luxvox.models.training.voice.phases import MODEL_FILE, load_speech_model
from luxvox.models.voice.networks import LEVEL
from luxvox.models.voice.weights import VOICE_KIND, pack_speech
from luxvox.models.weights import fingerprint

_NUMBERS = range(1 << 16)  # the numbers that a file header can name
NEEDED = {
    PICTURE_KIND: (PARTS_FILE,),
    VOICE_KIND: (MODEL_FILE, "context.safetensors"),
}


def export_run(
    run: Path,
    weights_dir: Path | None = None,
    model_id: str | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write `MODEL_ID.safetensors` and `MODEL_ID.json` from a run folder.

    Args:
        run: folder of a run whose joint phase (pictures), or joint and context phases
            (voices), have been trained.
        weights_dir: where to write; the package's own weights folder by default.
        model_id: KIND-NUMBER; picture-1 or voice-1 by default.
        overwrite: replace weights of this name; otherwise only identical ones may be written again.

    Returns:
        The path of the model card.

    Raises:
        InputError: if a part of the run is missing or unreadable, or the id has a different form.
        UsageError: if there are other weights of this name.
        ModelError: if an accumulator of the context model could overflow.
    """
    kind, number = _check_identity(run, model_id)
    name = f"{kind}-{number}"
    record = training_record(run)

    config, tensors = (_speech_parts if kind == VOICE_KIND else _picture_parts)(run)
    data = save_tensors({key: value.contiguous() for key, value in tensors.items()})
    card = {
        "id": name,
        "number": int(number),
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "fingerprint": fingerprint(tensors).hex(),
        "licence": "MIT",
        "config": config,
        **record,
    }
    path = (weights_dir or SHIPPED) / f"{name}.json"
    _write_model(path, card, data, overwrite)
    return path


def _write_model(path: Path, card: Mapping[str, Any], data: bytes, overwrite: bool) -> None:
    """Write a card and its weights, unless other weights have this name."""
    text = (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode()
    if not overwrite and path.exists() and path.read_bytes() != text:
        raise UsageError(f"{path} exists; name another model, or replace it with --overwrite")

    # The card comes last, so that no card refers to weights that are not there.
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path.with_suffix(".safetensors"), data)
    _write(path, text)


def _write(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _check_identity(run: Path, model_id: str | None) -> tuple[str, str]:
    """Return the kind and the number of a model id that fits a whole run."""
    run_kind = VOICE_KIND if (run / MODEL_FILE).exists() else PICTURE_KIND
    missing = [name for name in (*NEEDED[run_kind], "run.json") if not (run / name).exists()]
    if missing:
        raise InputError(f"{run}: {', '.join(missing)} missing; train its phases first")

    name = model_id or f"{run_kind}-1"
    kind, _, number = name.rpartition("-")
    if kind != run_kind or not re.fullmatch("[0-9]{1,5}", number):
        raise InputError(f"model id {name!r} is not of the form {run_kind}-NUMBER")
    if int(number) not in _NUMBERS:
        raise InputError(f"model number {number}, legal: {_NUMBERS[0]}..{_NUMBERS[-1]}")
    return kind, number


Parts = tuple[dict[str, Any], dict[str, Tensor]]
"""The configuration of a model, and its tensors in the form of the weights file."""


def _picture_parts(run: Path) -> Parts:
    parts = load_parts(run)
    tables = parts.context.integers()

    # Exact integers need sums below 2²⁴, which training does not ensure.
    for level in parts.context.plan:
        check_sums(level, tables[level.name])

    tensors = pack_picture(parts.model, tables, parts.counts.numpy())
    return dataclasses.asdict(parts.model.config), tensors


def _speech_parts(run: Path) -> Parts:
    model = load_speech_model(run)
    level = load_speech_context(model, run).runtime_level(LEVEL)

    # As for pictures: sums of 2²⁴ and more are not exact in float32.
    check_accumulators(LEVEL, level.tensors)
    return dataclasses.asdict(model.config), pack_speech(model, level)


def training_record(run: Path) -> dict[str, object]:
    """Return commands, hours and machine of each phase, and the sources of the pictures."""
    try:
        settings = json.loads((run / "run.json").read_text())
        hours, done = round(core_hours(run), 2), phases(run)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{run}: the record of the run cannot be read: {error!r}") from None
    return {
        "training": {"core_hours": hours, "phases": done},
        "data": settings.get("sources", []),
    }
