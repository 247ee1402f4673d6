"""Curves as SVG: rate on a logarithmic axis, a figure on the other, a mark for each point.

The drawing needs no script: `report.js` only hides curves and reads marks out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 380, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 40
_MARKS = ("circle", "square", "triangle", "diamond", "down", "cross")
_N_STYLES = 12


@dataclass(frozen=True)
class Line:
    """A curve of a plot.

    Attributes:
        key: a word that names it in the page.
        style: which colour and mark it has; negative for curves from elsewhere.
        points: rate, figure, and what to say of the point.
    """

    key: str
    style: int
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class Axes:
    """What a plot's axes say; both ends of the figures' axis are found from the lines."""

    rate: str
    figure: str
    digits: int
    is_log: bool = False


def plot(lines: Sequence[Line], axes: Axes) -> str:
    """Draw lines.

    Args:
        lines: curves of at least one point; drawn in this order, the first on top.
        axes: what the axes say.

    Returns:
        An SVG element.
    """
    rates = [rate for line in _curves(lines) for rate, _, _ in line.points]
    figures = [figure for line in lines for _, figure, _ in line.points]
    across = _Axis(min(rates), max(rates), _LEFT, WIDTH - _RIGHT, True)
    up = _Axis(min(figures), max(figures), HEIGHT - _BOTTOM, _TOP, axes.is_log)
    label = escape(f"{axes.figure} against {axes.rate}", quote=True)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">',
        *_grid(across, up, axes),
        *(_line(line, across, up) for line in _curves(lines)[::-1]),
        *(_level(line, up) for line in lines if line not in _curves(lines)),
        "</svg>",
    ]
    return "\n".join(parts)


def _curves(lines: Sequence[Line]) -> list[Line]:
    """Return the lines of several points, or all if there are none; one point becomes a level."""
    return [line for line in lines if len(line.points) > 1] or list(lines)


def mark(style: int) -> str:
    """Draw the mark of a style alone, as legends have it."""
    stroke = f'<line x1="1" y1="7" x2="21" y2="7" class="{style_class(style)} stroke"/>'
    shape = "" if style < 0 else _mark(style, 11.0, 7.0)
    return f'<svg viewBox="0 0 22 14" class="key" aria-hidden="true">{stroke}{shape}</svg>'


def style_class(style: int) -> str:
    """Name the class that colours a style."""
    return f"s{style % _N_STYLES}" if style >= 0 else f"f{(-1 - style) % _N_STYLES}"


class _Axis:
    """An axis from figures to places."""

    def __init__(self, low: float, high: float, start: float, end: float, is_log: bool) -> None:
        self.is_log = is_log and low > 0
        low, high = (math.log(low), math.log(high)) if self.is_log else (low, high)
        margin = 0.04 * (high - low) or 0.5
        self._low, self._high = low - margin, high + margin
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        """Return where a figure lies."""
        if self.is_log:
            value = math.log(value)
        share = (value - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """Return round figures inside the axis, at most about six."""
        if self.is_log:
            return _log_ticks(math.exp(self._low), math.exp(self._high))
        step = _round_step((self._high - self._low) / 5)
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        return [k * step for k in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        ticks = [m * 10.0**k for k in decades for m in steps if low <= m * 10.0**k <= high]
        if len(ticks) <= 7:
            break
    return ticks


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * 0.999)


def _grid(across: _Axis, up: _Axis, axes: Axes) -> list[str]:
    bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
    parts = []
    for tick in across.ticks():
        x = across.place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15}" class="middle">{tick:.3g}</text>')
    for tick in up.ticks():
        y = up.place(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="end">{_tick(tick)}</text>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 6}" class="middle name">{escape(axes.rate)}</text>'
    )
    return parts


def _tick(tick: float) -> str:
    return f"{tick:.4g}".replace("-", "−")


def _line(line: Line, across: _Axis, up: _Axis) -> str:
    places = [(across.place(rate), up.place(figure), text) for rate, figure, text in line.points]
    name = style_class(line.style)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    marks = []
    for x, y, text in places:
        words = escape(text)
        shape = "" if line.style < 0 else _mark(line.style, x, y)
        hit = f'<circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
        marks.append(f'<g class="point"><title>{words}</title>{hit}{shape}</g>')
    return (
        f'<g class="curve {name}" data-curve="{escape(line.key, quote=True)}">'
        f'<polyline points="{path}" class="{name} stroke"/>{"".join(marks)}</g>'
    )


def _level(line: Line, up: _Axis) -> str:
    ((_, figure, text),) = line.points
    y, name = up.place(figure), style_class(line.style)
    ends = f'x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}"'
    return (
        f'<g class="curve {name}" data-curve="{escape(line.key, quote=True)}">'
        f'<g class="point"><title>{escape(text)}</title>'
        f'<line {ends} class="{name} stroke level"/><line {ends} class="hit wide"/></g></g>'
    )


def _mark(style: int, x: float, y: float) -> str:
    name, r = f"{style_class(style)} fill", 3.4
    shape = _MARKS[style % len(_MARKS)]
    if shape == "circle":
        return f'<circle class="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>'
    corners = {
        "square": ((-r, -r), (r, -r), (r, r), (-r, r)),
        "triangle": ((0, -1.3 * r), (1.2 * r, r), (-1.2 * r, r)),
        "diamond": ((0, -1.4 * r), (1.4 * r, 0), (0, 1.4 * r), (-1.4 * r, 0)),
        "down": ((0, 1.3 * r), (1.2 * r, -r), (-1.2 * r, -r)),
        "cross": ((-r, 0), (0, -1.6 * r), (r, 0), (0, 1.6 * r)),
    }[shape]
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon class="{name}" points="{points}"/>'
