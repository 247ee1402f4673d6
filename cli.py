"""The command line: words, options and exit codes; the work is done by `luxvox.codec`.

Nothing heavy is imported before a command needs it, so `--help` and `info` answer at once.
Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal; 130 Ctrl-C,
and 128 more than its number for another signal that ends the process.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from luxvox import __version__
from luxvox.cli_options import (
    force_option,
    in_range,
    inputs_argument,
    output_option,
    required_output_option,
)
from luxvox.codec import files, names
from luxvox.codec.effort import DEFAULT_EFFORT, DEFAULT_TUNE, EFFORTS, TUNINGS
from luxvox.console import Sizes, each, note_growth, report, say, summarise, watched
from luxvox.devices import choose_device, device_option
from luxvox.errors import SystemFailure, UsageError
from luxvox.facts import as_text, fact_lines
from luxvox.own_weights import weights_option
from luxvox.process import (
    EndedBySignal,
    ending_signals_raised,
    forget_standard_output,
    open_standard_descriptors,
)

_INTERRUPTED = 130
# Commands in modules of their own.
_ELSEWHERE = {
    "decompress": "luxvox.cli_decompress",
    "evaluate": "luxvox.evaluate.command",
    "train": "luxvox.cli_training",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: the words after `luxvox`; None for those of the process.
    """
    open_standard_descriptors()
    try:
        with ending_signals_raised():
            exit_code = run(arguments)
    except EndedBySignal as signal:
        say(f"luxvox: ended by {signal.name}")
        exit_code = signal.exit_code
    sys.exit(exit_code)


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
        say("luxvox: interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        forget_standard_output()
        return SystemFailure.exit_code
    except Exception as error:
        return report(error)


class _Commands(click.Group):
    """The commands; those kept elsewhere are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(_ELSEWHERE[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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


@commands.command()
@inputs_argument
@output_option
@click.option(
    "-q",
    "--quality",
    type=float,
    callback=in_range(1, 100),
    metavar="1..100",
    help="Higher is better and takes more bytes; fractions are fine.  [default: 50 for pictures]",
)
@click.option(
    "--size",
    metavar="SIZE",
    help="Bytes of the whole file, 20000, 20kB, 64KiB, 1.5MB: never more, and within 2 % of it.",
)
@click.option("--bpp", type=float, metavar="RATE", help="Pictures only: bits a pixel of the file.")
@click.option("--psnr", type=float, metavar="DB", help="Pictures only: PSNR within 0.1 dB.")
@click.option(
    "-b",
    "--bitrate",
    type=float,
    callback=in_range(0.3, 12),
    metavar="KBIT/S",
    help="Voices only: kbit/s of the file, 0.3..12.  [default: 3]",
)
@click.option(
    "--effort",
    type=click.IntRange(min(EFFORTS), max(EFFORTS)),
    default=DEFAULT_EFFORT,
    show_default=True,
    metavar="1..9",
    help="Voices: 1 is fast, 9 sounds best. Pictures: all alike so far.",
)
@click.option(
    "--tune",
    type=click.Choice(list(TUNINGS)),
    default=DEFAULT_TUNE,
    show_default=True,
    help="Pictures only: coded for the eye, or for the least squared error.",
)
@device_option
@weights_option
@click.option("--strip", is_flag=True, help="Pictures only: leave out ICC profile, EXIF and XMP.")
@force_option
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    device: str,
    tune: str,
    strip: bool,
    force: bool,
    **options: Any,
) -> int:
    """Compress pictures and voices: photo.png becomes photo.lvx, and so does voice.wav.

    Reads the pictures that Pillow reads, and WAV, FLAC, MP3, Ogg, Opus and AIFF recordings; with
    luxvox[formats] also HEIC, JPEG XL, m4a and others. What is not kept is said in a note. IN
    may be - for standard input, and OUT - for standard output; the inputs are kept.
    Of -q, --size, --bpp, --psnr and -b one may be given.
    """
    effort = options.pop("effort")
    asked = _what_is_asked(options)
    targets = names.name_outputs(inputs, output, [names.COMPRESSED_ENDING] * len(inputs))

    def compress_one(source: str, target: str) -> Sizes:
        files.check_target(target, force)
        recordings = _load("recordings")
        data = b"" if _is_recording_file(source) else files.read(source)
        if not data or recordings.is_recording(data[:16]):
            if asked.keys() & {"bpp", "psnr"}:
                raise UsageError("--bpp and --psnr are for pictures; voices take -b, --size or -q")
            opened = recordings.open_recording(data or source)
            return _compress_voice(opened, (source, target), force, {**asked, "effort": effort})
        if "bitrate" in asked:
            raise UsageError("-b is for voices, and this is none; pictures take -q")
        rasters, pictures = _load("rasters"), _load("pictures")
        picture_options = {"device": choose_device(device), "strip": strip, "effort": effort}
        picture_options["tune"] = tune
        start_s = time.monotonic()
        raster = rasters.from_file(data)
        label = f"compressing {source}"
        lvx = watched(label, pictures.compress_image, raster, **asked, **picture_options)
        files.write(target, lvx, force, source)
        height, width = raster.pixels.shape[:2]
        rate = f"{8 * len(lvx) / (width * height):.3f} bpp"
        note_growth(source, (len(data), len(lvx)))
        return summarise(source, target, (len(data), len(lvx)), rate, start_s)

    return each(inputs, targets, compress_one)


def _what_is_asked(options: dict[str, Any]) -> dict[str, Any]:
    """Return the only one of the options that was given, or none."""
    asked = {name: value for name, value in options.items() if value is not None}
    if len(asked) > 1:
        names = [{"quality": "-q", "bitrate": "-b"}.get(name, f"--{name}") for name in asked]
        raise UsageError(f"{' and '.join(names)} exclude each other")
    if "size" in asked:
        asked["size"] = _load("sizes").parse_size(asked["size"])
    return asked


def _is_recording_file(source: str) -> bool:
    is_recording: bool = _load("recordings").is_recording(files.peek(source, 16))
    return is_recording


def _compress_voice(
    opened: Any, ends: tuple[str, str], force: bool, options: dict[str, Any]
) -> Sizes:
    source, target = ends
    voices = _load("voices")
    start_s = time.monotonic()
    lvx = watched(f"compressing {source}", voices.compress_recording, opened, **options)
    files.write(target, lvx, force, source)
    seconds = opened.n_samples / opened.sample_rate_hz
    rate = f"{8 * len(lvx) / 1000 / seconds:.2f} kbit/s, {seconds:.1f} s of sound"
    note_growth(source, (opened.n_bytes, len(lvx)))
    return summarise(source, target, (opened.n_bytes, len(lvx)), rate, start_s)


@commands.command()
@inputs_argument
@required_output_option
@click.option(
    "--bytes",
    "size",
    metavar="SIZE",
    help="Keep what fits: 4000, 4kB, 4KiB. Metadata goes first, then what is finest.",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N sections of codes: of a picture 1 (a preview) to 6; of a voice 1 or 2.",
)
@force_option
def truncate(
    inputs: tuple[str, ...], output: str, size: str | None, sections: int | None, force: bool
) -> int:
    """Shorten .lvx files without coding them anew: previews, coarser from the same bytes."""
    n_bytes = None if size is None else _load("sizes").parse_size(size)
    targets = names.name_outputs(inputs, output, [names.COMPRESSED_ENDING] * len(inputs))

    def truncate_one(source: str, target: str) -> Sizes:
        files.check_target(target, force)
        data = files.read(source)
        start_s = time.monotonic()
        kept = _load("truncation").truncate(data, size=n_bytes, sections=sections)
        files.write(target, kept, force, source)
        rate = f"{len(kept) / len(data):.0%} of it"
        return summarise(source, target, (len(data), len(kept)), rate, start_s)

    return each(inputs, targets, truncate_one)


@commands.command()
@click.argument("file")
@weights_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: str, as_json: bool) -> int:
    """Say what an .lvx file holds, without decoding it; FILE may be - for standard input."""

    def describe(source: str, _: str) -> None:
        files.check_standard_output()
        facts = dataclasses.asdict(_load("inspection").inspect(files.read(source)))
        if as_json:
            click.echo(json.dumps(facts, default=as_text, ensure_ascii=False, indent=2))
        else:
            click.echo("\n".join(fact_lines(facts)))

    return each([files.plain_name(file, 0)], [files.PIPE], describe)


def _load(module: str) -> Any:
    return importlib.import_module(f"luxvox.codec.{module}")
