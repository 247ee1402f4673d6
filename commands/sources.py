"""What a command works on: files that are named, found in folders, or listed in a file.

Files and folders may be at URLs. A `*` stands for any characters in a name, as in a shell: some
shells leave that to the command, and none knows URLs.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from luxvox.codec import files, remote
from luxvox.errors import UsageError


@dataclass(frozen=True)
class Source:
    """An input.

    Attributes:
        path: of the file, its URL, or `-`.
        folder: the folder that was searched, if one was named; outputs mirror what is below it.
    """

    path: str
    folder: str | None = None


@dataclass(frozen=True)
class Search:
    """How folders are searched.

    Attributes:
        is_recursive: whether subfolders are searched, too.
        is_wanted: whether a file is taken, given its name.
    """

    is_recursive: bool
    is_wanted: Callable[[str], bool]


def find_sources(
    inputs: Sequence[str], files_from: str | None, search: Search
) -> tuple[Source, ...]:
    """Return all files that inputs stand for; those in folders are in order of their names.

    Files and folders whose names begin with a dot are left out, and so are folders reached through
    symbolic links, which may form a circle. A folder that cannot be read is returned as if it were
    a file.

    Args:
        inputs: paths, URLs or patterns of files and folders, or `-`.
        files_from: path of a list of more, one per line, or `-` for standard input.
        search: how folders are searched.

    Raises:
        UsageError: there are none.
        SystemFailure: the list, or a folder at a URL, cannot be read.
    """
    named = [*inputs, *(_read_list(files_from) if files_from is not None else ())]
    if not named:
        raise UsageError("no input is named; name files, folders, or - for standard input")
    found = _once(source for name in named for source in _sources_of(name, search))
    if not found:
        where = ", ".join(named)
        deeper = "" if search.is_recursive else "; -r looks into the folders in it"
        raise UsageError(f"nothing in {where} is a file for this command{deeper}")
    return found


def _once(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Return each file once, however often it is named."""
    known: set[str] = set()
    kept = []
    for source in sources:
        path = source.path
        is_name = path != files.PIPE and not remote.is_url(path)
        identity = os.path.normcase(os.path.abspath(path)) if is_name else path
        if identity not in known:
            kept.append(source)
        known.add(identity)
    return tuple(kept)


def _read_list(path: str) -> list[str]:
    try:
        lines = files.read(files.plain_name(path, 0)).decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a list of file names in UTF-8") from None
    if any("\0" in line for line in lines):
        raise UsageError(f"{path} is not a list of file names, one per line: it has null bytes")
    return [line.removesuffix("\r") for line in lines if line.strip()]


def _sources_of(name: str, search: Search) -> Iterable[Source]:
    if remote.is_url(name):
        return _sources_at(name, search)
    if name == files.PIPE or not os.path.isdir(name):
        return _matches(name, search) or [Source(name)]
    # A folder that cannot be read is listed as itself, and is not below itself.
    return (Source(path, name if path != name else None) for path in _files_in(name, search))


def _matches(pattern: str, search: Search) -> list[Source]:
    """Return the files that a pattern stands for; none if it is a file's name, or matches none."""
    if not glob.has_magic(pattern) or os.path.lexists(pattern):
        return []
    names = sorted(glob.glob(pattern, recursive=True))
    return [Source(name) for name in names if search.is_wanted(name) and not os.path.isdir(name)]


def _sources_at(url: str, search: Search) -> Iterable[Source]:
    if remote.is_pattern(url):
        return [Source(found) for found in remote.matches(url) if search.is_wanted(found)]
    # Lists may be long, and asking takes a moment, so a name that looks like a file's is a file.
    is_file_name = search.is_wanted(url) and not url.endswith("/")
    if is_file_name or not remote.is_folder(url):
        return [Source(url)]
    found = remote.files_in(url, search.is_recursive)
    return [Source(file_url, url) for file_url in found if search.is_wanted(file_url)]


def _files_in(folder: str, search: Search) -> Iterator[str]:
    """Yield paths of files; for a folder that cannot be read, the folder: its job says why."""
    refused: list[str] = []

    def refuse(error: OSError) -> None:
        refused.append(os.fspath(error.filename))

    for parent, folders, names in os.walk(folder, onerror=refuse):
        yield from refused
        refused.clear()
        folders[:] = sorted(n for n in folders if not n.startswith(".") and search.is_recursive)
        for name in sorted(names):
            if not name.startswith(".") and search.is_wanted(name):
                yield str(Path(parent) / name)
    yield from refused
