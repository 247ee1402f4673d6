"""The choice of the device that networks run on, as commands offer it."""

from __future__ import annotations

import importlib

import click

from luxvox.errors import SystemFailure

_DEVICES = ("auto", "cpu", "cuda")

device_option = click.option(
    "--device",
    type=click.Choice(_DEVICES),
    default="auto",
    show_default=True,
    help="Where the networks run; auto takes a GPU if there is one.",
)


def choose_device(device: str) -> str:
    """Return `cpu` or `cuda` for what was asked for.

    Raises:
        SystemFailure: if a GPU was asked for and there is none.
    """
    if device == "cpu":
        return device
    has_gpu = importlib.import_module("torch").cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise SystemFailure("no CUDA device here; use --device cpu or auto")
    return "cuda" if has_gpu else "cpu"
