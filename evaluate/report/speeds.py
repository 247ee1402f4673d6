"""How fast codecs are: seconds a megapixel for pictures, times real time for voices."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from html import escape

from luxvox.evaluate.peers import is_own
from luxvox.evaluate.report.wording import Record, labels_of


@dataclass(frozen=True)
class Speed:
    """A codec's mean speed over its points, and the speeds at the slowest and fastest point.

    Attributes:
        codec: its name.
        encode, decode: mean, lowest, highest; seconds a megapixel, or seconds of sound a second.
    """

    codec: str
    encode: tuple[float, float, float]
    decode: tuple[float, float, float]


def unit(record: Record) -> str:
    """Name the unit of speeds."""
    return "s/megapixel" if record["kind"] == "pictures" else "× real time"


def speeds(record: Record) -> list[Speed]:
    """Return the speed of each codec that was timed."""
    taken = record["times"]
    if taken is None:
        return []
    timed = [file for file in record["files"] if file["name"] in taken["files"]]
    is_picture = record["kind"] == "pictures"
    size: float = statistics.mean(
        file["width"] * file["height"] / 1e6 if is_picture else file["seconds"] for file in timed
    )

    def of(seconds: float) -> float:
        return seconds / size if is_picture else size / max(seconds, 1e-9)

    found = []
    for codec in record["codecs"]:
        points = [point for point in taken["points"] if point["codec"] == codec["name"]]
        if points:
            encode, decode = (
                [of(point[field]) for point in points] for field in ("encode_s", "decode_s")
            )
            found.append(Speed(codec["name"], _spread(encode), _spread(decode)))
    return found


def table(record: Record) -> str:
    """Lay out the speeds for a report; nothing if none were measured."""
    found, labels = speeds(record), labels_of(record)
    if not found:
        return ""
    rows = "".join(_row(speed, labels[speed.codec]) for speed in found)
    return (
        '<div class="scroll"><table id="speeds"><thead><tr><th>codec</th>'
        f"<th>encoding, {unit(record)}</th><th>decoding, {unit(record)}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(speed: Speed, label: str) -> str:
    mine = ' class="own"' if is_own(speed.codec) else ""
    cells = f"<td>{_cell(speed.encode)}</td><td>{_cell(speed.decode)}</td>"
    return f"<tr{mine}><th>{escape(label)}</th>{cells}</tr>"


def format_speed(value: float) -> str:
    """Print a speed with three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _spread(values: list[float]) -> tuple[float, float, float]:
    return statistics.mean(values), min(values), max(values)


def _cell(speed: tuple[float, float, float]) -> str:
    mean, low, high = map(format_speed, speed)
    return f'{mean} <span class="quiet">({low}&nbsp;…&nbsp;{high})</span>'
