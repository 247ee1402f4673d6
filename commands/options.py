"""Options that several commands share: inputs, the output, ranges, the device and the weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from luxvox.codec import files
from luxvox.errors import SystemFailure
from luxvox.late_imports import module


def _plain_output(_: click.Context, __: click.Parameter, path: str | None) -> str | None:
    return path and files.plain_name(path, 1)


def _plain_inputs(_: click.Context, __: click.Parameter, paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(files.plain_name(path, 0) for path in paths)


def complete_files(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete the names of files and folders."""
    return [CompletionItem(incomplete, type="file")]


_output = functools.partial(
    click.option,
    "-o",
    "--output",
    metavar="OUT",
    callback=_plain_output,
    shell_complete=complete_files,
)
output_option = _output(help="File, folder (for several inputs; made if missing), or - for a pipe.")
required_output_option = _output(required=True, help="File, folder, or - for a pipe.")
force_option = click.option("-f", "--force", is_flag=True, help="Replace files that exist.")
inputs_argument = click.argument(
    "inputs",
    metavar="IN...",
    nargs=-1,
    callback=_plain_inputs,
    shell_complete=complete_files,
)


SCALES_BY_NAME = {"1": 1.0, "1/2": 0.5, "1/4": 0.25, "1/8": 0.125, "1/16": 0.0625}


def parse_crop(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, int, int, int] | None:
    """Return the four numbers of a crop; whether they fit a picture is checked later."""
    if text is None:
        return None
    words = text.split(",")
    if len(words) != 4 or not all(word.strip().isdecimal() for word in words):
        message = f"{text!r} is not X,Y,W,H: four whole numbers of pixels."
        raise click.BadParameter(message, context, parameter)
    left, top, width, height = map(int, words)
    return left, top, width, height


def in_range(low: float, high: float) -> Callable[..., float | None]:
    """Return a callback that refuses numbers out of a range, and NaN, which click lets through."""

    def check(
        context: click.Context, parameter: click.Parameter, value: float | None
    ) -> float | None:
        if value is not None and not low <= value <= high:
            legal = f"{low:g}..{high:g}"
            raise click.BadParameter(f"{value:g} is not in the range {legal}.", context, parameter)
        return value

    return check


_DEVICES = ("auto", "cpu", "cuda")

device_option = click.option(
    "--device",
    type=click.Choice(_DEVICES),
    default="auto",
    show_default=True,
    help="Where the networks run; auto takes a GPU if there is one.",
)


def choose_device(device: str) -> str:
    """Return the device of an option's value: `cpu`, `cuda`, or one of several, `cuda:1`.

    Raises:
        SystemFailure: if a GPU was asked for that is not available.
        UsageError: if there is no device of that name.
    """
    if device == "auto":
        return "cuda" if module("torch").cuda.is_available() else "cpu"
    if device == "cuda" and not module("torch").cuda.is_available():
        raise SystemFailure("no CUDA device is available; use --device cpu or auto")
    from luxvox.codec.arguments import check_device

    check_device(device)
    return device


def _prefer(context: click.Context, _: click.Parameter, folder: Path | None) -> Path | None:
    """Look for weights in a folder first, while the command runs."""
    if folder is not None:
        from luxvox.models.cards import use_weights

        context.with_resource(use_weights(folder))
    return folder


_weights = functools.partial(
    click.option,
    "--weights",
    type=click.Path(path_type=Path),
    callback=_prefer,
    metavar="DIR",
    help="Folder of weights to use before the shipped ones.  [env: LUXVOX_WEIGHTS]",
)
weights_option = _weights(expose_value=False)
exposed_weights_option = _weights()
"""The same for commands that take the folder as their argument `weights`."""
