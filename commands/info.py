"""`luxvox info`: facts about a file, laid out for people or as JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click

from luxvox.codec import files
from luxvox.commands.console import each
from luxvox.commands.options import weights_option


@click.command()
@click.argument("file")
@weights_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(file: str, as_json: bool) -> int:
    """Say what an .lvx file holds, without decoding it; FILE may be - for standard input."""
    return each([files.plain_name(file, 0)], [files.PIPE], lambda source, _: _say(source, as_json))


def _say(source: str, as_json: bool) -> None:
    from luxvox.codec.inspection import inspect

    files.check_standard_output()
    facts = dataclasses.asdict(inspect(files.read(source)))
    if as_json:
        click.echo(json.dumps(facts, default=as_text, ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(fact_lines(facts)))


def as_text(value: object) -> str:
    """Return a value as text, bytes in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else str(value)


def fact_lines(facts: dict[str, Any]) -> list[str]:
    """Return a line a fact, and one a row of those that are tables."""
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
