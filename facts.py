"""Facts about a file, laid out for people to read."""

from __future__ import annotations

from typing import Any


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
