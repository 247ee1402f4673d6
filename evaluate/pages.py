"""Results on pages of a project: tables go between markers, so that each part is renewed alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from luxvox.codec import files
from luxvox.errors import SystemFailure
from luxvox.evaluate.peers import OWN
from luxvox.evaluate.wording import (
    RATE_DIGITS,
    Record,
    labels_of,
    number,
    scale_label,
    short_unit,
    signed,
)

_REFERENCES = ("jpeg", "avif", "opus")


def write(page: Path, records: Mapping[str, Record]) -> None:
    """Renew the parts KIND and KIND-summary of a page, those of them it has markers for.

    Raises:
        SystemFailure: the page cannot be read or written, or has no marker.
    """
    try:
        text = before = page.read_text(encoding="utf-8")
        for kind, record in records.items():
            for part, lay_out in ((kind, tables), (f"{kind}-summary", summary)):
                if f"<!-- {part}:begin -->" in text:
                    text = spliced(text, part, lay_out(record))
    except OSError as error:
        raise SystemFailure(f"{page}: cannot be read: {files.reason(error)}") from error
    except ValueError as error:
        raise SystemFailure(f"{page}: {error}") from error
    if text == before and not any(f"<!-- {kind}" in text for kind in records):
        raise SystemFailure(f"{page}: has no marker <!-- {next(iter(records))}:begin -->")
    files.write(os.fspath(page), text.encode(), overwrite=True)


def splice(page: Path, part: str, text: str) -> None:
    """Replace what stands between `<!-- PART:begin -->` and `<!-- PART:end -->` in a page.

    Raises ValueError where the page lacks one of the markers.
    """
    try:
        renewed = spliced(page.read_text(encoding="utf-8"), part, text)
    except ValueError as error:
        raise ValueError(f"{page}: {error}") from error
    page.write_text(renewed, encoding="utf-8")


def spliced(page: str, part: str, text: str) -> str:
    """Return a page with one part renewed; raises ValueError where it lacks a marker."""
    begin, end = f"<!-- {part}:begin -->", f"<!-- {part}:end -->"
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise ValueError(f"has no markers {begin} … {end}")
    return f"{before}{begin}\n{text.strip()}\n{end}{after}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a markdown table; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, rule, *rows])


def tables(record: Record) -> str:
    """Lay out differences, means and origins of results in Markdown."""
    return "\n\n".join(
        [
            "Bits at equal quality in percent (BD-rate), between mean curves, and 95 % intervals of"
            " the bootstrap over files; negative is smaller files.",
            *(_differences(record, reference) for reference in _references(record)),
            *_steps(record),
            "Means over the files:",
            _means(record),
            _origin(record),
        ]
    )


def summary(record: Record) -> str:
    """Lay out the differences from one reference in Markdown, in the order of the first column."""
    reference, *_ = _references(record)
    scales = _compared(record)
    labels = labels_of(record)
    found = [
        (name, [_rate(record, scale, reference, name) for scale in scales])
        for name in labels
        if name != reference
    ]
    rows = [
        [_strong(labels[name], name), *(_strong(_percent(rate), name) for rate in rates)]
        for name, rates in sorted(found, key=lambda pair: -_order(pair[1][0]))
    ]
    heads = [f"{scale['label']}" for scale in scales]
    return (
        table([f"against {labels[reference]}", *heads], rows) + f"\n\n`{record['run']['command']}`"
    )


def _references(record: Record) -> list[str]:
    names = [codec["name"] for codec in record["codecs"] if len(codec["points"]) > 1]
    others = [name for name in names if name != OWN]
    return [name for name in _REFERENCES if name in names] or others[:1] or names[:1]


def _compared(record: Record) -> list[Record]:
    return [scale for scale in record["scales"] if scale["is_compared"]]


def _differences(record: Record, reference: str) -> str:
    labels, scales = labels_of(record), _compared(record)
    rows = [
        [labels[name], *(_cell(_rate(record, scale, reference, name)) for scale in scales)]
        for name in labels
        if any(_rate(record, scale, reference, name) for scale in scales)
    ]
    return table([f"against {labels[reference]}", *(scale_label(scale) for scale in scales)], rows)


def _rate(record: Record, scale: Record, reference: str, codec: str) -> Record | None:
    wanted = (scale["name"], reference, codec)
    found = (c for c in record["comparisons"] if (c["scale"], c["reference"], c["codec"]) == wanted)
    comparison: dict[str, Any] | None = next(found, None)
    return None if comparison is None else comparison["rate"]


def _cell(rate: Record | None) -> str:
    if rate is None or rate["value"] is None:
        return "–"
    interval = rate["interval"]
    ends = "" if interval is None else f" ({signed(interval[0], 1)} … {signed(interval[1], 1)})"
    return f"{signed(rate['value'], 1)}{ends}"


def _percent(rate: Record | None) -> str:
    return "–" if rate is None or rate["value"] is None else f"{signed(rate['value'], 1)} %"


def _order(rate: Record | None) -> float:
    return float("-inf") if rate is None or rate["value"] is None else float(rate["value"])


def _strong(text: str, name: str) -> str:
    return f"**{text}**" if name == OWN else text


def _steps(record: Record) -> list[str]:
    """Tell on how many files bytes and the first figure of luxvox rise with every point."""
    metric = record["scales"][0]
    rising = 0
    for file in record["files"]:
        rows = [r for r in record["rows"] if (r["file"], r["codec"]) == (file["name"], OWN)]
        values = [(row["bytes"], row["figures"][metric["metric"]] or 0.0) for row in rows]
        rising += bool(rows) and all(a < c and b < d for (a, b), (c, d) in pairwise(values))
    if not any(codec["name"] == OWN for codec in record["codecs"]):
        return []
    return [
        f"From point to point of luxvox, bytes and {metric['label']} rise at every step on {rising}"
        f" of {len(record['files'])} files."
    ]


def _means(record: Record) -> str:
    labels, scales = labels_of(record), record["scales"]
    rows = [
        [
            labels[mean["codec"]],
            f"{mean['point']:g}",
            number(mean["rate"], RATE_DIGITS[record["kind"]]),
            *(_mean(mean["figures"].get(scale["name"]), scale) for scale in scales),
        ]
        for mean in record["means"]
    ]
    heads = [
        scale_label(scale)
        + (f" ({scale['files']} files)" if scale["files"] < len(record["files"]) else "")
        for scale in scales
    ]
    return table(["codec", "point", short_unit(record), *heads], rows)


def _mean(figure: Record | None, scale: Record) -> str:
    return "–" if figure is None else number(figure["mean"], scale["digits"])


def _origin(record: Record) -> str:
    run = record["run"]
    metrics = dict.fromkeys(f"{scale['label']}: {scale['version']}" for scale in record["scales"])
    codecs = [f"{codec['name']}: {codec['version']}" for codec in record["codecs"]]
    return "\n".join(
        [
            f"`{run['command']}` ({run['data']}; {run['machine']})",
            "",
            f"Codecs: {'; '.join(codecs)}. Metrics: {'; '.join(metrics)}.",
        ]
    )
