"""Where figures come from: the command of a benchmark, the packages and the weights."""

import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from luxvox.models.cards import find_card


def repeat_command(*folders: Path) -> str:
    """Return the command line of this process, with folders reduced to their last names.

    Other absolute paths are reduced, too, also in words such as LABEL=PATH.
    """
    names = {folder: f"{folder.name}/" for folder in folders}
    arguments = [names.get(Path(word)) or _shorten(word) for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])


def _shorten(word: str) -> str:
    label, equals, path = word.rpartition("=")
    return f"{label}{equals}{Path(path).name}" if Path(path).is_absolute() else word


def describe_packages(*names: str, weights: Sequence[str] = ()) -> str:
    """Name the versions of installed packages, and the weights of some kinds."""
    cards = [find_card(kind) for kind in weights]
    return ", ".join(
        [f"{name} {version(name)}" for name in names]
        + [f"{card.id} {card.fingerprint}" for card in cards]
    )
