"""Tables of results in LaTeX, for papers: `booktabs` and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from luxvox.evaluate.report.pages import anchors_of, difference_cells, mean_cells
from luxvox.evaluate.report.wording import Record

_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "–": "--",
    "…": r"\,\dots\,",
}


def tables(record: Record, anchors: Sequence[str] = ()) -> dict[str, str]:
    """Lay out differences from each anchor, and means.

    Args:
        record: as in results.json.
        anchors: codecs that the others are compared with; none for the usual ones.

    Returns:
        By the name of a file, a `tabular` that stands alone; it needs `\\usepackage{booktabs}`.
    """
    laid_out = {
        f"against-{anchor}.tex": tabular(*difference_cells(record, anchor))
        for anchor in anchors_of(record, anchors)
    }
    return {**laid_out, "means.tex": tabular(*mean_cells(record))}


def tabular(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table; all columns but the first are aligned to the right."""
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        _row(head),
        r"\midrule",
        *(_row(row) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(escape(cell) for cell in cells) + r" \\"


def escape(text: str) -> str:
    """Escape the characters that LaTeX reads as commands."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)
