"""Freeze a run: half-precision floats, integer tables, model card."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path

from safetensors.torch import save as save_tensors

from luxvox.entropy.context import check_accumulators
from luxvox.errors import InputError
from luxvox.models.catalogue import (
    PICTURE_KIND,
    WEIGHTS,
    fingerprint,
    pack_context,
    pack_floats,
    pack_steps,
)
from luxvox.models.context import ContextTwins
from luxvox.models.image import LEVELS, PictureModel
from luxvox.models.training.context_phase import load_context
from luxvox.models.training.phases import load_parts, run_config

DEFAULT_ID = "picture-1"
NEEDED = ("analysis.safetensors", "synthesis.safetensors", "context.safetensors", "run.json")


def export_run(run: Path, weights_dir: Path | None = None, model_id: str | None = None) -> Path:
    """Write `MODEL_ID.safetensors` and `MODEL_ID.json` from a run folder.

    Args:
        run: folder of a run in which phases 0, 1 and 2 at least have been trained.
        weights_dir: where to write; the package's own weights by default.
        model_id: KIND-NUMBER, such as picture-1.

    Returns:
        The path of the model card.

    Raises:
        InputError: if a part of the run is missing or the id is not of that form.
        ModelError: if an accumulator of the context model could overflow.
    """
    missing = [name for name in NEEDED if not (run / name).exists()]
    if missing:
        raise InputError(f"{run}: {', '.join(missing)} missing; train phases 0, 1 and 2 first")
    name = model_id or DEFAULT_ID
    kind, _, number = name.rpartition("-")
    if kind != PICTURE_KIND or not number.isdigit():
        raise InputError(f"model id {name!r} is not of the form {PICTURE_KIND}-NUMBER")
    model = PictureModel(run_config(run))
    load_parts(model, run)
    twins = ContextTwins(model)
    load_context(twins, run)
    levels = {level: twins.runtime_level(level) for level in LEVELS}
    for level, tables in levels.items():
        check_accumulators(level, tables.tensors)
    tensors = pack_floats(model) | pack_context(levels) | pack_steps(model.config)
    data = save_tensors({key: value.contiguous() for key, value in tensors.items()})
    folder = weights_dir or WEIGHTS
    folder.mkdir(parents=True, exist_ok=True)
    card = {
        "id": name,
        "number": int(number),
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "fingerprint": fingerprint(tensors).hex(),
        "licence": "MIT",
        "config": dataclasses.asdict(model.config),
        **training_record(run),
    }
    partial = folder / f"{name}.partial"
    partial.write_bytes(data)
    partial.replace(folder / f"{name}.safetensors")
    path = folder / f"{name}.json"
    path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def training_record(run: Path) -> dict[str, object]:
    """Return commands, hours and machine of each phase, and the sources of the pictures."""
    phases = [json.loads(p.read_text()) for p in sorted(run.glob("summary-*.json"))]
    settings = json.loads((run / "run.json").read_text())
    hours = sum(phase["minutes"] for phase in phases) / 60.0
    return {
        "training": {"core_hours": round(hours, 2), "phases": phases},
        "data": settings.get("sources", []),
    }


def sources(folders: list[Path]) -> list[dict[str, object]]:
    """Count pictures by source and stated licence from the SOURCES.tsv of data folders."""
    counts: Counter[tuple[str, str]] = Counter()
    for folder in folders:
        table = folder / "SOURCES.tsv"
        if table.exists():
            with table.open(encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file, delimiter="\t"):
                    counts[row["source"], row["licence_as_stated"]] += 1
    return [
        {"source": source, "licence": licence, "pictures": n}
        for (source, licence), n in counts.most_common()
    ]
