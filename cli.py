"""The command line: words, options and exit codes; the work is done by `luxvox.codec`.

Nothing heavy is imported before a command needs it, so `--help` and `info` answer at once.
Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal, 130 Ctrl-C.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from luxvox import __version__
from luxvox.codec import files
from luxvox.errors import LuxvoxError, SystemFailure, TruncatedWarning, UsageError
from luxvox.progress import Progress

_INTERRUPTED = 130
_DEBUG_VARIABLE = "LUXVOX_DEBUG"
_DEVICES = ("auto", "cpu", "cuda")

_device_option = click.option(
    "--device",
    type=click.Choice(_DEVICES),
    default="auto",
    show_default=True,
    help="Where the networks run; auto takes a GPU if there is one.",
)
_output_option = click.option(
    "-o", "--output", metavar="OUT", help="File, folder (for several inputs), or - for a pipe."
)
_force_option = click.option("-f", "--force", is_flag=True, help="Replace files that exist.")
_inputs_argument = click.argument("inputs", metavar="IN...", nargs=-1, required=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: the words after `luxvox`; None for those of the process.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code, whatever happens, without a traceback."""
    words = None if arguments is None else list(arguments)
    try:
        result = commands.main(words, prog_name="luxvox", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("luxvox: interrupted", err=True)
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return SystemFailure.exit_code
    except Exception as error:
        return _report(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="luxvox")
def commands() -> None:
    """Compress photographs with a learned codec.

    \b
    luxvox compress photo.png             writes photo.lvx
    luxvox decompress photo.lvx           writes photo.png
    luxvox decompress photo.lvx -o p.jpg  writes another format

    Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal error.
    """


def _quality(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 1 <= value <= 100:  # click's own range would let NaN through
        raise click.BadParameter(f"{value:g} is not in the range 1..100.", context, parameter)
    return value


@commands.command()
@_inputs_argument
@_output_option
@click.option(
    "-q",
    "--quality",
    type=float,
    default=50.0,
    show_default=True,
    callback=_quality,
    metavar="1..100",
    help="Higher looks better and takes more bytes; fractions are fine.",
)
@_device_option
@click.option("--strip", is_flag=True, help="Leave out ICC profile, EXIF and XMP.")
@_force_option
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    quality: float,
    device: str,
    strip: bool,
    force: bool,
) -> int:
    """Compress pictures: photo.png becomes photo.lvx.

    Reads what Pillow reads. IN may be - for standard input, and OUT - for standard output; the
    inputs are kept.
    """
    targets = files.name_outputs(inputs, output, files.COMPRESSED_ENDING)

    def compress_one(source: str, target: str) -> None:
        files.check_target(target, force)
        data = files.read(source)
        rasters, pictures = _load("rasters"), _load("pictures")
        chosen_device = _choose_device(device)
        start_s = time.monotonic()
        raster = rasters.from_file(data)
        options = {"device": chosen_device, "strip": strip}
        label = f"compressing {source}"
        lvx = _watched(label, pictures.compress_image, raster, quality, **options)
        files.write(target, lvx, force)
        height, width = raster.pixels.shape[:2]
        _summarise(source, target, (len(data), len(lvx)), 8 * len(lvx) / (width * height), start_s)

    return _each(inputs, targets, compress_one)


@commands.command()
@_inputs_argument
@_output_option
@click.option(
    "--format",
    "ending",
    metavar="EXT",
    help="png, jpg, webp, tiff, avif ...; otherwise the ending of OUT, or png.",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Decode the first N sections only: a coarser picture.",
)
@_force_option
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    ending: str | None,
    sections: int | None,
    force: bool,
) -> int:
    """Decompress pictures: photo.lvx becomes photo.png.

    IN may be - for standard input, and OUT - for standard output; the inputs are kept.
    """
    ending = ending and ending.lstrip(".").lower()
    targets = files.name_outputs(inputs, output, f".{ending or 'png'}")
    formats = _load("formats")

    def decompress_one(source: str, target: str) -> None:
        wanted = ending or ("png" if target == files.PIPE else formats.ending_of(target))
        formats.find_format(wanted)
        files.check_target(target, force)
        data = files.read(source)
        rasters, pictures = _load("rasters"), _load("pictures")
        start_s = time.monotonic()
        label = f"decompressing {source}"
        raster = _watched(label, pictures.decompress_raster, data, sections)
        written = rasters.to_bytes(raster, wanted)
        files.write(target, written, force)
        height, width = raster.pixels.shape[:2]
        n_bytes = (len(data), len(written))
        _summarise(source, target, n_bytes, 8 * len(data) / (width * height), start_s)

    return _each(inputs, targets, decompress_one)


@commands.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: str, as_json: bool) -> int:
    """Say what an .lvx file holds, without decoding it; FILE may be - for standard input."""

    def describe(source: str, _: str) -> None:
        facts = dataclasses.asdict(_load("pictures").inspect(files.read(source)))
        if as_json:
            click.echo(json.dumps(facts, default=_as_text, ensure_ascii=False, indent=2))
        else:
            click.echo("\n".join(_fact_lines(facts)))

    return _each([file], [files.PIPE], describe)


@commands.group()
def train() -> None:
    """Train models, and export what was trained."""


@train.command("image")
@click.option(
    "--data",
    multiple=True,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of pictures to learn from; may be given several times.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of this run: checkpoints, logs, reconstructions.",
)
@click.option("--minutes", required=True, type=float, help="How long to train.")
@click.option("--phase", help="The phase to train; otherwise all of them in turn.")
@click.option(
    "--init",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights to start from.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the run's folder.")
@_device_option
def train_image(device: str, **options: Any) -> None:
    """Train the picture model."""
    image = importlib.import_module("luxvox.models.training.image")
    options["data"] = list(options["data"])
    image.train_image(**options, device=_choose_device(device))


@train.command("speech")
@click.option(
    "--data",
    multiple=True,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of 16 kHz recordings to learn from; may be given several times.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of this run: checkpoints, logs, samples.",
)
@click.option("--minutes", required=True, type=float, help="How long to train.")
@click.option("--phase", help="The phase to train; otherwise all of them in turn.")
@click.option(
    "--init",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights to start from.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in the run's folder.")
def train_speech(**options: Any) -> None:
    """Train the voice model."""
    speech = importlib.import_module("luxvox.models.training.speech")
    speech.train_speech(**{**options, "data": list(options["data"])})


@train.command("export")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--weights-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; otherwise the one luxvox loads weights from.",
)
@click.option("--model-id", help="Name of the model; otherwise the run's own.")
def train_export(run: Path, weights_dir: Path | None, model_id: str | None) -> None:
    """Freeze the tables of a RUN to integers and write its weights and model card."""
    export = importlib.import_module("luxvox.models.training.export")
    written = export.export_run(run=run, weights_dir=weights_dir, model_id=model_id)
    click.echo(f"wrote {written}", err=True)


def _load(module: str) -> Any:
    return importlib.import_module(f"luxvox.codec.{module}")


def _each(sources: Sequence[str], targets: Sequence[str], job: Callable[[str, str], None]) -> int:
    clashes = files.find_clashes(sources, targets)
    exit_code = 0
    for position, (source, target) in enumerate(zip(sources, targets, strict=True)):
        try:
            if position in clashes:
                raise UsageError(clashes[position])
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                job(source, target)
        except BrokenPipeError:
            raise
        except Exception as error:
            exit_code = max(exit_code, _report(error, source))
        else:
            _show_warnings(caught, source)
    return exit_code


def _report(error: Exception, source: str | None = None) -> int:
    failure = _failure(error)
    where = "luxvox: " if source is None else f"luxvox: {_shown(source, 'standard input')}: "
    click.echo(where + " ".join(str(failure).split()), err=True)
    if os.environ.get(_DEBUG_VARIABLE):
        traceback.print_exception(error)
    return failure.exit_code


def _failure(error: Exception) -> LuxvoxError:
    if isinstance(error, LuxvoxError):
        return error
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate" in str(error)  # how torch says it
    ):
        return SystemFailure("not enough memory")
    if isinstance(error, ImportError):
        return SystemFailure(f"a package is missing: {error}")
    if isinstance(error, OSError):
        return SystemFailure(files.reason(error))
    return LuxvoxError(
        f"internal error: {type(error).__name__}: {error} ({_DEBUG_VARIABLE}=1 shows where)"
    )


def _show_warnings(caught: list[warnings.WarningMessage], source: str) -> None:
    for warning in caught:
        if issubclass(warning.category, TruncatedWarning):
            where = _shown(source, "standard input")
            click.echo(f"luxvox: {where}: warning: {warning.message}", err=True)


def _choose_device(device: str) -> str:
    if device == "cpu":
        return device
    has_gpu = importlib.import_module("torch").cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise SystemFailure("no CUDA device here; use --device cpu or auto")
    return "cuda" if has_gpu else "cpu"


def _watched(label: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    progress = Progress(label, sys.stderr)
    try:
        return function(*arguments, **options, progress=progress)
    finally:
        progress.close()


def _summarise(
    source: str, target: str, n_bytes: tuple[int, int], rate_bpp: float, start_s: float
) -> None:
    names = f"{_shown(source, 'standard input')} → {_shown(target, 'standard output')}"
    sizes = f"{n_bytes[0]:,} → {n_bytes[1]:,} bytes"
    seconds = time.monotonic() - start_s
    click.echo(f"{names}: {sizes}, {rate_bpp:.3f} bpp, {seconds:.2f} s", err=True)


def _shown(path: str, pipe: str) -> str:
    return pipe if path == files.PIPE else path


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _fact_lines(facts: dict[str, Any]) -> list[str]:
    width = max(len(name) for name in facts) + 2
    lines: list[str] = []
    for name, value in facts.items():
        label = name.replace("_", " ").ljust(width)
        if isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            lines.append(label.rstrip())
            lines.extend("  " + _fact_row(row) for row in value)
        elif isinstance(value, dict):
            lines.append(label + _fact_row(value))
        else:
            lines.append(label + _word(value))
    return lines


def _fact_row(row: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in row.items())


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "none" if value is None else _as_text(value)


def _forget_stdout() -> None:
    # The reader has gone; the interpreter would complain when it flushes at its end.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
