"""The command line: its commands and its exit codes; each command has a module in `commands`.

Nothing heavy is imported before a command needs it, so `--help` and `info` answer at once.
Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal; 130 Ctrl-C,
and 128 more than its number for another signal that ends the process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from luxvox import __version__
from luxvox.commands.console import report, say
from luxvox.commands.group import Commands
from luxvox.commands.process import (
    EndedBySignal,
    ending_signals_raised,
    forget_standard_output,
    hide_warnings,
    open_standard_descriptors,
    seek_garbage_seldom,
)
from luxvox.errors import SystemFailure, UsageError

_INTERRUPTED = 130
_FIRST_STEPS = """luxvox makes photographs and voices small.

  luxvox compress photo.jpg       writes photo.lvx
  luxvox decompress photo.lvx     writes photo.png
  luxvox compress voice.wav -b 3  writes voice.lvx at 3 kbit/s

luxvox --help names all commands, and luxvox compress --help what one of them takes."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        arguments: the words after `luxvox`; None for those of the process.
    """
    seek_garbage_seldom()
    open_standard_descriptors()
    hide_warnings()
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


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="luxvox")
@click.pass_context
def commands(context: click.Context) -> int:
    """Compress photographs and voices with a learned codec.

    \b
    luxvox compress photo.png             writes photo.lvx
    luxvox decompress photo.lvx           writes photo.png
    luxvox decompress photo.lvx -o p.jpg  writes another format
    luxvox compress voice.wav -b 3        writes voice.lvx at 3 kbit/s
    luxvox decompress voice.lvx           writes voice.wav
    luxvox compress photos/ -r -o small/  a tree of folders, on all cores

    Exit codes: 0 done, 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal error.
    """
    if context.invoked_subcommand is not None:
        return 0
    say(_FIRST_STEPS)
    return UsageError.exit_code
