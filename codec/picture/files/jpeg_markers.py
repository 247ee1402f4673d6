"""The markers of a JPEG file, which say whether all of its scans are there.

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

# Neither stuffing nor a restart: the end of a scan, or the next segment.
_MARKER: Final = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_RESTART: Final = re.compile(rb"\xff([\xd0-\xd7])")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_ALONE: Final = (0x01, _START)  # markers without a segment
_FRAMES: Final = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_PROGRESSIVE: Final = (0xC2, 0xC6, 0xCA, 0xCE)
_N_COEFFICIENTS: Final = 64
_FILMS: Final = (b"MotionPhoto_Data", b"ftypmp4", b"ftypisom", b"ftypqt")
_MIN_REST: Final = 64  # fewer bytes after the picture may be anything
_MISSING: Final = 255  # in place of the lowest bit that a scan brings of a coefficient


@dataclass(frozen=True)
class Markers:
    """What the markers of a file say about its data.

    Attributes:
        end: where the picture ends, after its end marker; None where that is missing.
        is_progressive: whether scans refine one another.
        has_all_scans: whether there is a scan of each component, down to the last bit.
        has_all_restarts: whether restart markers follow one another as they should.
    """

    end: int | None
    is_progressive: bool
    has_all_scans: bool
    has_all_restarts: bool


def read_markers(data: bytes) -> Markers:
    """Read the markers of a file that begins with a JPEG picture, up to its end."""
    position, end = 2, None
    frame, is_progressive, has_all_restarts = b"", False, True
    scans: list[bytes] = []
    while (found := _MARKER.search(data, position)) is not None:
        code, start = found[1][0], found.end()
        if scans and not _are_in_order(_RESTART.finditer(data, position, found.start())):
            has_all_restarts = False
        if code == _END:
            end = start
            break
        size = 0 if code in _ALONE else max(int.from_bytes(data[start : start + 2], "big"), 2)
        segment = data[start + 2 : start + size]
        position = start + size
        if code in _FRAMES:
            frame, is_progressive = segment, code in _PROGRESSIVE
        elif code == _SCAN:
            scans.append(segment)
    return Markers(end, is_progressive, _are_complete(frame, scans), has_all_restarts)


def note_on_rest(data: bytes, end: int) -> str | None:
    """Say what follows the picture; None if that is nothing, or padding."""
    rest = data[end:].strip(b"\0")
    if any(word in rest for word in _FILMS):
        return "its film is not kept"
    if rest.startswith(b"\xff\xd8"):
        return "the second picture in it is not kept"
    return None if len(rest) < _MIN_REST else f"{len(rest):,} bytes after it are not kept"


def _are_in_order(restarts: Iterable[re.Match[bytes]]) -> bool:
    return all(found[1][0] == 0xD0 + number % 8 for number, found in enumerate(restarts))


def _are_complete(frame: bytes, scans: list[bytes]) -> bool:
    """Return whether scans hold each coefficient of each component down to its last bit."""
    components = frame[6::3]
    lowest = {number: [_MISSING] * _N_COEFFICIENTS for number in components}
    for scan in scans:
        n_components = scan[0] if scan else 0
        limits = scan[1 + 2 * n_components : 4 + 2 * n_components]
        if len(limits) < 3:
            return False
        first, last, bits = limits
        for number in scan[1 : 1 + 2 * n_components : 2]:
            if number in lowest:
                band = slice(first, last + 1)
                lowest[number][band] = [bits & 15] * len(lowest[number][band])
    return all(not any(bits) for bits in lowest.values())
