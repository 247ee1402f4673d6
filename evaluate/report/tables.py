"""The tables of a report: every codec against every reference, and the means at every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from luxvox.evaluate.peers import OWN, is_own
from luxvox.evaluate.report.wording import (
    RATE_DIGITS,
    Record,
    format_signed,
    labels_of,
    number,
    scale_label,
    short_unit,
)


def comparison_tables(record: Record) -> str:
    """Lay out Bjøntegaard differences, a table for each reference."""
    scales = [scale for scale in record["scales"] if scale["is_compared"]]
    by_pair = {(c["scale"], c["reference"], c["codec"]): c for c in record["comparisons"]}
    labels = labels_of(record)
    names = [*(codec["name"] for codec in record["codecs"])]
    names += [curve["name"] for curve in record["against"]]
    references = [n for n in names if any(n == reference for _, reference, _ in by_pair)]
    if not references:
        return ""
    first = next((name for name in references if name != OWN), references[0])
    options = "".join(
        f'<option value="{k}"{" selected" if name == first else ""}>{escape(labels[name])}</option>'
        for k, name in enumerate(references)
    )
    tables = "\n".join(
        f'<div class="scroll" data-reference="{k}"{"" if name == first else " hidden"}>'
        + _comparison_table(name, names, scales, by_pair, labels)
        + "</div>"
        for k, name in enumerate(references)
    )
    return (
        '<section id="compared"><h2>Compared</h2>\n'
        f'<p><label>Reference <select id="reference">{options}</select></label></p>\n{tables}\n'
        '<p class="quiet">Bits at equal quality (BD-rate; negative is smaller files) and, below,'
        " quality at equal bits (BD-quality; in the metric's unit). Between mean curves by PCHIP,"
        " over what both reach; in brackets the 95 % interval of the bootstrap over files."
        " A dash: the curves cannot be compared; tap it for the reason."
        + (
            " Curves from elsewhere were measured on the files that their sources name: compare"
            " them with figures of the same files only."
            if record["against"]
            else ""
        )
        + "</p></section>"
    )


def _comparison_table(
    reference: str,
    names: Sequence[str],
    scales: Sequence[Record],
    by_pair: Mapping[tuple[str, str, str], Record],
    labels: Mapping[str, str],
) -> str:
    heads = "".join(f"<th>{escape(scale_label(scale))}</th>" for scale in scales)
    rows = []
    for name in names:
        found = [by_pair.get((scale["name"], reference, name)) for scale in scales]
        if not any(found):
            continue
        cells = "".join(
            f"<td>{_difference(c, scale)}</td>" for c, scale in zip(found, scales, strict=True)
        )
        mine = ' class="own"' if is_own(name) else ""
        rows.append(f"<tr{mine}><th>{escape(labels[name])}</th>{cells}</tr>")
    return (
        f"<table><thead><tr><th>against {escape(labels[reference])}</th>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _difference(comparison: Record | None, scale: Record) -> str:
    if comparison is None:
        return "–"
    rate, quality = comparison["rate"], comparison["quality"]
    return _one_difference(rate, 1, "%", "big") + _one_difference(
        quality, scale["digits"], scale["unit"], "small"
    )


def _one_difference(difference: Record, digits: int, unit: str, name: str) -> str:
    if difference["value"] is None:
        reason = escape(difference["refused"], quote=True)
        return (
            f'<span class="{name}"><button class="why" title="{reason}" data-why="{reason}">–'
            "</button></span>"
        )
    interval = difference["interval"]
    space = "&#8239;" if unit else ""
    ends = (
        f' <span class="quiet">({format_signed(interval[0], digits)}&nbsp;…&nbsp;'
        f"{format_signed(interval[1], digits)})</span>"
        if interval
        else ""
    )
    value = f"{format_signed(difference['value'], digits)}{space}{escape(unit)}"
    return f'<span class="{name}">{value}{ends}</span>'


def means(record: Record) -> str:
    """Lay out the means of all codecs at all points."""
    labels = labels_of(record)
    scales = record["scales"]
    heads = "".join(f"<th>{escape(scale_label(scale))}</th>" for scale in scales)
    rows = []
    for mean in record["means"]:
        cells = "".join(
            f"<td>{_mean_cell(mean['figures'].get(scale['name']), scale)}</td>" for scale in scales
        )
        rate = number(mean["rate"], RATE_DIGITS[record["kind"]])
        rows.append(
            f"<tr><th>{escape(labels[mean['codec']])}</th><td>{mean['point']:g}</td>"
            f"<td>{rate}</td>{cells}</tr>"
        )
    return (
        '<section id="means"><h2>Means</h2>\n<details><summary>All points of all codecs, with 95 %'
        " intervals</summary>"
        f'<div class="scroll"><table><thead><tr><th>codec</th><th>point</th>'
        f"<th>{escape(short_unit(record))}</th>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></details></section>"
    )


def _mean_cell(figure: Record | None, scale: Record) -> str:
    if figure is None:
        return "–"
    value = number(figure["mean"], scale["digits"])
    if figure["interval"] is None:
        return value
    low, high = (number(end, scale["digits"]) for end in figure["interval"])
    return f'{value} <span class="quiet">({low}&nbsp;…&nbsp;{high})</span>'
