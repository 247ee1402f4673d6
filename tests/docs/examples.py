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
from itertools import pairwise
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
_WRITING = ("compress", "decompress", "truncate")
_IN_TURN = (*_WRITING, "test", "evaluate")
_SKIPPING = ("--skip-existing", "--dry-run")
_PROCESSES = ("--jobs", "--dask")
# Two points a codec, and one metric: examples of an evaluation show options, not figures.
_POINTS = {
    "luxvox": "3,6",
    "jpeg": "10,80",
    "webp": "10,80",
    "avif": "30,60",
    "jxl": "30,60",
    "jpeg2000": "0.5,2",
}


@dataclass(frozen=True)
class Example:
    """An example: its language, its text without installations, and why it is not run."""

    language: str
    text: str
    reason: str | None = None


def examples_of(page):
    """Return the examples of a page in their order."""
    text = _RENEWED.sub("", page.read_text(encoding="utf-8"))
    return [
        Example(match["language"], _INSTALLS.sub("", match["text"]), match["reason"])
        for match in _FENCE.finditer(text)
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
        names: the global names of Python examples, shared by those of a page.

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
        return cli.run(_quick(words[1:]))
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
        words, check=False, timeout=600, env={**os.environ, "PATH": path}
    ).returncode


def _quick(words):
    """Add what lets an example run again and again, in this process and in seconds.

    The variants on a page write the same outputs. Starting processes takes seconds, too.
    """
    if words[0] in _WRITING and not set(words) & set(_SKIPPING):
        words = [*words, "-f"]
    if words[0] in _IN_TURN and not set(words) & set(_PROCESSES):
        words = [*words, "--jobs", "1"]
    return [*words, *_quick_options(words)] if words[0] == "evaluate" else words


def _quick_options(words):
    points = [value for option, value in pairwise(words) if option == "--points"]
    settled = {value.partition("=")[0] for value in points}
    peers = [value for option, value in pairwise(words) if option == "--peers"]
    codecs = ["luxvox", *peers[0].split(",")] if peers else [*_POINTS]
    options = [
        word
        for codec in codecs
        if codec in _POINTS and codec not in settled
        for word in ("--points", f"{codec}={_POINTS[codec]}")
    ]
    metrics = [] if "--metrics" in words else ["--metrics", "psnr,stoi"]
    return [*options, *metrics, "--timed-files", "0", "--shown-files", "1"]
