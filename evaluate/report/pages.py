"""Results on pages of a project: tables go between markers, so that each part is renewed alone."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from luxvox.codec import files
from luxvox.errors import SystemFailure, UsageError
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

_ANCHORS = ("jpeg", "avif", "opus")


@dataclass(frozen=True)
class Layout:
    """How tables are laid out, and which parts of a page they go to.

    Attributes:
        anchors: codecs that the others are compared with; none for the usual ones.
        set_name: added to the names of the parts, so that a page can hold several sets of files.
    """

    anchors: tuple[str, ...] = ()
    set_name: str = ""

    def parts(self, kind: str) -> dict[str, Callable[[Record, Sequence[str]], str]]:
        """Return what each part of a kind is filled by."""
        name = f"{kind}-{self.set_name}" if self.set_name else kind
        return {name: tables, f"{name}-summary": summary}


def write(page: Path, records: Mapping[str, Record], layout: Layout) -> None:
    """Renew the parts KIND and KIND-summary of a page, or KIND-SET and KIND-SET-summary.

    Parts that the page has no markers for are left out.

    Raises:
        UsageError: it has no marker.
        SystemFailure: it cannot be read or written.
    """
    parts = {part: (f, r) for k, r in records.items() for part, f in layout.parts(k).items()}
    try:
        text = page.read_text(encoding="utf-8")
        found = [part for part in parts if f"<!-- {part}:begin -->" in text]
        if not found:
            raise ValueError(f"has no marker <!-- {next(iter(parts))}:begin -->")
        for part in found:
            fill, record = parts[part]
            text = splice_text(text, part, fill(record, layout.anchors))
    except OSError as error:
        raise SystemFailure(f"{page}: cannot be read: {files.reason(error)}") from error
    except ValueError as error:
        raise UsageError(f"{page}: {error}") from error
    files.write(os.fspath(page), text.encode(), overwrite=True)


def splice(page: Path, part: str, text: str) -> None:
    """Replace what stands between `<!-- PART:begin -->` and `<!-- PART:end -->` in a page.

    Raises ValueError where the page lacks one of the markers.
    """
    try:
        renewed = splice_text(page.read_text(encoding="utf-8"), part, text)
    except ValueError as error:
        raise ValueError(f"{page}: {error}") from error
    page.write_text(renewed, encoding="utf-8")


def splice_text(page: str, part: str, text: str) -> str:
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


def shell_block(command: str) -> str:
    """Return a command as a block of lines that a page has room for."""
    lines = textwrap.wrap(command, 94, break_long_words=False, break_on_hyphens=False)
    return "```sh\n" + " \\\n  ".join(lines) + "\n```"


def tables(record: Record, anchors: Sequence[str] = ()) -> str:
    """Lay out differences, means and origins of results in Markdown."""
    return "\n\n".join(
        [
            "Bits at equal quality in percent (BD-rate), between mean curves, and 95 % intervals of"
            " the bootstrap over files; negative is smaller files.",
            *(differences(record, anchor) for anchor in anchors_of(record, anchors)),
            *_steps(record),
            "Means over the files:",
            table(*mean_cells(record)),
            _origin(record),
        ]
    )


def summary(record: Record, anchors: Sequence[str] = ()) -> str:
    """Lay out the differences from the first anchor in Markdown, by the first column."""
    reference, *_ = anchors_of(record, anchors)
    scales = _compared_scales(record)
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
        table([f"against {_short_name(labels, reference)}", *heads], rows)
        + f"\n\n{shell_block(record['run']['command'])}"
    )


def _short_name(labels: Mapping[str, str], name: str) -> str:
    """Return a label without what it has in brackets, unless others then have the same."""
    short = {key: label.partition(" (")[0] for key, label in labels.items()}
    return short[name] if list(short.values()).count(short[name]) == 1 else labels[name]


def check_anchors(records: Mapping[str, Record], wanted: Sequence[str]) -> None:
    """Check that each anchor that is wanted was measured, in one kind at least.

    Raises:
        UsageError: one was not.
    """
    known = dict.fromkeys(name for record in records.values() for name in _curves(record))
    for name in wanted:
        if name not in known:
            raise UsageError(f"anchor {name} has no curve; known: {', '.join(known)}")


def anchors_of(record: Record, wanted: Sequence[str] = ()) -> list[str]:
    """Return the codecs that the others are compared with: those wanted, or the usual ones."""
    names = _curves(record)
    chosen = [name for name in wanted or _ANCHORS if name in names]
    others = [name for name in names if name != OWN]
    return chosen or others[:1] or names[:1]


def _curves(record: Record) -> list[str]:
    return [codec["name"] for codec in record["codecs"] if len(codec["points"]) > 1]


def _compared_scales(record: Record) -> list[Record]:
    return [scale for scale in record["scales"] if scale["is_compared"]]


def differences(record: Record, reference: str) -> str:
    """Lay out bits at equal quality against one codec, in percent, with intervals."""
    return table(*difference_cells(record, reference))


def difference_cells(record: Record, reference: str) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of differences from one codec."""
    labels, scales = labels_of(record), _compared_scales(record)
    rows = [
        [labels[name], *(_cell(_rate(record, scale, reference, name)) for scale in scales)]
        for name in labels
        if any(_rate(record, scale, reference, name) for scale in scales)
    ]
    return [f"against {labels[reference]}", *(scale_label(scale) for scale in scales)], rows


def _rate(record: Record, scale: Record, reference: str, codec: str) -> Record | None:
    wanted = (scale["name"], reference, codec)
    found = (c for c in record["comparisons"] if (c["scale"], c["reference"], c["codec"]) == wanted)
    comparison: dict[str, Any] | None = next(found, None)
    return None if comparison is None else comparison["rate"]


def _cell(rate: Record | None) -> str:
    if rate is None or rate["value"] is None:
        return "–"
    interval = rate["interval"]
    ends = (
        ""
        if interval is None
        else f" ({format_signed(interval[0], 1)} … {format_signed(interval[1], 1)})"
    )
    return f"{format_signed(rate['value'], 1)}{ends}"


def _percent(rate: Record | None) -> str:
    return "–" if rate is None or rate["value"] is None else f"{format_signed(rate['value'], 1)} %"


def _order(rate: Record | None) -> float:
    return float("-inf") if rate is None or rate["value"] is None else float(rate["value"])


def _strong(text: str, name: str) -> str:
    return f"**{text}**" if is_own(name) else text


def _steps(record: Record) -> list[str]:
    """Say on how many files the bytes and the first figure of luxvox rise with every point."""
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


def mean_cells(record: Record) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of the table of means at every point."""
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
    return ["codec", "point", short_unit(record), *heads], rows


def _mean(figure: Record | None, scale: Record) -> str:
    return "–" if figure is None else number(figure["mean"], scale["digits"])


def _origin(record: Record) -> str:
    run = record["run"]
    metrics = dict.fromkeys(f"{scale['label']}: {scale['version']}" for scale in record["scales"])
    codecs = [f"{codec['name']}: {codec['version']}" for codec in record["codecs"]]
    return "\n".join(
        [
            shell_block(run["command"]),
            "",
            f"Data: {run['data']}. Machine: {run['machine']}.",
            "",
            f"Codecs: {'; '.join(codecs)}. Metrics: {'; '.join(metrics)}.",
        ]
    )
