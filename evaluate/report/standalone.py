"""Plots as SVG files that need no style sheet, with a legend on the right."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from luxvox.evaluate.report.plots import HEIGHT, WIDTH, Axes, Line, mark, plot

_COLOURS = (
    "#c2410c",
    "#fb923c",
    "#1d4ed8",
    "#0f766e",
    "#7e22ce",
    "#475569",
    "#be123c",
    "#4d7c0f",
    "#a16207",
    "#0e7490",
    "#9d174d",
    "#78716c",
)
_STROKE = 'fill="none" stroke="{}" stroke-width="{}"'
_MIN_LEGEND_WIDTH = 120
_KEY_WIDTH, _LETTER_WIDTH = 36, 6.6  # of the legend, in the units of the drawing


def drawing(lines: Sequence[Line], axes: Axes, labels: Mapping[str, str] | None = None) -> str:
    """Return an SVG file of curves.

    Args:
        lines: curves of at least one point.
        axes: what the axes say; the figure's axis is named above the plot.
        labels: what the legend calls each line; by default its key.
    """
    named = [(labels or {}).get(line.key, line.key) for line in lines]
    longest = max(len(name) for name in named)
    legend_width = max(_MIN_LEGEND_WIDTH, round(_KEY_WIDTH + _LETTER_WIDTH * longest))
    width = WIDTH + legend_width
    height = max(HEIGHT + 20, 40 + 20 * len(lines))
    legend = []
    for number, (line, name) in enumerate(zip(lines, named, strict=True)):
        y = 34 + 20 * number
        legend.append(_move(mark(line.style), WIDTH, y))
        legend.append(f'<text x="{WIDTH + 28}" y="{y + 11}">{escape(name)}</text>')
    curves = _inline_styles(_move(plot(lines, axes), 0, 20))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="46" y="14" font-weight="bold">{escape(axes.figure)}</text>\n'
        f"{curves}\n{_inline_styles(''.join(legend))}\n</svg>\n"
    )


def _move(svg: str, x: int, y: int) -> str:
    """Turn an SVG element into a group, moved by x and y."""
    inside = re.sub(r"^<svg[^>]*>|</svg>$", "", svg)
    return f'<g transform="translate({x} {y})">{inside}</g>'


def _inline_styles(svg: str) -> str:
    """Replace classes by their styles, since some viewers know no style sheets."""
    looks = {
        "grid": 'stroke="#e2e8f0"',
        "hit": 'fill="none"',
        "hit wide": 'stroke="none"',
        "middle": 'text-anchor="middle"',
        "middle name": 'text-anchor="middle"',
        "end": 'text-anchor="end"',
    }
    for number, colour in enumerate(_COLOURS):
        looks[f"s{number} stroke"] = _STROKE.format(colour, 1.8)
        looks[f"s{number} stroke level"] = f'{_STROKE.format(colour, 1.8)} stroke-dasharray="2 4"'
        looks[f"s{number} fill"] = f'fill="{colour}"'
        # Curves from elsewhere begin with the last colours.
        foreign = _COLOURS[(number + 6) % len(_COLOURS)]
        looks[f"f{number} stroke"] = f'{_STROKE.format(foreign, 1.4)} stroke-dasharray="5 3"'
        looks[f"f{number} stroke level"] = looks[f"f{number} stroke"]
    return re.sub(r'class="([^"]*)"', lambda found: looks.get(found[1], ""), svg)
