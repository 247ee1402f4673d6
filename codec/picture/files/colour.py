"""The colours of picture files: ICC profiles made from gamma, primaries or code points.

PNG states a gamma and primaries, and PNG, AVIF and HEIF code points; the container keeps an ICC
profile. Sources: ICC.1:2001-04, the PNG specification 11.3.2, ITU-T H.273.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]

_D65: Final[Point] = (0.3127, 0.3290)
_D50_XYZ: Final = np.array([0.9642, 1.0, 0.8249])
_BRADFORD: Final = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_CURVE_POINTS: Final = 1024
_LINEAR, _PQ, _HLG = 8, 16, 18
_SRGB_GAMMA: Final = 1 / 2.2
_GAMMA_TOLERANCE: Final = 0.01
_POINT_TOLERANCE: Final = 0.003


@dataclass(frozen=True)
class Colours:
    """How samples become light.

    Attributes:
        primaries: x, y of red, green and blue.
        white: x, y.
        gamma: the exponent from samples to light; None for the curve of sRGB.
    """

    primaries: tuple[Point, Point, Point]
    white: Point = _D65
    gamma: float | None = None

    @property
    def is_srgb(self) -> bool:
        """Return whether viewers that ignore it show the same colours."""
        points = np.abs(np.subtract((*self.primaries, self.white), (*_SRGB_PRIMARIES, _D65)))
        return self.gamma is None and bool(points.max() <= _POINT_TOLERANCE)


_SRGB_PRIMARIES: Final[tuple[Point, Point, Point]] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_NTSC: Final[tuple[Point, Point, Point]] = ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07))
_P3: Final[tuple[Point, Point, Point]] = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
_PRIMARIES: Final[dict[int, tuple[tuple[Point, Point, Point], Point]]] = {
    1: (_SRGB_PRIMARIES, _D65),
    2: (_SRGB_PRIMARIES, _D65),  # unspecified
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), (0.31, 0.316)),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), _D65),
    6: (_NTSC, _D65),
    7: (_NTSC, _D65),
    9: (((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)), _D65),
    11: (_P3, (0.314, 0.351)),
    12: (_P3, _D65),
    22: (((0.63, 0.34), (0.295, 0.605), (0.155, 0.077)), _D65),
}
SRGB: Final = Colours(_SRGB_PRIMARIES)
DISPLAY_P3: Final = Colours(_P3)
_GAMMAS: Final = {4: 2.2, 5: 2.8, _LINEAR: 1.0}


def colours_of_code_points(primaries: int, transfer: int) -> Colours | None:
    """Return the colours that code points of H.273 stand for, or None if they are not known.

    The curve of television (1, 6, 14, 15) is taken for that of sRGB, as viewers do.
    """
    found = _PRIMARIES.get(primaries)
    return None if found is None else Colours(*found, _GAMMAS.get(transfer))


def is_hdr(transfer: int) -> bool:
    """Return whether a transfer of H.273 is PQ or HLG."""
    return transfer in (_PQ, _HLG)


def colours_of_png(gamma: float | None, chromaticities: Sequence[float] | None) -> Colours | None:
    """Return the colours that the gAMA and cHRM chunks of a PNG state.

    Args:
        gamma: the exponent of the file, such as 0.45455; None if it states none.
        chromaticities: x and y of white, red, green and blue, or None.
    """
    exponent = None
    if gamma and abs(gamma - _SRGB_GAMMA) > _GAMMA_TOLERANCE:
        exponent = 1 / gamma
    if chromaticities is None or len(chromaticities) != 8:
        return Colours(_SRGB_PRIMARIES, _D65, exponent)
    pairs = [(float(x), float(y)) for x, y in zip(*[iter(chromaticities)] * 2, strict=True)]
    colours = Colours((pairs[1], pairs[2], pairs[3]), pairs[0], exponent)
    return colours if min(y for _, y in pairs) > 0 and _is_possible(colours) else None


def icc_profile(colours: Colours, is_grey: bool, name: bytes = b"as the file states") -> bytes:
    """Make an ICC profile.

    Args:
        colours: what it says.
        is_grey: whether it is for a picture without colour.
        name: its description.
    """
    curve = _curve(colours.gamma)
    tags = {b"desc": _description(name), b"cprt": b"text\0\0\0\0no copyright\0"}
    tags[b"wtpt"] = _xyz(_D50_XYZ)
    if is_grey:
        tags[b"kTRC"] = curve
    else:
        columns = _matrix_to_d50(colours).T
        for primary, column in zip((b"r", b"g", b"b"), columns, strict=True):
            tags[primary + b"XYZ"] = _xyz(column)
            tags[primary + b"TRC"] = curve
    return _assemble_profile(tags, b"GRAY" if is_grey else b"RGB ")


def to_srgb(pixels: NDArray[np.uint8], icc: bytes) -> NDArray[np.uint8] | None:
    """Convert pixels to sRGB.

    Args:
        pixels: uint8 [H, W, 3] or [H, W, 1].
        icc: their profile.

    Returns:
        uint8 of the same shape; None when the profile cannot be used for them.
    """
    from PIL import Image, ImageCms

    is_grey = pixels.shape[2] == 1
    image = Image.fromarray(pixels[:, :, 0] if is_grey else pixels)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        srgb: Any = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
    assert converted is not None
    rgb = np.asarray(converted)
    return np.ascontiguousarray(rgb[:, :, 1:2]) if is_grey else rgb


def _matrix_to_xyz(colours: Colours) -> NDArray[np.float64]:
    columns = np.array([_xyz_of(point) for point in colours.primaries]).T
    return columns * np.linalg.solve(columns, _xyz_of(colours.white))


def _matrix_to_d50(colours: Colours) -> NDArray[np.float64]:
    cones = _BRADFORD @ _xyz_of(colours.white)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ _D50_XYZ / cones) @ _BRADFORD
    matrix: NDArray[np.float64] = adapt @ _matrix_to_xyz(colours)
    return matrix


def _is_possible(colours: Colours) -> bool:
    """Return whether primaries span a triangle, and colours fit the numbers of a profile."""
    try:
        matrix = _matrix_to_d50(colours)
    except np.linalg.LinAlgError:
        return False
    return bool(np.isfinite(matrix).all() and np.abs(matrix).max() < 8)


def _xyz_of(point: Point) -> NDArray[np.float64]:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv\0\0\0\0" + struct.pack(">IH", 1, min(max(round(gamma * 256), 1), 65_535))
    values = np.linspace(0, 1, _CURVE_POINTS)
    light = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    table: bytes = np.rint(light * 65_535).astype(">u2").tobytes()
    return b"curv\0\0\0\0" + struct.pack(">I", len(light)) + table


def _xyz(values: NDArray[np.float64]) -> bytes:
    numbers: bytes = np.rint(values * 65_536).astype(">i4").tobytes()
    return b"XYZ \0\0\0\0" + numbers


def _description(text: bytes) -> bytes:
    ascii_part = struct.pack(">I", len(text) + 1) + text + b"\0"
    return b"desc\0\0\0\0" + ascii_part + bytes(4 + 4 + 2 + 1 + 67)


def _assemble_profile(tags: dict[bytes, bytes], space: bytes) -> bytes:
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for name, payload in tags.items():
        if payload not in places:
            places[payload] = start + len(data)
            data += payload + bytes(-len(payload) % 4)
        table += name + struct.pack(">II", places[payload], len(payload))
    header = struct.pack(
        ">I4sI4s4s4s12x4s", start + len(data), b"", 0x02100000, b"mntr", space, b"XYZ ", b"acsp"
    )
    header = header.ljust(68, b"\0") + _xyz(_D50_XYZ)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + data
