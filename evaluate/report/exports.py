"""Results in the forms of other programs: CompressAI's JSON, SVG plots, LaTeX tables.

CompressAI's plot tool (`python -m compressai.utils.plot -f FILE...`) takes a JSON object a codec:
`name`, `description`, and in `results` lists of equal length, `bpp` and one a metric. It takes
MS-SSIM as it is, under `ms-ssim-rgb`, and turns it into decibels itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from luxvox.evaluate.report import latex
from luxvox.evaluate.report.curves import draw_scales
from luxvox.evaluate.report.standalone import drawing
from luxvox.evaluate.report.wording import Record, labels_of

# What CompressAI calls our metrics; the others keep their names.
_COMPRESSAI_NAMES = {"psnr": "psnr-rgb", "ms_ssim": "ms-ssim-rgb"}


def compressai(record: Record, _: Sequence[str] = ()) -> dict[str, str]:
    """Return the curves of pictures as CompressAI's JSON, a file a codec.

    A metric without a figure for some file is left out, since its means are over other files than
    the means of the rates. Times are in seconds a picture, if they were measured. Voices give
    nothing: CompressAI has no form for them.
    """
    if record["kind"] != "pictures":
        return {}
    return {
        f"{_file_name(codec['name'])}.json": _compressai_file(record, codec)
        for codec in record["codecs"]
    }


def svg(record: Record, _: Sequence[str] = ()) -> dict[str, str]:
    """Return the plots of the report, each as an SVG file that stands alone."""
    labels = labels_of(record)
    return {
        f"{drawn.scale['name']}.svg": drawing(drawn.lines, drawn.axes, labels)
        for drawn in draw_scales(record)
    }


FORMATS: dict[str, Callable[[Record, Sequence[str]], dict[str, str]]] = {
    "compressai": compressai,
    "svg": svg,
    "latex": latex.tables,
}
"""Each form takes a record and anchors, and returns the texts of its files by name."""


def _compressai_file(record: Record, codec: Record) -> str:
    means = [mean for mean in record["means"] if mean["codec"] == codec["name"]]
    results: dict[str, list[float]] = {"bpp": [mean["rate"] for mean in means]}
    for scale in record["scales"]:
        is_whole = scale["files"] == len(record["files"])
        if is_whole and scale["name"] == scale["metric"]:
            name = _COMPRESSAI_NAMES.get(scale["name"], scale["name"])
            results[name] = [mean["figures"][scale["name"]]["mean"] for mean in means]
    content = {
        "name": codec["label"],
        "description": f"{codec['version']}; {record['run']['data']}; {record['run']['command']}",
        "results": {**results, **_times(record, codec)},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _times(record: Record, codec: Record) -> dict[str, Any]:
    taken = record["times"] or {"points": []}
    points = [point for point in taken["points"] if point["codec"] == codec["name"]]
    if not points:
        return {}
    return {
        "encoding_time": [point["encode_s"] for point in points],
        "decoding_time": [point["decode_s"] for point in points],
    }


def _file_name(codec: str) -> str:
    return re.sub(r"[^\w.+-]", "_", codec)
