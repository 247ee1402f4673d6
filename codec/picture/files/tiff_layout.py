"""The layout of the samples in a page of a TIFF file, as its tags state it. Source: TIFF 6.0."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from luxvox.errors import InputError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
_CMYK, _YCBCR, _LAB = 5, 6, 8
REAL: Final = 3
ASSOCIATED: Final = 1
_BITS, _COMPRESSION, _PHOTOMETRIC = 258, 259, 262
_PLANES, _INK_SET, _EXTRA_SAMPLES, _FORMAT, _SUBSAMPLING = 284, 332, 338, 339, 530
_READ = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, _CMYK, _YCBCR, _LAB)
_N_COLOURS: Final = {RGB: 3, _CMYK: 4, _YCBCR: 3, _LAB: 3}
_APART = 2
_UNSIGNED, _UNKNOWN = 1, 4
_ALPHA: Final = (ASSOCIATED, 2)


def n_colours(photometric: int) -> int:
    """Return how many samples of a pixel are its colour."""
    return _N_COLOURS.get(photometric, 1)


def has_alpha(kinds: Sequence[int]) -> bool:
    """Return whether the first sample after the colours is alpha, as `ExtraSamples` says."""
    return bool(kinds) and int(kinds[0]) in _ALPHA


def notes_on_extra(photometric: int, n_samples: int, kinds: Sequence[int]) -> tuple[str, ...]:
    """Say that a pixel has samples that are neither colour nor alpha.

    Args:
        photometric: the kind of its colours.
        n_samples: of a pixel.
        kinds: of those after its colours, as `ExtraSamples` says.
    """
    n_others = n_samples - n_colours(photometric)
    if not kinds and n_others == 1:  # which Pillow takes for alpha
        return ()
    n_extra = n_others - has_alpha(kinds)
    return (f"{n_extra} further channel(s) of its pixels are not kept",) if n_extra > 0 else ()


@dataclass(frozen=True)
class Layout:
    """The layout of the samples of a page in the file."""

    photometric: int
    bits: int
    sample_format: int
    n_samples: int
    is_apart: bool
    is_swapped: bool  # compressed, in another byte order than this machine's
    problem: str | None
    notes: tuple[str, ...]

    @classmethod
    def of(cls, tags: Any) -> Layout:
        """Return the layout that the tags of a page state."""
        all_bits = tuple(tags.get(_BITS, (1,)))
        formats = tuple(tags.get(_FORMAT, (_UNSIGNED,)))
        photometric = int(tags.get(_PHOTOMETRIC, WHITE_IS_ZERO))
        problem = None
        if len(set(all_bits)) > 1 or len(set(formats)) > 1:
            problem = "samples of several kinds"
        elif formats[0] not in (_UNSIGNED, REAL, _UNKNOWN):
            problem = "signed or complex samples"
        elif photometric not in _READ:
            problem = f"colours of the kind {photometric}"
        elif photometric == _CMYK and tags.get(_INK_SET, 1) != 1:
            problem = "inks other than cyan, magenta, yellow and black"
        elif photometric == _YCBCR and tags.get(_COMPRESSION, 1) == 1:
            if tuple(tags.get(_SUBSAMPLING, (2, 2))) != (1, 1):
                problem = "uncompressed YCbCr with fewer samples of colour"
        is_apart = len(all_bits) > 1 and tags.get(_PLANES, 1) == _APART
        is_native = tags.prefix == (b"II" if sys.byteorder == "little" else b"MM")
        is_swapped = tags.get(_COMPRESSION, 1) != 1 and not is_native
        return cls(
            photometric,
            all_bits[0],
            formats[0],
            len(all_bits),
            is_apart,
            is_swapped,
            problem,
            notes_on_extra(photometric, len(all_bits), tags.get(_EXTRA_SAMPLES, ())),
        )

    def check(self) -> None:
        """Raise InputError for samples that nothing reads as a picture."""
        if self.problem is not None:
            raise InputError(f"a TIFF with {self.problem}, which is not read")
        if self.sample_format != REAL and self.bits > 16:
            raise InputError(f"a TIFF with integers of {self.bits} bits, which is not read")
        if self.photometric == PALETTE and self.bits > 8:
            raise InputError(f"a TIFF with a palette of {self.bits} bits, which is not read")

    @property
    def needs_tifffile(self) -> bool:
        """Return whether Pillow does not read such samples, or reads them wrong."""
        if self.sample_format == REAL:
            return self.n_samples > 1 or self.bits != 32 or self.is_swapped
        is_plain = self.bits == 8 and self.photometric != BLACK_IS_ZERO and self.n_samples == 3
        return self.is_apart and not is_plain
