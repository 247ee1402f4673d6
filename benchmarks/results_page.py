"""The page of results: tables go between markers, so that each script renews its own part."""

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def splice(page: Path, part: str, text: str) -> None:
    """Replace what stands between `<!-- PART:begin -->` and `<!-- PART:end -->` in a page.

    Raises ValueError where the page lacks one of the markers.
    """
    begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"{page}: has no markers {begin} … {end}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a markdown table; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def signed(value: float, digits: int = 1) -> str:
    """Print a number with its sign, a true minus included."""
    return f"{value:+.{digits}f}".replace("-", "−")


def repeat_command(*folders: Path) -> str:
    """Repeat the command line of this process, with folders by their names alone."""
    names = {folder: f"{folder.name}/" for folder in folders}
    arguments = [names.get(Path(argument), argument) for argument in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def describe_machine() -> str:
    """Say processor, cores and Python version in a line."""
    return f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"


def describe_packages(*names: str) -> str:
    """Say which versions of installed packages took part."""
    return ", ".join(f"{name} {version(name)}" for name in names)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
