"""`luxvox info`: facts about a file, laid out for people or as JSON."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import click

from luxvox.codec import files
from luxvox.commands import paths
from luxvox.commands.batch import BatchOptions, run_jobs
from luxvox.commands.console import json_text, printable
from luxvox.commands.jobs import NOWHERE
from luxvox.commands.many import ManyFiles, finds_many_files
from luxvox.commands.options import inputs_argument, weights_option


@click.command()
@inputs_argument
@weights_option
@finds_many_files
def info(many: ManyFiles) -> int:
    """Say what .lvx files hold, without decoding them; IN may be - for standard input.

    With --json, print an object; for several files, one per line, each with its name.
    """
    names = [source.path for source in many.sources(paths.is_compressed)]
    work = functools.partial(_say, as_json=many.options.as_json, is_one=len(names) == 1)
    return run_jobs(names, [NOWHERE] * len(names), work, BatchOptions(has_bar=False))


def _say(source: str, _: str, *, as_json: bool, is_one: bool) -> None:
    from luxvox.codec.inspection import inspect

    files.check_standard_output()
    facts = dataclasses.asdict(inspect(files.read(source)))
    if as_json:
        named = facts if is_one else {"file": source, **facts}
        indent = 2 if is_one else None
        click.echo(json_text(named, default=as_text, indent=indent))
        return
    if not is_one:
        click.echo(f"{printable(source, 'standard input')}:")
    click.echo("\n".join(fact_lines(facts)))


def as_text(value: object) -> str:
    """Return a value as text, bytes in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else str(value)


def fact_lines(facts: dict[str, Any]) -> list[str]:
    """Return a line for each fact, and for each row of those that are tables."""
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
    return "none" if value is None else as_text(value)
