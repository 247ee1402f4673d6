"""Measure how fast the phases of picture training learn: pixels per core-second.

    python benchmarks/training_speed.py image-train --old ../luxvox-before

A core-second is one of processor time in one thread, so other work on the machine hardly counts.
A step is what the training loop does with a batch: loss, gradients, clipping, optimiser. `--old` is
a checkout of luxvox with the model `picture-1`; its joint phase 3 is measured in the same run, by
its own code. Its networks are smaller, so the fair comparison is in multiply–accumulates. They
count analysis and synthesis, but not the context model, which only the new phases train. Each row
is a process of its own.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

WARM_UP_STEPS = 2
N_PICTURES = 16
OLD = "old joint phase 3"
ROWS = (("joint", "bfloat16"), ("joint", "float32"))
HEAD = (
    "phase",
    "precision",
    "pixels per core-second",
    "kMAC a pixel",
    "speed",
    "at equal networks",
)

Row = dict[str, Any]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seconds", default=20.0, show_default=True, help="Core-seconds of a row, at least.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file of all rows.")
@click.option("--page", type=click.Path(exists=True, path_type=Path), help="Renew its table.")
@click.option("--one", nargs=2, hidden=True, help="Measure one row: phase and precision.")
def main(folder: Path, **options: Any) -> None:
    """Measure training on pictures of FOLDER; print JSON and a table."""
    if options["one"]:
        phase, precision = options["one"]
        click.echo(json.dumps(measure(folder, phase, precision, options["seconds"])))
        return
    origin = importlib.import_module("luxvox.benchmarks.origin")
    timing = importlib.import_module("luxvox.evaluate.timing")
    rows = [in_own_process(folder, row, options["seconds"], None) for row in ROWS]
    if options["old"]:
        rows.insert(0, in_own_process(folder, (OLD, "float32"), options["seconds"], options["old"]))
    record = {
        "command": origin.repeat_command(folder),
        "machine": timing.machine(),
        "packages": origin.describe_packages("torch"),
        "rows": rows,
    }
    text = json.dumps(record, indent=1)
    click.echo(text)
    if options["out"]:
        options["out"].write_text(f"{text}\n", "utf-8")
    report(record, options["page"])


def in_own_process(
    folder: Path, row: tuple[str, str], seconds: float, checkout: Path | None
) -> Row:
    """Measure a row in a process of its own, by another checkout of luxvox if one is named."""
    words = [sys.executable, __file__, str(folder), "--seconds", str(seconds), "--one", *row]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        if checkout:
            (Path(name) / "luxvox").symlink_to(checkout.resolve())
            environment["PYTHONPATH"] = name
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=environment)
    measured: Row = json.loads(done.stdout)
    click.echo(f"{row}: {measured['pixels_per_core_second']:.0f}", err=True)
    return measured


def measure(folder: Path, phase_name: str, precision: str, seconds: float) -> Row:
    """Train for some core-seconds in this process."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        for path in some_pictures(folder):
            (Path(name) / path.name).symlink_to(path.resolve())
        if phase_name == OLD:
            phase, networks, n_pixels = old_phase(Path(name))
        else:
            phase, networks, n_pixels = new_phase(Path(name), precision)
    optimiser = torch.optim.Adam(phase.trained_module().parameters(), lr=1e-6, fused=True)
    n_steps, start_s = 0, 0.0
    while n_steps <= WARM_UP_STEPS or time.process_time() - start_s < seconds:
        if n_steps == WARM_UP_STEPS:
            start_s = time.process_time()
        step(phase, optimiser, n_steps)
        n_steps += 1
    core_s = time.process_time() - start_s
    return {
        "phase": phase_name,
        "precision": precision,
        "steps": n_steps - WARM_UP_STEPS,
        "core_seconds": round(core_s, 2),
        "pixels_per_core_second": round((n_steps - WARM_UP_STEPS) * n_pixels / core_s),
        "kmac_per_pixel": round(sum(networks) / 1000.0, 2),
    }


def some_pictures(folder: Path) -> list[Path]:
    """Return the first pictures of a folder, few enough to load at once."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".avif", ".png", ".jpg"))
    return paths[:N_PICTURES]


def step(phase: Any, optimiser: Any, number: int) -> None:
    """Make a step as the training loop does."""
    import torch

    loss, _ = phase.loss(torch.Generator().manual_seed(number))
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(phase.trained_module().parameters(), 1.0)
    optimiser.step()


def new_phase(folder: Path, precision: str) -> tuple[Any, list[float], int]:
    """Return a phase of this checkout, what its networks cost a pixel, and pixels of a batch."""
    data = importlib.import_module("luxvox.models.training.picture.data")
    initialise = importlib.import_module("luxvox.models.training.picture.initialise")
    joint = importlib.import_module("luxvox.models.training.picture.joint")
    crops = importlib.import_module("luxvox.models.training.picture.crops")
    networks = importlib.import_module("luxvox.models.picture.networks")
    parts = importlib.import_module("luxvox.models.training.picture.parts")

    split = data.Pictures([folder]).split(8)
    units = [data.to_units(picture) for picture in split[0].pictures]
    model = initialise.untrained_model(units, networks.PictureConfig())
    is_half = precision == "bfloat16"
    settings = crops.PhaseSettings(bfloat16=is_half)
    phase = joint.JointPhase(parts.PictureParts(model), split, settings)
    return phase, costs(networks, model), phase.batch * phase.crop**2


def old_phase(folder: Path) -> tuple[Any, list[float], int]:
    """Return the same of the joint phase of a checkout that has `picture-1`."""
    catalogue = importlib.import_module("luxvox.models.catalogue")
    cards = importlib.import_module("luxvox.models.cards")
    data = importlib.import_module("luxvox.models.training.data")
    image = importlib.import_module("luxvox.models.image")
    joint = importlib.import_module("luxvox.models.training.joint_phase")

    model = catalogue.load_picture_codec(cards.SHIPPED / "picture-1.json").model
    phase = joint.JointPhase(model, *data.Pictures([folder]).split(8))
    return phase, costs(image, model), 8 * 128**2


def costs(networks: Any, model: Any) -> list[float]:
    """Return multiply–accumulates a pixel of analysis and synthesis."""
    count = networks.multiply_accumulates_per_pixel
    return [float(count(model.analysis)), float(count(model.synthesis))]


def report(record: Row, page: Path | None) -> None:
    """Print the table, and renew it on a page."""
    pages = importlib.import_module("luxvox.evaluate.report.pages")
    first = record["rows"][0]
    lines = []
    for row in record["rows"]:
        speed = row["pixels_per_core_second"] / first["pixels_per_core_second"]
        equal = speed * row["kmac_per_pixel"] / first["kmac_per_pixel"]
        pixels, cost = f"{row['pixels_per_core_second']:,}", f"{row['kmac_per_pixel']:.1f}"
        lines.append(
            [row["phase"], row["precision"], pixels, cost, f"{speed:.2f}×", f"{equal:.2f}×"]
        )
    where = f"`{record['command']}`, {record['machine']}, {record['packages']}."
    text = f"{pages.table(HEAD, lines)}\n\nSpeeds are against the first row. {where}"
    click.echo(text)
    if page:
        pages.splice(page, "training-speed", text)


if __name__ == "__main__":
    main()
