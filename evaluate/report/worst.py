"""The files on which luxvox does worst, next to another codec, on every scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from luxvox.evaluate import bd
from luxvox.evaluate.bd import Curve, NoComparison
from luxvox.evaluate.metrics import decibels
from luxvox.evaluate.peers import OWN
from luxvox.evaluate.report.pages import anchors_of
from luxvox.evaluate.report.wording import Record, format_signed, labels_of, number, scale_label

SHOWN = 10  # of all files, which may be thousands
_MIN_FILES = 2


@dataclass(frozen=True)
class Standing:
    """How luxvox does on a file.

    Attributes:
        file: its name.
        figures: by scale, bits at equal quality against the reference in percent, or, without a
            reference, the figure at the middle point; None if there is none.
    """

    file: str
    figures: tuple[float | None, ...]


def standings(record: Record, reference: str | None) -> list[Standing]:
    """Return how luxvox does on each file, the worst on the first scale first.

    Args:
        record: as in results.json.
        reference: codec to compare with; None for none.
    """
    rows: dict[tuple[str, str], list[Record]] = {}
    for row in record["rows"]:
        rows.setdefault((row["file"], row["codec"]), []).append(row)
    compared = [scale for scale in record["scales"] if scale["is_compared"]]
    unsorted = []
    for file in record["files"]:
        own = rows[file["name"], OWN]
        if reference is None:
            middle = own[len(own) // 2]["figures"]
            figures = tuple(_figure(middle, scale) for scale in compared)
        else:
            compared_row = rows[file["name"], reference]
            figures = tuple(_difference(own, compared_row, scale) for scale in compared)
        unsorted.append(Standing(file["name"], figures))
    return sorted(
        unsorted, key=lambda standing: _sort_key(standing.figures[0], compared[0], reference)
    )


def table(record: Record) -> str:
    """Lay out the worst files for a report; nothing where there are not two, or no luxvox."""
    has_own = any(codec["name"] == OWN for codec in record["codecs"])
    compared = [scale for scale in record["scales"] if scale["is_compared"]]
    if not has_own or not compared or len(record["files"]) < _MIN_FILES:
        return ""
    reference = next((name for name in anchors_of(record) if name != OWN), None)
    found = standings(record, reference)
    heads = "".join(f"<th>{escape(scale_label(scale))}</th>" for scale in compared)
    body = "".join(_row(standing, compared, reference) for standing in found[:SHOWN])
    of = f"The {SHOWN} worst of {len(found)}" if len(found) > SHOWN else f"All {len(found)}"
    first = escape(compared[0]["label"])
    if reference is None:
        how = f"luxvox at its middle point, the lowest {first} first."
    else:
        label = escape(labels_of(record)[reference])
        how = (
            f"Bits that luxvox needs at equal quality, against {label}; positive is larger files."
            f" Where luxvox loses most in {first} comes first."
        )
    return (
        f'<section id="worst"><h2>Worst files</h2>\n<div class="scroll"><table><thead><tr>'
        f"<th>file</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>\n"
        f'<p class="quiet">{of} files. {how} results.csv has the figures of all files.</p>'
        "</section>"
    )


def _row(standing: Standing, compared: Sequence[Record], reference: str | None) -> str:
    cells = "".join(
        f"<td>{_cell(figure, scale, reference)}</td>"
        for figure, scale in zip(standing.figures, compared, strict=True)
    )
    return f"<tr><th>{escape(standing.file)}</th>{cells}</tr>"


def _cell(figure: float | None, scale: Record, reference: str | None) -> str:
    if figure is None:
        return "–"
    return (
        number(figure, scale["digits"]) if reference is None else f"{format_signed(figure)}&#8239;%"
    )


def _sort_key(figure: float | None, scale: Record, reference: str | None) -> float:
    """Return a number that is lower for worse files; files without a figure come last."""
    if figure is None:
        return float("inf")
    is_low_bad = reference is None and scale["is_higher_better"]
    return figure if is_low_bad else -figure


def _difference(own: Sequence[Record], other: Sequence[Record], scale: Record) -> float | None:
    try:
        return bd.bd_rate_percent(_curve(other, scale), _curve(own, scale))
    except NoComparison:
        return None


def _curve(rows: Sequence[Record], scale: Record) -> Curve:
    sign = 1.0 if scale["is_higher_better"] else -1.0
    pairs = [(row["rate"], _figure(row["figures"], scale)) for row in rows]
    points = [(rate, sign * figure) for rate, figure in pairs if figure is not None]
    return Curve(tuple(rate for rate, _ in points), tuple(quality for _, quality in points))


def _figure(figures: Record, scale: Record) -> float | None:
    """Return a file's figure on a scale, which is in decibels if it is not named as its metric."""
    figure: float | None = figures.get(scale["metric"])
    is_plain = scale["name"] == scale["metric"]
    return figure if figure is None or is_plain else decibels(figure)
