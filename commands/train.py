"""`luxvox train`: train models, and export what was trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from luxvox.commands.console import json_text
from luxvox.commands.options import choose_device, device_option
from luxvox.models.tunings import TUNINGS

Command = TypeVar("Command", bound=Callable[..., None])


@click.group()
def train() -> None:
    """Train models, and export what was trained."""


def run_options(command: Command) -> Command:
    """Add the options that all trainings have."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    for option in reversed(
        (
            click.option(
                "--data",
                multiple=True,
                required=True,
                type=folder,
                help="Folder to learn from: pictures, or recordings at 16 kHz; may be repeated.",
            ),
            click.option(
                "--out",
                "run",
                required=True,
                type=click.Path(file_okay=False, path_type=Path),
                help="Folder of this run: checkpoints, logs, samples.",
            ),
            click.option("--minutes", required=True, type=float, help="How long to train."),
            click.option("--phase", help="The phase to train; otherwise all of them in turn."),
            click.option(
                "--learning-rate",
                type=float,
                help="Highest learning rate of the phase; otherwise the phase's own.",
            ),
            click.option(
                "--init",
                type=click.Path(exists=True, path_type=Path),
                help="Folder of another run, or model card of weights, to start from.",
            ),
            click.option(
                "--resume", is_flag=True, help="Continue from the last checkpoint of the run."
            ),
            click.option("--overwrite", is_flag=True, help="Train a finished phase again."),
            click.option(
                "--json",
                "as_json",
                is_flag=True,
                help="Write the record of the run to stdout at the end, as model cards have it.",
            ),
        )
    ):
        command = option(command)
    return command


@train.command("image")
@run_options
@click.option(
    "--bfloat16/--float32",
    default=True,
    help="Precision of the networks; bfloat16 is much faster on processors with matrix units.",
)
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Compile the networks, which needs a C++ compiler; worth it for long runs.",
)
@click.option(
    "--deepen",
    is_flag=True,
    help="Add the blocks of newer networks to the initial weights.",
)
@click.option(
    "--tune",
    type=click.Choice(list(TUNINGS)),
    help="What to train for; otherwise for both, or as the initial weights.",
)
@device_option
def train_image(device: str, tune: str | None, deepen: bool, as_json: bool, **options: Any) -> None:
    """Train the picture model; several processes train together under torchrun."""
    from luxvox.models.training.picture.train import PictureRecipe
    from luxvox.models.training.run import Job, train_model

    job = Job(device=choose_device(device), **options)
    train_model(PictureRecipe(tune, deepen), job)
    if as_json:
        _write_record(job.run)


@train.command("speech")
@run_options
@click.option(
    "--widen",
    is_flag=True,
    help="Add the wide paths, blocks and taps of newer networks to the initial weights.",
)
@click.option(
    "--equalise",
    is_flag=True,
    help="Change the basis of the latents so that errors of all directions are heard alike.",
)
@click.option(
    "--stages",
    type=int,
    help="Change the number of stages of the initial weights; later ones are fitted again.",
)
@click.option(
    "--keep-codebooks",
    is_flag=True,
    help="Train the synthesis alone in phase synthesis, so the context model still fits.",
)
@click.option(
    "--bfloat16/--float32",
    default=False,
    help="Precision of the networks; bfloat16 is much faster on processors with matrix units.",
)
def train_speech(
    as_json: bool,
    *,
    widen: bool,
    equalise: bool,
    stages: int | None,
    keep_codebooks: bool,
    **options: Any,
) -> None:
    """Train the voice model."""
    from luxvox.models.training.run import Job, train_model
    from luxvox.models.training.voice.train import VoiceRecipe

    job = Job(**options)
    recipe = VoiceRecipe(
        stages=stages, widen=widen, equalise=equalise, keep_codebooks=keep_codebooks
    )
    train_model(recipe, job)
    if as_json:
        _write_record(job.run)


def _write_record(run: Path) -> None:
    """Write the record of a run to standard output, from one of its processes."""
    from luxvox.models.training.export import training_record
    from luxvox.models.training.loop import process_rank

    if process_rank() == 0:
        click.echo(json_text({"run": str(run), **training_record(run)}))


@train.command("export")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--weights-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; otherwise the one luxvox loads weights from.",
)
@click.option("--model-id", metavar="KIND-NUMBER", help="Name of the model; otherwise number 1.")
@click.option("--overwrite", is_flag=True, help="Replace weights of that name.")
@click.option("--json", "as_json", is_flag=True, help="Write the model card to stdout.")
def train_export(
    run: Path, weights_dir: Path | None, model_id: str | None, overwrite: bool, as_json: bool
) -> None:
    """Freeze the tables of a RUN to integers and write its weights and model card."""
    from luxvox.models.training.export import export_run

    written = export_run(run=run, weights_dir=weights_dir, model_id=model_id, overwrite=overwrite)
    click.echo(f"wrote {written}", err=True)
    if as_json:
        click.echo(json_text({"card": str(written), **json.loads(written.read_text("utf-8"))}))
