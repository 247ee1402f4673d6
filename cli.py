"""The command line: words, options and exit codes; the work is done by `luxvox.codec`.

Nothing heavy is imported before a command needs it, so `--help` and `info` answer at once.
Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal, 130 Ctrl-C.
"""

from __future__ import annotations

import contextlib
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
        _say("luxvox: interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return SystemFailure.exit_code
    except Exception as error:
        return _report(error)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="luxvox")
def commands() -> None:
    """Compress photographs and voices with a learned codec.

    \b
    luxvox compress photo.png             writes photo.lvx
    luxvox decompress photo.lvx           writes photo.png
    luxvox decompress photo.lvx -o p.jpg  writes another format
    luxvox compress voice.wav -b 3        writes voice.lvx at 3 kbit/s
    luxvox decompress voice.lvx           writes voice.wav

    Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal error.
    """


def _in_range(low: float, high: float) -> Callable[..., float | None]:
    def check(
        context: click.Context, parameter: click.Parameter, value: float | None
    ) -> float | None:
        # click's own range would let NaN through
        if value is not None and not low <= value <= high:
            legal = f"{low:g}..{high:g}"
            raise click.BadParameter(f"{value:g} is not in the range {legal}.", context, parameter)
        return value

    return check


@commands.command()
@_inputs_argument
@_output_option
@click.option(
    "-q",
    "--quality",
    type=float,
    callback=_in_range(1, 100),
    metavar="1..100",
    help="Higher is better and takes more bytes; fractions are fine.  [default: 50 for pictures]",
)
@click.option(
    "-b",
    "--bitrate",
    type=float,
    callback=_in_range(0.3, 12),
    metavar="KBIT/S",
    help="Voices only: kbit/s of the file, 0.3..12.  [default: 3]",
)
@_device_option
@click.option("--strip", is_flag=True, help="Pictures only: leave out ICC profile, EXIF and XMP.")
@_force_option
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    quality: float | None,
    bitrate: float | None,
    device: str,
    strip: bool,
    force: bool,
) -> int:
    """Compress pictures and voices: photo.png becomes photo.lvx, and so does voice.wav.

    Reads the pictures that Pillow reads, and WAV, FLAC, MP3, Ogg, Opus and AIFF recordings. IN
    may be - for standard input, and OUT - for standard output; the inputs are kept.
    """
    if quality is not None and bitrate is not None:
        raise UsageError("-q and -b exclude each other")
    targets = files.name_outputs(inputs, output, [files.COMPRESSED_ENDING] * len(inputs))

    def compress_one(source: str, target: str) -> None:
        files.check_target(target, force)
        recordings = _load("recordings")
        data = b"" if _is_recording_file(source) else files.read(source)
        if not data or recordings.is_recording(data[:16]):
            opened = recordings.open_recording(data or source)
            _compress_voice(opened, (source, target), quality, bitrate, force)
            return
        if bitrate is not None:
            raise UsageError("-b is for voices, and this is none; pictures take -q")
        rasters, pictures = _load("rasters"), _load("pictures")
        chosen_device = _choose_device(device)
        start_s = time.monotonic()
        raster = rasters.from_file(data)
        options = {"device": chosen_device, "strip": strip}
        label = f"compressing {source}"
        wanted = 50.0 if quality is None else quality
        lvx = _watched(label, pictures.compress_image, raster, wanted, **options)
        files.write(target, lvx, force)
        height, width = raster.pixels.shape[:2]
        rate = f"{8 * len(lvx) / (width * height):.3f} bpp"
        _summarise(source, target, (len(data), len(lvx)), rate, start_s)

    return _each(inputs, targets, compress_one)


def _is_recording_file(source: str) -> bool:
    is_recording: bool = _load("recordings").is_recording(files.peek(source, 16))
    return is_recording


def _compress_voice(
    opened: Any,
    names: tuple[str, str],
    quality: float | None,
    bitrate: float | None,
    force: bool,
) -> None:
    source, target = names
    voices = _load("voices")
    start_s = time.monotonic()
    options = {"quality": quality} if quality is not None else {"bitrate": bitrate or 3.0}
    lvx = _watched(f"compressing {source}", voices.compress_recording, opened, **options)
    files.write(target, lvx, force)
    if opened.sample_rate_hz > 2 * voices.BANDWIDTH_HZ:
        where = _shown(source, "standard input")
        _say(f"luxvox: {where}: note: voices are kept up to 8 kHz; what is above is gone")
    seconds = opened.n_samples / opened.sample_rate_hz
    rate = f"{8 * len(lvx) / 1000 / seconds:.2f} kbit/s, {seconds:.1f} s of sound"
    _summarise(source, target, (opened.n_bytes, len(lvx)), rate, start_s)


@commands.command()
@_inputs_argument
@_output_option
@click.option(
    "--format",
    "ending",
    metavar="EXT",
    help="png, jpg, webp, tiff, avif ..., wav, flac, ogg, mp3 ...; otherwise the ending of OUT, "
    "or png and wav.",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Decode the first N sections only (of a voice: of every segment): coarser.",
)
@_force_option
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    ending: str | None,
    sections: int | None,
    force: bool,
) -> int:
    """Decompress pictures and voices: photo.lvx becomes photo.png, voice.lvx voice.wav.

    IN may be - for standard input, and OUT - for standard output; the inputs are kept.
    """
    ending = ending and ending.lstrip(".").lower()
    endings = [f".{ending or _plain_ending(source)}" for source in inputs]
    targets = files.name_outputs(inputs, output, endings)
    formats, sounds = _load("formats"), _load("sounds")

    def decompress_one(source: str, target: str) -> None:
        named = ending or (None if target == files.PIPE else formats.ending_of(target))
        if named is not None and named not in sounds.FORMATS:
            formats.find_format(named)
        files.check_target(target, force)
        data = files.read(source)
        start_s = time.monotonic()
        if _load("lvx").is_voice(data):
            _decompress_voice(data, (source, target), named or "wav", sections, force)
            return
        wanted = named or "png"
        formats.find_format(wanted)
        rasters, pictures = _load("rasters"), _load("pictures")
        label = f"decompressing {source}"
        raster = _watched(label, pictures.decompress_raster, data, sections)
        written = rasters.to_bytes(raster, wanted)
        files.write(target, written, force)
        height, width = raster.pixels.shape[:2]
        rate = f"{8 * len(data) / (width * height):.3f} bpp"
        _summarise(source, target, (len(data), len(written)), rate, start_s)

    return _each(inputs, targets, decompress_one)


def _plain_ending(source: str) -> str:
    lvx = _load("lvx")
    return "wav" if lvx.is_voice(files.peek(source, lvx.HEAD_BYTES)) else "png"


def _decompress_voice(
    data: bytes, names: tuple[str, str], ending: str, sections: int | None, force: bool
) -> None:
    source, target = names
    sounds, voices = _load("sounds"), _load("voices")
    sounds.find_format(ending)
    start_s = time.monotonic()

    def decode(progress: Any) -> tuple[int, float]:
        rate_hz, channels, n_samples, blocks = voices.decompress_blocks(data, sections, progress)
        with files.opened(target, force) as stream:
            shape = (n_samples, channels)
            written: int = sounds.write_blocks(stream, ending, shape, rate_hz, blocks)
        return written, n_samples / rate_hz

    n_bytes, seconds = _watched(f"decompressing {source}", decode)
    rate = f"{8 * len(data) / 1000 / max(seconds, 1e-9):.2f} kbit/s, {seconds:.1f} s of sound"
    _summarise(source, target, (len(data), n_bytes), rate, start_s)


@commands.command()
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: str, as_json: bool) -> int:
    """Say what an .lvx file holds, without decoding it; FILE may be - for standard input."""

    def describe(source: str, _: str) -> None:
        facts = dataclasses.asdict(_load("lvx").inspect(files.read(source)))
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
@click.option(
    "--half-precision",
    is_flag=True,
    help="Networks in bfloat16: much faster on processors with matrix units (AMX).",
)
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
    _say(where + " ".join(str(failure).split()))
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
            _say(f"luxvox: {where}: warning: {warning.message}")


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
    source: str, target: str, n_bytes: tuple[int, int], rate: str, start_s: float
) -> None:
    names = f"{_shown(source, 'standard input')} → {_shown(target, 'standard output')}"
    sizes = f"{n_bytes[0]:,} → {n_bytes[1]:,} bytes"
    seconds = time.monotonic() - start_s
    _say(f"{names}: {sizes}, {rate}, {seconds:.2f} s")


def _say(line: str) -> None:
    """Write a line to standard error; where nobody can read it, the work is done all the same."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(line, err=True)


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
