"""Files made shorter without coding anything again: previews from the same bytes.

A picture gives up its metadata, last to first, then the parts of its codes, the finest first and
the lowest band before those above it, down to the preview. A voice gives up its tags, then the
second sections of its segments from the end, then whole segments from the end. The result is a
complete file, not a cut one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from luxvox import cautions
from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, check_types, file_bytes
from luxvox.codec.container import (
    ALPHA,
    LAST_CODES,
    LAST_CRITICAL,
    Container,
    PictureHeader,
    Section,
    VoiceHeader,
)
from luxvox.errors import TruncatedError, TruncatedWarning, UsageError
from luxvox.timeline import PARTS, n_segments, samples_of_segments, whole_segments

_Cut = Callable[[int], bytes]
"""Gives the file without the first n of the things it can give up."""


def truncate(data: FileBytes, *, size: int | None = None, sections: int | None = None) -> bytes:
    """Shorten a file without decoding it; what remains of it is the same, bit for bit.

    Args:
        data: a `.lvx` file: its bytes, path or URL, or opened; of a cut one, what is whole is kept,
            with a `TruncatedWarning`.
        size: the most bytes the result may have. Metadata goes first, then what is finest.
        sections: keep the first n sections of the codes, 1 or more (of a voice: of every segment),
            alpha and metadata.

    Returns:
        The bytes of a whole, legal file; the same bytes if nothing has to go.

    Raises:
        UsageError: unless exactly one of `size` and `sections` is given, or if it is less than
            is possible; the message says what is.
        FormatError, UnsupportedError: as decompressing does, except for the weights.
    """
    if (size is None) == (sections is None):
        raise UsageError("truncating takes either a size or a number of sections")
    check_types(size=size, sections=sections)
    content = container.read(file_bytes(data))
    if content.truncated:
        cautions.warn(TruncatedWarning("the file is cut; keeping what is whole"), stacklevel=2)
    content = _drop_cut(content)
    if sections is not None:
        return _first_sections(content, sections)
    n_droppable, cut = _cuts(content)
    return _largest_within(cut, n_droppable, size or 0)


def _drop_cut(content: Container) -> Container:
    """Make a legal file of what is whole in a cut one."""
    header = content.header
    if not content.truncated:
        return content
    if isinstance(header, PictureHeader):
        has_alpha = any(section.type == ALPHA for section in content.sections)
        return replace(content, header=replace(header, alpha=has_alpha), truncated=False)
    n_whole = whole_segments(len(content.codes), header.channels)
    codes = list(content.sections[: len(content.codes)])
    if n_whole < 1:
        raise TruncatedError("the file is cut before its first segment is whole")
    shortened, kept = _keep_segments(header, codes, n_whole)
    tags = content.sections[len(codes) :] if shortened == header else ()
    return Container(shortened, (*kept, *tags), truncated=False)


def _first_sections(content: Container, n_first: int) -> bytes:
    if n_first < 1:
        raise UsageError(f"{n_first} sections asked for, legal: 1 or more")
    header, sections = content.header, content.sections
    if isinstance(header, PictureHeader):
        kept = {part: data for part, data in content.parts.items() if part.section <= n_first}
        return container.write(header, sections, kept)
    return container.write(
        header, [_empty(section) if _part(section) > n_first else section for section in sections]
    )


def _cuts(content: Container) -> tuple[int, _Cut]:
    """Return how many pieces a file can give up, and a function that drops the first n."""
    if isinstance(content.header, PictureHeader):
        return _picture_cuts(content)
    return _voice_cuts(content.header, list(content.sections))


def _picture_cuts(content: Container) -> tuple[int, _Cut]:
    """Metadata goes first, the last one before others, then parts from the end of the file."""
    metadata = [section for section in content.sections if section.type > LAST_CRITICAL]
    parts = sorted(part for part in content.parts if part.section > 1)

    def cut(n_dropped: int) -> bytes:
        sections = list(content.sections)[: len(content.sections) - min(n_dropped, len(metadata))]
        n_parts = max(n_dropped - len(metadata), 0)
        dropped = set(parts[len(parts) - n_parts :])
        kept = {part: data for part, data in content.parts.items() if part not in dropped}
        return container.write(content.header, sections, kept)

    return len(metadata) + len(parts), cut


def _voice_cuts(header: VoiceHeader, sections: list[Section]) -> tuple[int, _Cut]:
    n_all = n_segments(header.n_samples, header.sample_rate_hz)
    n_codes = PARTS * header.channels * n_all
    codes, tags = sections[:n_codes], sections[n_codes:]

    def cut(n_dropped: int) -> bytes:
        if n_dropped <= len(tags):
            return container.write(header, sections[: len(sections) - n_dropped])
        n_coarse = min(n_dropped - len(tags), n_all)
        fine = PARTS * header.channels * (n_all - n_coarse)
        coarse = [_empty(section) if _part(section) > 1 else section for section in codes[fine:]]
        n_kept = n_all - max(n_dropped - len(tags) - n_all, 0)
        return container.write(*_keep_segments(header, [*codes[:fine], *coarse], n_kept))

    return len(tags) + n_all + n_all - 1, cut


def _keep_segments(
    header: VoiceHeader, sections: list[Section], n_kept: int
) -> tuple[VoiceHeader, list[Section]]:
    """Keep the first n segments of a voice; sections missing in the last one become empty."""
    n_all = n_segments(header.n_samples, header.sample_rate_hz)
    period = PARTS * header.channels
    kept = sections[: period * n_kept]
    kept += [Section(len(kept) % period + 1, b"") for _ in range(period * n_kept - len(kept))]
    if n_kept == n_all:
        return header, kept
    n_samples = samples_of_segments(n_kept, header.sample_rate_hz)
    return replace(header, n_samples=n_samples), kept


def _part(section: Section) -> int:
    """Return whether a voice's code section holds first or other stages, 1 or 2; 0 for others."""
    return 0 if section.type > LAST_CODES else (section.type - 1) % PARTS + 1


def _empty(section: Section) -> Section:
    return Section(section.type, b"")


def _largest_within(cut: _Cut, n_droppable: int, size: int) -> bytes:
    smallest = cut(n_droppable)
    if len(smallest) > size:
        raise UsageError(f"{size} bytes are too few; this file can be cut to {len(smallest)}")
    low, high = 0, n_droppable
    while low < high:  # the more is dropped, the shorter the file
        middle = (low + high) // 2
        if len(cut(middle)) > size:
            low = middle + 1
        else:
            high = middle
    return cut(low)
