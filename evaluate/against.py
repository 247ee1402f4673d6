"""Curves from elsewhere, drawn next to the measured ones: earlier results, and published figures.

Two forms are read: `results.json` as this package writes it, and a JSON object of curves by name,
each with `bpp`, any of `psnr` and `ms-ssim`, and its `source`.
"""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luxvox.errors import UsageError
from luxvox.evaluate.inputs import PICTURES, Kind
from luxvox.evaluate.metrics import decibels

SCHEMA_PREFIX = "luxvox-evaluate/"
_PUBLISHED_METRICS = {"psnr": "psnr", "ms-ssim": "ms_ssim"}


@dataclass(frozen=True)
class Foreign:
    """A curve that was not measured here.

    Attributes:
        name: its name, different from that of any codec measured here.
        kind: pictures or voices.
        source: where it comes from.
        points: by scale, pairs of rate (bits per pixel or kbit/s) and figure.
    """

    name: str
    kind: Kind
    source: str
    points: Mapping[str, tuple[tuple[float, float], ...]]


def read(path: Path, patterns: Sequence[str] = ()) -> list[Foreign]:
    """Read the curves of a file whose names match a pattern (`*` and `?`), or all of them.

    Raises:
        UsageError: the file cannot be read, has neither form, or no name matches.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        curves = _curves(record, path)
        for curve in curves:
            _check_points(curve)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: neither results nor published curves ({error!r})") from error
    chosen = [c for c in curves if any(fnmatch.fnmatch(c.name, p) for p in patterns or "*")]
    if not chosen:
        raise UsageError(f"{path}: no curve is called {' or '.join(patterns) or 'anything'}")
    return chosen


def _curves(record: Any, path: Path) -> list[Foreign]:
    if str(record.get("schema", "")).startswith(SCHEMA_PREFIX):
        return [_earlier(codec, record, path) for codec in record["codecs"]]
    return [_parse_published(str(name), curve) for name, curve in record.items()]


def _check_points(curve: Foreign) -> None:
    for scale, pairs in curve.points.items():
        if not pairs or not all(rate > 0 and math.isfinite(rate + y) for rate, y in pairs):
            raise ValueError(f"{curve.name}: {scale} has no points, or one that is not finite")


def _earlier(codec: Mapping[str, Any], record: Mapping[str, Any], path: Path) -> Foreign:
    points: dict[str, tuple[tuple[float, float], ...]] = {}
    for mean in record["means"]:
        if mean["codec"] == codec["name"]:
            for scale, figure in mean["figures"].items():
                pair = float(figure["rate"]), float(figure["mean"])
                points[scale] = (*points.get(scale, ()), pair)
    return Foreign(
        name=f"{codec['label']} (earlier, {path.parent.name}/{path.name})",
        kind=record["kind"],
        source=f"{path.name}: {codec['version']}, {record['run']['data']}",
        points=points,
    )


def _parse_published(name: str, curve: Mapping[str, Any]) -> Foreign:
    rates = [float(rate) for rate in curve["bpp"]]
    if not all(rate > 0 for rate in rates):
        raise ValueError(f"{name}: a rate is not above 0")
    points = {
        scale: tuple(zip(rates, map(float, curve[key]), strict=True))
        for key, scale in _PUBLISHED_METRICS.items()
        if key in curve
    }
    if "ms_ssim" in points:
        points["ms_ssim_db"] = tuple((rate, decibels(x)) for rate, x in points["ms_ssim"])
    return Foreign(f"{name} (published)", PICTURES, str(curve.get("source", "")), points)
