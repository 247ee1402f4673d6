"""The curves of a report: quality and time against rate, with a legend that hides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from luxvox.evaluate.report import plots, speeds
from luxvox.evaluate.report.plots import Axes, Line
from luxvox.evaluate.report.wording import (
    RATE_DIGITS,
    Record,
    labels_of,
    number,
    scale_label,
    short_unit,
    styles_of,
)

# Curves from elsewhere are drawn a little beyond the measured rates.
_BEYOND = (0.7, 1.4)
_MAX_SHOWN_FOREIGN = 6  # more curves from elsewhere begin hidden


@dataclass(frozen=True)
class Drawn:
    """A scale that is drawn: its entry in the record, its curves, and what its axes say."""

    scale: Record
    lines: list[Line]
    axes: Axes


def draw_scales(record: Record) -> list[Drawn]:
    """Return what is drawn of a record, a plot for each scale that has a curve."""
    styles = styles_of(record)
    drawn = []
    for scale in record["scales"]:
        if scale["name"] == "ms_ssim":  # its decibels are drawn
            continue
        lines = _lines(record, scale, styles)
        if lines:
            axes = Axes(record["rate_unit"], scale_label(scale), scale["digits"])
            drawn.append(Drawn(scale, lines, axes))
    return drawn


def curves(record: Record) -> str:
    """Draw every scale against rate."""
    styles = styles_of(record)
    drawings = [
        _figure(
            drawn.axes.figure, _files_note(record, drawn.scale), plots.plot(drawn.lines, drawn.axes)
        )
        for drawn in draw_scales(record)
    ]
    legend = _legend(record, styles)
    return (
        f'<section id="curves"><h2>Curves</h2>\n{legend}\n'
        f'<div class="plots">{"".join(drawings)}</div></section>'
    )


def _lines(record: Record, scale: Record, styles: Mapping[str, int]) -> list[Line]:
    digits, unit = scale["digits"], scale["unit"]
    labels, lines = labels_of(record), []

    def describe_point(name: str, point: float | None, rate: float, figure: float) -> str:
        setting = "" if point is None else f" at {point:g}"
        where = f"{number(rate, RATE_DIGITS[record['kind']])} {short_unit(record)}"
        return f"{labels[name]}{setting}: {where}, {number(figure, digits)} {unit}".rstrip()

    for codec in record["codecs"]:
        means = [m for m in record["means"] if m["codec"] == codec["name"]]
        points_of_codec = [(m["point"], m["figures"].get(scale["name"])) for m in means]
        points = tuple(
            (f["rate"], f["mean"], describe_point(codec["name"], point, f["rate"], f["mean"]))
            for point, f in points_of_codec
            if f is not None
        )
        if points:
            lines.append(Line(codec["name"], styles[codec["name"]], points))
    rates = [rate for line in lines for rate, _, _ in line.points]
    low, high = _BEYOND[0] * min(rates, default=0.0), _BEYOND[1] * max(rates, default=0.0)
    for curve in record["against"]:
        pairs = [(r, f) for r, f in curve["points"].get(scale["name"], []) if low <= r <= high]
        points = tuple((r, f, describe_point(curve["name"], None, r, f)) for r, f in sorted(pairs))
        if points:
            lines.append(Line(curve["name"], styles[curve["name"]], points))
    return lines


def _legend(record: Record, styles: Mapping[str, int]) -> str:
    is_many = len(record["against"]) > _MAX_SHOWN_FOREIGN
    own = "".join(
        _legend_entry(codec["name"], codec["label"], styles[codec["name"]], True)
        for codec in record["codecs"]
    )
    foreign = "".join(
        _legend_entry(curve["name"], curve["name"], styles[curve["name"]], not is_many)
        for curve in record["against"]
    )
    if is_many:
        foreign = (
            f"<details><summary>{len(record['against'])} curves from elsewhere</summary>"
            f'<div class="legend">{foreign}</div></details>'
        )
    return f'<div class="legend">{own}{"" if is_many else foreign}</div>' + (
        foreign if is_many else ""
    )


def _legend_entry(name: str, label: str, style: int, is_shown: bool) -> str:
    checked = " checked" if is_shown else ""
    key = escape(name, quote=True)
    return (
        f'<label><input type="checkbox" data-toggles="{key}"{checked}>{plots.mark(style)}'
        f"{escape(label)}</label>"
    )


def _figure(caption: str, note: str, drawing: str) -> str:
    quiet = f' <span class="quiet">{escape(note)}</span>' if note else ""
    return (
        f"<figure><figcaption>{escape(caption)}{quiet}</figcaption>{drawing}"
        '<p class="readout" aria-live="polite">&nbsp;</p></figure>'
    )


def times(record: Record) -> str:
    """Draw how long encoding and decoding took, if that was measured."""
    taken = record["times"]
    if taken is None:
        return ""
    styles, labels = styles_of(record), labels_of(record)
    drawings = []
    for field, caption in (("encode_s", "Encoding, s"), ("decode_s", "Decoding, s")):
        lines = []
        for codec in record["codecs"]:
            points = tuple(
                (
                    point["rate"],
                    point[field],
                    f"{labels[codec['name']]} at {point['point']:g}: {point[field]:.3g} s",
                )
                for point in taken["points"]
                if point["codec"] == codec["name"]
            )
            if points:
                lines.append(Line(codec["name"], styles[codec["name"]], points))
        axes = Axes(record["rate_unit"], caption, 3, is_log=True)
        drawings.append(_figure(caption, "", plots.plot(lines, axes)))
    threads = f"{taken['threads']} thread" + ("s" if taken["threads"] != 1 else "")
    return (
        f'<section id="times"><h2>Time</h2>\n{speeds.table(record)}\n'
        f'<div class="plots">{"".join(drawings)}</div>\n'
        f'<p class="quiet">Warm, the median of {taken["runs"]} runs with {threads}, one codec at'
        f" a time; means over {len(taken['files'])} files ({escape(', '.join(taken['files']))});"
        f" {escape(taken['machine'])}.</p></section>"
    )


def _files_note(record: Record, scale: Record) -> str:
    n_files, n_all = scale["files"], len(record["files"])
    return f"{n_files} of {n_all} files" if n_files < n_all else ""
