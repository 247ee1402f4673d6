"""`report.html`: one page that needs nothing else, from results.json and the samples."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from luxvox.evaluate.peers import is_own
from luxvox.evaluate.report import worst
from luxvox.evaluate.report.curves import curves, times
from luxvox.evaluate.report.samples import ORIGINAL, Sample, Tile
from luxvox.evaluate.report.tables import comparison_tables, means
from luxvox.evaluate.report.wording import RATE_DIGITS, Record, number, short_unit

_FAR = 0.1  # a tile whose bytes differ by more says so
_TOOLS = (
    '<p class="tools" hidden>Zoom <button data-zoom="1" class="on">1×</button>'
    '<button data-zoom="2">2×</button><button data-zoom="4">4×</button> Show'
    ' <button data-view="decoded" class="on">pictures</button>'
    '<button data-view="difference">differences ×4</button></p>\n'
)


def page(record: Record, shown: Sequence[Sample]) -> str:
    """Write the report of one kind.

    Args:
        record: as in results.json.
        shown: files to look at or listen to.
    """
    here = files("luxvox.evaluate.report")
    style = here.joinpath("report.css").read_text(encoding="utf-8")
    script = here.joinpath("report.js").read_text(encoding="utf-8")
    title = f"Rate and quality: {record['run']['data']}"
    sections = [
        _head(record, title),
        comparison_tables(record),
        worst.table(record),
        curves(record),
        times(record),
        _samples_section(record, shown),
        means(record),
        _taking_part(record),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + f"\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _head(record: Record, title: str) -> str:
    run, n_files = record["run"], len(record["files"])
    n_left_out = len(record["skipped"]) + len(record["absent"])
    skipped = f' <a href="#left-out">{n_left_out} left out.</a>' if n_left_out else ""
    return (
        f"<header><h1>{escape(title)}</h1>\n"
        f"<p>{n_files} files, {len(record['codecs'])} codecs. Rates are those of real files, in"
        f" {escape(record['rate_unit'])}; quality is measured on what was decoded from them;"
        f" figures are means over files.{skipped}</p>\n"
        f"<p><code>{escape(run['command'])}</code></p>\n"
        f'<p class="quiet">{escape(run["machine"])}</p></header>'
    )


def _samples_section(record: Record, shown: Sequence[Sample]) -> str:
    if not shown:
        return ""
    is_picture = record["kind"] == "pictures"
    how = (
        "The same piece by every codec at the closest bytes. Hover, or tap, to see the original;"
        " zoomed in, click to see it, and drag to move. In differences, grey means equal."
        if is_picture
        else "The same piece by every codec at the closest bytes: 0 to 8 kHz, 75 dB."
    )
    parts = [_exhibit(record, sample) for sample in shown]
    title = "Seen" if is_picture else "Heard and seen"
    return (
        f'<section id="shown"><h2>{title}</h2>\n<p class="quiet">{how} Figures are those of the'
        f" whole file.</p>\n{''.join(parts)}</section>"
    )


def _exhibit(record: Record, sample: Sample) -> str:
    yardstick = next((tile for tile in sample.tiles if tile.row is not None), None)
    tiles = "".join(_tile(record, sample, tile, yardstick) for tile in sample.tiles)
    tools = _TOOLS if record["kind"] == "pictures" else ""
    return (
        f'<div class="exhibit"><h3>{escape(sample.file)}</h3>\n{tools}'
        f'<div class="strip {record["kind"]}">{tiles}</div></div>\n'
    )


def _tile(record: Record, sample: Sample, tile: Tile, yardstick: Tile | None) -> str:
    words = f"{sample.file}, {tile.label}"
    image = f'<img src="{tile.image}" alt="{escape(words, quote=True)}">'
    if record["kind"] == "pictures":
        image = f'<span class="window">{image}</span>'
    if tile.codec != ORIGINAL and record["kind"] == "pictures":
        label = escape(f"{tile.label}: show the original", quote=True)
        note = '<span class="said">original</span>'
        image = f'<button class="swap" aria-label="{label}">{image}{note}</button>'
    sound = f'<audio controls preload="none" src="{tile.sound}"></audio>' if tile.sound else ""
    mine = " own" if is_own(tile.codec) else ""
    return (
        f'<figure class="tile{mine}" data-codec="{escape(tile.codec, quote=True)}">{image}{sound}'
        f"<figcaption><b>{escape(tile.label)}</b>{_tile_figures(record, tile)}"
        f"{_distance(tile, yardstick)}</figcaption>"
        "</figure>"
    )


def _tile_figures(record: Record, tile: Tile) -> str:
    if tile.row is None:
        return ""
    rate = f"{number(tile.row.rate, RATE_DIGITS[record['kind']])} {short_unit(record)}"
    words = [f"{tile.row.n_bytes:,} bytes, {rate}"]
    for scale in record["scales"]:
        figure = tile.row.figures.get(scale["metric"])
        if figure is not None and scale["name"] == scale["metric"]:
            value = number(figure, scale["digits"])
            words.append(f"{scale['label']} {value} {scale['unit']}".rstrip())
    return "".join(f"<span>{escape(word)}</span>" for word in words)


def _distance(tile: Tile, yardstick: Tile | None) -> str:
    """Say by how much a file's size differs from the yardstick's, if that is much."""
    if tile.row is None or yardstick is None or yardstick.row is None:
        return ""
    share = tile.row.n_bytes / yardstick.row.n_bytes - 1.0
    if abs(share) <= _FAR:
        return ""
    more = "more" if share > 0 else "fewer"
    words = f"{100 * abs(share):.0f} % {more} bytes than {yardstick.label}"
    return f'<span class="far">{escape(words)}</span>'


def _taking_part(record: Record) -> str:
    codecs = [(codec["label"], codec["version"]) for codec in record["codecs"]]
    metrics = {scale["label"]: scale["version"] for scale in record["scales"]}
    parts = [
        _list("Codecs", codecs),
        _list("Metrics", list(metrics.items())),
        _list(
            "From elsewhere: measured on other files, by others",
            [(curve["name"], curve["source"]) for curve in record["against"]],
        ),
        _list(
            "Not installed here",
            [
                (absent["name"], f"{absent['reason']}. {absent['install']}")
                for absent in record["absent"]
            ],
        ),
        _list(
            "Files left out",
            [
                (skip["file"] + (f" by {skip['codec']}" if skip["codec"] else ""), skip["reason"])
                for skip in record["skipped"]
            ],
        ),
        _list(
            "Files that a metric says nothing of",
            [
                (f"{scale['label']}, {left['file']}", left["reason"])
                for scale in record["scales"]
                if scale["name"] == scale["metric"]
                for left in scale["left_out"]
            ],
        ),
    ]
    return f'<section id="left-out"><h2>Codecs and metrics</h2>\n{"".join(parts)}</section>'


def _list(title: str, pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    entries = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(detail)}</dd></div>" for name, detail in pairs
    )
    return f"<h3>{escape(title)}</h3><dl>{entries}</dl>"
