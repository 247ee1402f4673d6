"""How a picture is cut into bands, and its codes into parts (FORMAT.md, Bands).

A band is one or more whole rows of cells of 64 pixels, coded like a picture of its own. Its codes
lie in sections, coarsest first; a *part* is one band's share of a section. A small picture is one
band whose sections are joined into one part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from luxvox.codec.container.header import PictureHeader
from luxvox.codec.container.header_fields import CELL, MAX_BANDS

N_SECTIONS: Final = 6
SECTION_NAMES: Final = (
    *("apex, the preview", "top", "base, first slice", "base, second slice"),
    *("detail, first slice", "detail, second slice"),
)
_BAND_CELLS: Final = 256  # about a megapixel
_JOINED_CELLS: Final = 4  # with up to this many cells, parts would cost more than they are worth


@dataclass(frozen=True, order=True)
class Part:
    """Name a part of the codes: a section, from 1, and a band, from 0; ordered as in a file."""

    section: int
    band: int


@dataclass(frozen=True)
class Bands:
    """The bands of a picture.

    Attributes:
        height, width: of the picture in pixels.
        rows: rows of cells in a band; the last one may have fewer.
        joined: whether all sections are one part, number 1.
    """

    height: int
    width: int
    rows: int
    joined: bool

    @property
    def n_cell_rows(self) -> int:
        """Return the rows of cells of the picture."""
        return -(-self.height // CELL)

    @property
    def n_cell_columns(self) -> int:
        """Return the columns of cells."""
        return -(-self.width // CELL)

    @property
    def n_bands(self) -> int:
        """Return the number of bands."""
        return -(-self.n_cell_rows // self.rows)

    @property
    def n_sections(self) -> int:
        """Return how many sections have parts."""
        return 1 if self.joined else N_SECTIONS

    def parts(self) -> Iterator[Part]:
        """Yield all parts in the order of the file: section after section, from top to bottom."""
        for section in range(1, self.n_sections + 1):
            for band in range(self.n_bands):
                yield Part(section, band)

    def cell_rows(self, band: int) -> range:
        """Return the rows of cells of a band."""
        first = band * self.rows
        return range(first, min(first + self.rows, self.n_cell_rows))

    def grid_rows(self, band: int, stride: int) -> slice:
        """Return the rows of a band on a grid of this stride."""
        cells = self.cell_rows(band)
        return slice(cells.start * CELL // stride, cells.stop * CELL // stride)

    def size(self, band: int) -> tuple[int, int]:
        """Return height and width in pixels of a band, padded to whole cells."""
        return len(self.cell_rows(band)) * CELL, self.n_cell_columns * CELL

    def name(self, band: int) -> str:
        """Return a band's name, counted from 1, to add to a section's; "" for the only band."""
        return f" of band {band + 1}" if self.n_bands > 1 else ""


def bands_of(header: PictureHeader) -> Bands:
    """Return the bands that a header says a picture has."""
    n_cell_rows = -(-header.height // CELL)
    joined = header.band_rows == 0
    return Bands(header.height, header.width, header.band_rows or n_cell_rows, joined)


def usual_band_rows(height: int, width: int) -> int:
    """Return how many rows of cells an encoder puts into a band, as the header states it."""
    n_rows, n_columns = -(-height // CELL), -(-width // CELL)
    if n_rows * n_columns <= _JOINED_CELLS:
        return 0
    n_bands = min(max(round(n_rows * n_columns / _BAND_CELLS), 1), MAX_BANDS, n_rows)
    return -(-n_rows // n_bands)
