"""Measure what each effort brings and costs on voices.

    python benchmarks/voice_effort.py speech-val/

Rate is the length of the file; decoded files are scored by PESQ-WB and STOI where they are
installed, else by SI-SDR. Time is processor time with one thread, so other work on the machine does
not count.
"""

from __future__ import annotations

import csv
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.benchmarks.voice_scores import VoiceScores
from luxvox.codec.effort import EFFORTS
from luxvox.evaluate.inputs import VOICE_RATE_HZ, read_voice
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import number
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
Samples = NDArray[np.float32]


class Row(NamedTuple):
    """What was measured of a clip at an effort."""

    effort: int
    clip: str
    n_bytes: int
    sound_s: float
    processor_s: float
    figures: tuple[float, ...]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--clips", default=12, show_default=True, help="Evenly from all by name.")
@click.option("--bitrate", "-b", default=3.0, show_default=True, help="kbit/s.")
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(folder: Path, clips: int, bitrate: float, docs: Path) -> None:
    """Compress recordings of FOLDER with every effort and renew docs/results.md."""
    torch.set_num_threads(1)
    paths = sorted(folder.glob("*.flac"))
    chosen = paths[:: max(len(paths) // clips, 1)][:clips]
    scores = VoiceScores.find_installed()
    luxvox.compress_speech(read_voice(chosen[0])[:VOICE_RATE_HZ], VOICE_RATE_HZ)  # loads all code
    rows = [measure_clip(effort, path, bitrate, scores) for effort in EFFORTS for path in chosen]
    with (docs / "results" / "voice_effort.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["effort", "clip", "bytes", "sound_s", "processor_s", *scores.names])
        writer.writerows(
            [*row[:3], *(f"{value:.6g}" for value in (*row[3:5], *row.figures))] for row in rows
        )
    setup = f"{len(chosen)} clips of {folder.name} at {bitrate:g} kbit/s"
    where = (
        f"{machine()}, {describe_packages('torch', 'numpy', weights=('voice',))}, {scores.packages}"
    )
    report = f"{markdown(rows, scores)}\n\n`{repeat_command(folder)}`: {setup}, {where}."
    splice(docs / "results.md", "voice-effort", report)
    click.echo(report)


def measure_clip(effort: int, path: Path, bitrate: float, scores: VoiceScores) -> Row:
    """Compress and decompress one clip."""
    samples = read_voice(path)
    start_s = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", luxvox.TargetWarning)  # the rate is in the table
        data = luxvox.compress_speech(samples, VOICE_RATE_HZ, bitrate, effort=effort)
    processor_s = time.process_time() - start_s
    figures = scores.measure(samples, luxvox.decompress_speech(data)[0])
    return Row(effort, path.name, len(data), len(samples) / VOICE_RATE_HZ, processor_s, figures)


def markdown(rows: Sequence[Row], scores: VoiceScores) -> str:
    """Write the table: mean rate and figures over the clips, and time of all of them."""
    lines = []
    for effort in EFFORTS:
        of_effort = [row for row in rows if row.effort == effort]
        rate = float(np.mean([8.0 * row.n_bytes / row.sound_s / 1000.0 for row in of_effort]))
        means = np.mean([row.figures for row in of_effort], axis=0)
        seconds = sum(row.processor_s for row in of_effort) / sum(row.sound_s for row in of_effort)
        cells = [number(float(mean), n) for mean, n in zip(means, scores.digits, strict=True)]
        lines.append([str(effort), f"{rate:.2f}", *cells, f"{seconds:.2f}"])
    return table(["effort", "kbit/s", *scores.labels, "s a second of sound"], lines)


if __name__ == "__main__":
    main()
