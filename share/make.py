"""Write the manual pages and shell completions that ship, from the commands themselves.

    python share/make.py

They are laid out as systems expect them below a prefix: `man/man1`, `bash-completion/completions`,
`zsh/site-functions` and `fish/vendor_completions.d`. The completions are click's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from luxvox import __version__
from luxvox.cli import commands

ROOT = Path(__file__).resolve().parent
_NAME = "luxvox"
_VARIABLE = "_LUXVOX_COMPLETE"  # click asks for it under this name
_COMPLETIONS = {
    "bash": "bash-completion/completions/luxvox",
    "zsh": "zsh/site-functions/_luxvox",
    "fish": "fish/vendor_completions.d/luxvox.fish",
}
_EXIT_CODES = """
0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal error;
130 after Ctrl-C, and 128 more than its number after another signal.
"""


def shipped_files() -> dict[str, str]:
    """Return all files by their paths below this folder."""
    context = click.Context(commands, info_name=_NAME)
    pages = {f"man/man1/{name}.1": page for name, page in _pages(commands, context)}
    return {**pages, **{path: _completion(shell) for shell, path in _COMPLETIONS.items()}}


def _completion(shell: str) -> str:
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(commands, {}, _NAME, _VARIABLE)
    # `source` would run the shell to find out how old it is.
    return script.source_template % script.source_vars()


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of the pages of a command and its subcommands."""
    name = context.command_path.replace(" ", "-")
    below = dict(_commands_of(command, context))
    yield name, "\n".join(_page(command, context, below))
    for word, child in below.items():
        yield from _pages(child, click.Context(child, info_name=word, parent=context))


def _commands_of(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command]]:
    for word in command.list_commands(context) if isinstance(command, click.Group) else ():
        child = command.get_command(context, word) if isinstance(command, click.Group) else None
        if child is not None:
            yield word, child


def _page(
    command: click.Command, context: click.Context, below: dict[str, click.Command]
) -> Iterator[str]:
    name = context.command_path.replace(" ", "-")
    yield f'.TH {_plain(name.upper())} 1 "" "{_NAME} {__version__}" "{_NAME}"'
    yield f".SH NAME\n{_plain(name)} \\- {_plain(command.get_short_help_str(limit=200))}"
    words = " ".join(command.collect_usage_pieces(context))
    yield f".SH SYNOPSIS\n.B {_plain(context.command_path)}\n{_plain(words)}"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    parameters = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    options = [record for p in parameters if (record := p.get_help_record(context))]
    yield ".SH OPTIONS"
    for names, text in options:
        yield f".TP\n\\fB{_plain(names)}\\fR\n{_plain(text)}"
    if below:
        yield ".SH COMMANDS"
    for word, child in below.items():
        yield f".TP\n\\fB{_plain(word)}\\fR\n{_plain(child.get_short_help_str(limit=200))}"
    yield f".SH EXIT STATUS{_plain(_EXIT_CODES.rstrip(), keeps_lines=True)}"
    others = [f"{name}-{word}" for word in below]
    if context.parent is not None:
        others.insert(0, context.parent.command_path.replace(" ", "-"))
    yield ".SH SEE ALSO\n" + ",\n".join(f"\\fB{_plain(other)}\\fR(1)" for other in others) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; click keeps the lines of those that begin with \\b."""
    for paragraph in text.strip().split("\n\n"):
        if paragraph.lstrip().startswith("\b"):
            lines = paragraph.lstrip().removeprefix("\b").strip("\n")
            yield f".PP\n.nf\n{_plain(lines, keeps_lines=True)}\n.fi"
        else:
            yield f".PP\n{_plain(paragraph)}"


def _plain(text: str, keeps_lines: bool = False) -> str:
    """Escape text for roff: it must find no commands in it, and hyphens must stay copyable."""
    text = text if keeps_lines else " ".join(text.split())
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def main() -> None:
    """Write all files."""
    for path, text in shipped_files().items():
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
