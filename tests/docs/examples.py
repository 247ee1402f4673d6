"""The examples of a Markdown page, and how they are run: in a folder, in their order.

A fence of `sh` or `python` is an example. It is left out where the line above it is a comment
`<!-- not run: the reason -->`, and between the markers of a part that `luxvox evaluate --page`
renews, which records how figures came about. Installing is left out, too.
"""

import os
import re
import shlex
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from luxvox import cli
from luxvox.errors import DamageWarning, LossWarning, TargetWarning, TruncatedWarning

_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n)?^```(?P<language>sh|python)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_RENEWED = re.compile(r"<!-- ([\w-]+):begin -->.*?<!-- \1:end -->", re.DOTALL)
_INSTALLS = re.compile(r"^pip install .*?(?:&&(?: \\)?\s+|$)", re.MULTILINE)
_NEEDS_A_SHELL = re.compile(r"[|<>$*&=]")
# The variants on a page write the same outputs.
_OVERWRITING = ("compress", "decompress", "truncate")
_SKIPPING = ("--skip-existing", "--dry-run")


@dataclass(frozen=True)
class Example:
    """An example: its language, its text without what is installed, and why it is not run."""

    language: str
    text: str
    reason: str | None = None


def examples_of(page):
    """Return the examples of a page in their order."""
    text = _RENEWED.sub("", page.read_text(encoding="utf-8"))
    return [
        Example(found["language"], _INSTALLS.sub("", found["text"]), found["reason"])
        for found in _FENCE.finditer(text)
    ]


def commands_of(text):
    """Split shell text into commands: continued lines are joined, comments left out."""
    joined = text.replace("\\\n", " ").replace("&&\n", "&& ")
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]
    return [command for line in lines if line for command in line.split(" && ")]


def run(example, folder, names):
    """Run an example.

    Args:
        example: of Python or for a shell.
        folder: working folder, which is the current one.
        names: what Python examples know; those of a page share them.

    Raises:
        AssertionError: if a command fails.
    """
    if example.language == "python":
        with warnings.catch_warnings():
            for category in (DamageWarning, LossWarning, TargetWarning, TruncatedWarning):
                warnings.simplefilter("ignore", category)
            exec(compile(example.text, "<example>", "exec"), names)
        return
    for command in commands_of(example.text):
        code = _run_command(command, folder)
        assert code == 0, f"{command}: exit code {code}"


def _run_command(command, folder):
    """Run a command: luxvox in this process where no shell is needed, else bash."""
    words = shlex.split(command)
    if words[0] == "luxvox" and not _NEEDS_A_SHELL.search(command):
        return cli.run(_overwriting(words[1:]))
    tools = Path(folder, ".tools")
    if not tools.exists():
        tools.mkdir()
        for name, arguments in (("luxvox", "-m luxvox"), ("python", "")):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            tool.chmod(0o755)
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    words = ["bash", "-euo", "pipefail", "-c", command]
    return subprocess.run(
        words, check=False, timeout=120, env={**os.environ, "PATH": path}
    ).returncode


def _overwriting(words):
    is_plain = words[0] in _OVERWRITING and not set(words) & set(_SKIPPING)
    return [*words, "-f"] if is_plain else words
