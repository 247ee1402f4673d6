"""How outputs are named after their inputs, and what no two of them may share."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Final

from luxvox.codec import folders, remote
from luxvox.codec.files import PIPE
from luxvox.commands.sources import Source
from luxvox.errors import UsageError

COMPRESSED_ENDING: Final = ".lvx"

# Extensions that the output's may replace. Others are part of a name, as in `scan.2023`.
_PICTURES: Final = """
    apng arw avif avifs bmp bw cr2 cr3 cur dcx dds dib dng emf eps exr flc fli gif hdr heic
    heif hif icns ico im j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx jxl mpo msp nef orf pbm pcd pcx
    pef pfm pgm png pnm ppm ps psd qoi raf ras raw rgb rgba rw2 sgi spi spider svg tga tif tiff webp
    wmf xbm xpm
"""
_RECORDINGS: Final = """
    3gp aac aif aifc aiff amr ape au avi caf flac m4a m4b mka mkv mov mp2 mp3 mp4 mpga oga ogg opus
    ra rf64 snd spx voc w64 wav wave weba webm wma wv
"""
_KNOWN: Final = frozenset(
    f".{ending}" for ending in (*_PICTURES.split(), *_RECORDINGS.split(), "lvx")
)


def is_compressible(name: str) -> bool:
    """Return whether a file has the extension of a picture or a recording."""
    suffix = Path(name).suffix.lower()
    return suffix in _KNOWN and suffix != COMPRESSED_ENDING


def is_compressed(name: str) -> bool:
    """Return whether a file's name ends in `.lvx`."""
    return name.lower().endswith(COMPRESSED_ENDING)


def name_outputs(
    sources: Sequence[Source], output: str | None, endings: Sequence[str]
) -> list[str]:
    """Name the file that each input becomes.

    Without `output` it is next to its input, with `photo.png` becoming `photo` and the new
    extension; standard input goes to standard output. A folder as `output` takes them all, and
    mirrors the folders that were searched. Where two inputs would produce the same name, like
    `a.jpg` and `a.png`, both keep their own extension: `a.jpg.lvx` and `a.png.lvx`. URLs are named
    like paths.

    Args:
        sources: the inputs.
        output: path or URL of a file (for one input), of a folder, `-`, or None.
        endings: extension of each output, with its dot.

    Returns:
        One path, URL or `-` per input.

    Raises:
        UsageError: several inputs for one output, standard input for a folder, or an empty name.
        SystemFailure: it cannot be determined whether a URL is a folder.
    """
    if output == "":
        raise UsageError("the name of the output is empty")
    many = len(sources) > 1 or any(source.folder is not None for source in sources)
    if output is not None and not _names_folder(output):
        if not many:
            return [output]
        is_file_name = os.path.exists(output) or Path(output).suffix.lower() in _KNOWN
        if output == PIPE or is_file_name:
            inputs = (
                "an input from a folder needs"
                if len(sources) == 1
                else f"{len(sources)} inputs need"
            )
            raise UsageError(f"{inputs} a folder as output, not {output}")
    named = [_name_output(*pair, output) for pair in zip(sources, endings, strict=True)]
    shared = {name for name, count in Counter(map(os.path.normcase, named)).items() if count > 1}
    return [
        _with_both_endings(source, name, ending)
        if os.path.normcase(name) in shared and name != PIPE
        else name
        for source, name, ending in zip(sources, named, endings, strict=True)
    ]


def find_clashes(sources: Sequence[str], targets: Sequence[str]) -> dict[int, str]:
    """Find the jobs whose output would replace an input or an earlier output of the same command.

    Args:
        sources: paths or URLs of the inputs, or `-`.
        targets: the output of each.

    Returns:
        What is wrong, by the position of the job.
    """
    inputs = {_identity(source) for source in sources if source != PIPE}
    taken: dict[object, str] = {}
    clashes: dict[int, str] = {}
    for position, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if not target:  # the job makes no file
            continue
        identity = _identity(target)
        if identity in inputs:
            clashes[position] = f"{target} is also an input, and inputs are kept; use -o"
        elif identity in taken:
            clashes[position] = f"{target} is already the output of {taken[identity]}; use -o"
        taken.setdefault(identity, source)
    return clashes


def _identity(path: str) -> object:
    """Return what two names of one file have in common; upper and lower case may be the same.

    Replacing one of two hard links does not harm the other, so they count as two files.
    """
    if path == PIPE:
        return path
    if remote.is_url(path):
        if not remote.is_local(path):
            return remote.identity(path)
        path = remote.identity(path)
    try:
        found = os.stat(path)
    except OSError:
        return os.path.normcase(os.path.realpath(path))
    if found.st_ino and found.st_nlink == 1:
        return found.st_dev, found.st_ino
    return os.path.normcase(os.path.realpath(path))


def _names_folder(output: str) -> bool:
    return output != PIPE and (output.endswith(("/", os.sep)) or folders.is_folder(output))


def _split(path: str) -> tuple[str, PurePath]:
    """Return the beginning of a URL, empty for a path, and the path itself."""
    return remote.split(path) if remote.is_url(path) else ("", Path(path))


def _name_output(source: Source, ending: str, folder: str | None) -> str:
    if source.path == PIPE or source.path.startswith(("/dev/fd/", "/proc/self/fd/")):
        if folder is None:
            return PIPE
        raise UsageError(f"standard input has no name to keep in the folder {folder}")
    beginning, path = _split(source.path)
    # photo.png becomes photo.lvx and photo.lvx photo.png, but photo.bak becomes photo.bak.png,
    # and scan.2023 scan.2023.lvx.
    suffix = path.suffix.lower()
    replaces = suffix in _KNOWN and COMPRESSED_ENDING in (ending, suffix)
    named = path.with_suffix(ending) if replaces else type(path)(f"{path}{ending}")
    if folder is None:
        return f"{beginning}{named}"
    base = named.parent if source.folder is None else _split(source.folder)[1]
    beginning, root = _split(folder)
    return f"{beginning}{root.joinpath(*named.relative_to(base).parts)}"


def _with_both_endings(source: Source, name: str, ending: str) -> str:
    own = _split(source.path)[1].suffix
    if not own or own.lower() == COMPRESSED_ENDING or name.endswith(f"{own}{ending}"):
        return name
    return f"{name.removesuffix(ending)}{own}{ending}"
