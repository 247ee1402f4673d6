"""`results.json` and `results.csv`: everything a report shows, for programs.

The form of the JSON file is described in docs/evaluate.md and in results.schema.json; its version
changes when a reader would have to.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from luxvox.evaluate import timing
from luxvox.evaluate.against import SCHEMA_PREFIX, Foreign
from luxvox.evaluate.inputs import Kind
from luxvox.evaluate.study import Scale, Study, scales
from luxvox.evaluate.summary import DRAWS, Comparison, compare, mean_curve, mean_with_interval

SCHEMA = f"{SCHEMA_PREFIX}1"
RATE_UNITS: Mapping[Kind, str] = {"pictures": "bits per pixel", "voices": "kbit/s"}

Record = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """How the results were obtained.

    Attributes:
        command: the command line, with folders given only by their names.
        data: the inputs, and how many files of them count.
        machine: processor, cores, Python.
    """

    command: str
    data: str
    machine: str


def collect(study: Study, run: Run, foreign: Sequence[Foreign] = ()) -> Record:
    """Convert a study to the form of results.json.

    Args:
        study: what was measured.
        run: how it was measured.
        foreign: curves from elsewhere, of the study's kind.
    """
    on = scales(study.metrics)
    comparisons = [c for scale in on if scale.is_compared for c in compare(study, scale, foreign)]
    return {
        "schema": SCHEMA,
        "kind": study.kind,
        "run": asdict(run),
        "rate_unit": RATE_UNITS[study.kind],
        "files": [_file(study, number) for number in range(len(study.test_files))],
        "skipped": [asdict(failure) for failure in study.failures],
        "codecs": [
            {"name": e.name, "label": e.label, "version": e.version, "points": list(e.points)}
            for e in study.codecs
        ],
        "absent": [asdict(absent) for absent in study.absent],
        "scales": [_scale(study, scale) for scale in on],
        "rows": [_row(study, number) for number in range(len(study.rows))],
        "means": _means(study, on),
        "bootstrap_draws": DRAWS,
        "comparisons": [_comparison(comparison) for comparison in comparisons],
        "times": _times(study),
        "against": [
            {"name": curve.name, "source": curve.source, "points": _pairs(curve)}
            for curve in foreign
        ],
    }


def to_json(record: Mapping[str, Any]) -> bytes:
    """Return results.json."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    # An undecodable byte of a name is a lone surrogate, which UTF-8 cannot encode.
    return f"{text}\n".encode(errors="backslashreplace")


def to_csv(record: Mapping[str, Any]) -> bytes:
    """Return results.csv: one line for each file, codec and point."""
    metrics = list(dict.fromkeys(scale["metric"] for scale in record["scales"]))
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "codec", "point", "bytes", "rate", *metrics])
    for row in record["rows"]:
        figures = [_cell(row["figures"][metric]) for metric in metrics]
        rate = f"{row['rate']:.6g}"
        writer.writerow(
            [row["file"], row["codec"], f"{row['point']:g}", row["bytes"], rate, *figures]
        )
    return stream.getvalue().encode(errors="backslashreplace")


def _file(study: Study, index: int) -> Record:
    test_file = study.test_files[index]
    return {"name": test_file.name, "sha256": test_file.sha256, **study.sizes[test_file.name]}


def _scale(study: Study, scale: Scale) -> Record:
    metric = next(metric for metric in study.metrics if metric.name == scale.metric)
    reasons = {
        row.file: row.reasons[scale.metric] for row in study.rows if scale.metric in row.reasons
    }
    return {
        "name": scale.name,
        "label": scale.label,
        "unit": scale.unit,
        "digits": scale.digits,
        "is_higher_better": scale.is_higher_better,
        "metric": scale.metric,
        "version": metric.version,
        "is_compared": scale.is_compared,
        "files": int(study.is_counted(scale.metric).sum()),
        "left_out": [{"file": file, "reason": reason} for file, reason in reasons.items()],
    }


def _row(study: Study, index: int) -> Record:
    row = study.rows[index]
    return {
        "file": row.file,
        "codec": row.codec,
        "point": row.point,
        "bytes": row.n_bytes,
        "rate": row.rate,
        "figures": {metric.name: row.figures.get(metric.name) for metric in study.metrics},
    }


def _means(study: Study, on: Sequence[Scale]) -> list[Record]:
    means = []
    for codec in study.codecs:
        rates, ends = mean_with_interval(study.rates(codec.name))
        curves = {scale.name: mean_curve(study, scale, codec.name) for scale in on}
        for number, point in enumerate(codec.points):
            figures = {
                name: {
                    "rate": float(curve.rates[number]),
                    "mean": float(curve.figures[number]),
                    "interval": _interval(curve.ends, number),
                }
                for name, curve in curves.items()
                if curve is not None
            }
            means.append(
                {
                    "codec": codec.name,
                    "point": point,
                    "rate": float(rates[number]),
                    "interval": _interval(ends, number),
                    "figures": figures,
                }
            )
    return means


def _interval(ends: Any, index: int) -> list[float] | None:
    return None if ends is None else [float(ends[0, index]), float(ends[1, index])]


def _comparison(comparison: Comparison) -> Record:
    record = asdict(comparison)
    for part in ("rate", "quality"):
        interval = record[part]["interval"]
        record[part]["interval"] = None if interval is None else list(interval)
    return record


def _times(study: Study) -> Record | None:
    if not study.times:
        return None
    rows = []
    for codec in study.codecs:
        for point in codec.points:
            times = [t for t in study.times if t.codec == codec.name and t.point == point]
            if not times:
                continue
            rows.append(
                {
                    "codec": codec.name,
                    "point": point,
                    "rate": float(np.mean([t.rate for t in times])),
                    "encode_s": float(np.mean([t.encode_s for t in times])),
                    "decode_s": float(np.mean([t.decode_s for t in times])),
                }
            )
    files = list(dict.fromkeys(t.file for t in study.times))
    return {
        "files": files,
        "threads": timing.THREADS,
        "runs": timing.RUNS,
        "machine": timing.machine(),
        "points": rows,
    }


def _pairs(curve: Foreign) -> Record:
    return {scale: [list(pair) for pair in pairs] for scale, pairs in curve.points.items()}


def _cell(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.6g}"
