"""The group of commands, which imports each of them only when it is asked for."""

from __future__ import annotations

import importlib

import click

_NAMES = ("compress", "decompress", "evaluate", "info", "test", "train", "truncate")


class Commands(click.Group):
    """The commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return list(_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        if cmd_name not in _NAMES:
            return None
        module = importlib.import_module(f"luxvox.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command
