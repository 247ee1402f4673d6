"""What an evaluation prints at its end: a table that fits the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from luxvox.evaluate.report import pages, speeds
from luxvox.evaluate.report.speeds import Speed
from luxvox.evaluate.report.wording import Record, labels_of

_MAX_LABEL = 44


def summary(record: Record, anchors: Sequence[str] = ()) -> str:
    """Lay out bits at equal quality against one codec, and speeds if they were measured.

    Args:
        record: as in results.json.
        anchors: codecs to compare with; the first that has a curve is taken, or the usual one.

    Returns:
        Lines of text; the means of all points where there is nothing to compare.
    """
    chosen = pages.anchors_of(record, anchors)
    head, rows = pages.difference_cells(record, chosen[0]) if chosen else ([], [])
    if not rows:
        return align(*pages.mean_cells(record))
    note = "bits at equal quality; negative is smaller files"
    rows = [[row[0], *map(_percent, row[1:])] for row in rows]
    timed = {speed.codec: speed for speed in speeds.speeds(record)}
    if timed:
        names = {label: name for name, label in labels_of(record).items()}
        head = [*head, "encoding", "decoding"]
        rows = [[*row, *_speed(timed.get(names[row[0]]))] for row in rows]
        note += f"; speeds in {speeds.unit(record)}"
    return f"{align(head, rows)}\n({note})"


def align(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table in columns: the first to the left, numbers to the right."""
    lines = [[_cut(row[0]), *row[1:]] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _speed(speed: Speed | None) -> list[str]:
    return (
        ["–", "–"]
        if speed is None
        else [speeds.format_speed(speed.encode[0]), speeds.format_speed(speed.decode[0])]
    )


def _percent(cell: str) -> str:
    """Leave out the interval of a difference, to save room."""
    figure = cell.partition(" (")[0]
    return figure if figure == "–" else f"{figure} %"


def _cut(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}…"
