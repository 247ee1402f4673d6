"""What is to be drawn of a picture: all of it, a smaller version, or a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from luxvox.codec.container.bands import Bands
from luxvox.codec.container.header_fields import CELL
from luxvox.errors import UsageError

Crop = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

SCALES: Final[Mapping[float, int]] = {1.0: 1, 0.5: 2, 0.25: 4, 0.125: 8, 0.0625: 16}
"""How many times smaller the picture is at a scale."""
_SECTIONS: Final[Mapping[int, int]] = {2: 6, 4: 5, 8: 4, 16: 2}
"""How many sections a smaller version is drawn from, by the factor."""


@dataclass(frozen=True)
class View:
    """What is to be drawn.

    Attributes:
        sections: how many sections of the codes, from 1; None for all.
        factor: how many times smaller the picture is to be, 1, 2, 4, 8 or 16.
        crop: the part of the picture, or None for all of it.
    """

    sections: int | None = None
    factor: int = 1
    crop: Crop | None = None

    @property
    def n_sections(self) -> int | None:
        """Return how many sections are read, None for all."""
        enough = _SECTIONS.get(self.factor)
        wanted = [n for n in (self.sections, enough) if n is not None]
        return min(wanted, default=None)


def view_of(sections: int | None, scale: float, crop: Crop | None) -> View:
    """Return the view that a caller asks for.

    Raises:
        UsageError: if it is illegal for every picture.
    """
    if sections is not None and sections < 1:
        raise UsageError(f"{sections} sections asked for, legal: 1 or more")
    if scale not in SCALES:
        raise UsageError(f"scale {scale!r} is not legal: 1, 1/2, 1/4, 1/8 or 1/16")
    if crop is not None and scale != 1.0:
        raise UsageError("scale and crop cannot be combined")
    if crop is not None and (len(crop) != 4 or min(crop[:2]) < 0 or min(crop[2:]) < 1):
        raise UsageError(f"crop {_format_crop(crop)} is not legal: X,Y from 0, W,H from 1")
    if crop is not None:  # NumPy's whole numbers would overflow
        left, top, width, height = map(int, crop)
        crop = left, top, width, height
    return View(sections, SCALES[scale], crop)


def check_view(view: View, width: int, height: int) -> None:
    """Check that a picture of this size has such a view.

    Raises:
        UsageError: if the crop does not lie in the picture.
    """
    if view.crop is not None:
        left, top, crop_width, crop_height = view.crop
        if left + crop_width > width or top + crop_height > height:
            size = f"{width}×{height}"
            raise UsageError(
                f"crop {_format_crop(view.crop)} is not inside the picture of {size} pixels"
            )


@dataclass(frozen=True)
class Window:
    """The cells of a picture that are needed to draw a part of it.

    Attributes:
        bands: that are decoded.
        rows, columns: of the cells whose codes are drawn.
        crop: the part that is wanted.
    """

    bands: range
    rows: range
    columns: range
    crop: Crop


def window_of(view: View, bands: Bands, reach: int) -> Window:
    """Return what has to be decoded and drawn for a view of a picture.

    Args:
        view: what is wanted.
        bands: of the picture.
        reach: how far a pixel depends on codes, in pixels.
    """
    whole = (0, 0, bands.width, bands.height)
    left, top, width, height = crop = view.crop or whole
    rows = _cells(top, height, reach, bands.n_cell_rows)
    columns = _cells(left, width, reach, bands.n_cell_columns)
    touched = range(rows.start // bands.rows, (rows.stop - 1) // bands.rows + 1)
    return Window(touched, rows, columns, crop)


def _cells(first: int, size: int, reach: int, n_cells: int) -> range:
    """Return the cells that a range of pixels in a row or column depends on."""
    return range(max((first - reach) // CELL, 0), min(-(-(first + size + reach) // CELL), n_cells))


def _format_crop(crop: Crop) -> str:
    return ",".join(map(str, crop))
