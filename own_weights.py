"""The choice of weights that commands offer: `--weights DIR`, which goes before LUXVOX_WEIGHTS."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

import click


def _prefer(context: click.Context, _: click.Parameter, folder: Path | None) -> Path | None:
    """Look for weights in a folder first, as long as the command runs."""
    if folder is not None:
        preferring = importlib.import_module("luxvox.models.cards").preferring
        context.with_resource(preferring(folder))
    return folder


_option = functools.partial(
    click.option,
    "--weights",
    type=click.Path(path_type=Path),
    callback=_prefer,
    metavar="DIR",
    help="Folder of weights that come before those shipped.  [env: LUXVOX_WEIGHTS]",
)
weights_option = _option(expose_value=False)
told_weights_option = _option()
"""The same for commands that are told the folder, as `weights`."""
