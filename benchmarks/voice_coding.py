"""Measure what the context model saves on voices, and what the file costs beyond its cross-entropy.

For each bitrate and all recordings of a folder: bits of the code sections, the context model's
cross-entropy, and the entropy of the same codes under static tables, one for each stage, fitted to
these very codes (so the best that static tables could do).

    python benchmarks/voice_coding.py speech-val/
"""

import csv
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.coding import entropy
from luxvox.benchmarks.origin import repeat_command
from luxvox.codec import container, voices
from luxvox.codec.rate import centi_to_position
from luxvox.codec.timeline import SEGMENT_FRAMES
from luxvox.entropy.walk import CodesMeter, known, walk
from luxvox.evaluate.pages import splice, table
from luxvox.evaluate.timing import machine
from luxvox.models.speech import LEVEL
from luxvox.models.speech_weights import voice_codec

BITRATES = (0.75, 1.5, 3.0, 6.0)
Stages = dict[int, float]


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--docs", default=Path("docs"), type=click.Path(path_type=Path))
def main(folder: Path, docs: Path) -> None:
    """Measure all recordings of FOLDER and write the tables into docs/results.md."""
    torch.set_num_threads(1)
    paths = sorted(folder.glob("*.flac"))
    totals, parts, rows = [], [], []
    for bitrate in BITRATES:
        cross: Stages = defaultdict(float)
        counts: dict[int, NDArray[np.int64]] = {}
        coded = whole = misses = 0.0
        for path in paths:
            samples, rate_hz = soundfile.read(path, dtype="float32")
            data = luxvox.compress_speech(samples, rate_hz, bitrate)
            payload = 8 * sum(map(len, container.read(data).codes))
            bits = measure(data, counts)
            for stage, value in bits.items():
                cross[stage] += value
            coded, whole = coded + payload, whole + 8 * len(data)
            seconds = len(samples) / rate_hz
            if seconds > 10.0:
                misses = max(misses, abs(8 * len(data) / seconds / 1000.0 / bitrate - 1.0))
            rows.append([path.name, bitrate, len(data), payload / 8, sum(bits.values()) / 8])
        static = {stage: entropy(one) for stage, one in counts.items()}
        ideal, tables = sum(cross.values()), sum(static.values())
        totals.append(
            [
                f"{bitrate:g}",
                f"{whole / 8 / len(paths):.0f}",
                f"{100 * (coded / ideal - 1):+.2f} %",
                f"{(whole - coded) / 8 / len(paths):.0f}",
                f"{100 * (1 - ideal / tables):.1f} %",
                f"{100 * misses:.1f} %",
            ]
        )
        parts += [
            [
                f"{bitrate:g}",
                str(stage + 1),
                f"{100 * value / ideal:.1f} %",
                f"{100 * (1 - value / static[stage]):.1f} %",
            ]
            for stage, value in sorted(cross.items())
            if static[stage] and value > 0.005 * ideal
        ]
    with (docs / "results" / "voice-coding.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "bitrate", "file_bytes", "code_bytes", "cross_entropy_bytes"])
        writer.writerows(rows)
    head = ["kbit/s", "bytes a file", "code bytes over cross-entropy", "other bytes", "saved"]
    text = f"`{repeat_command(folder)}` ({machine()})\n\n"
    text += table([*head, "largest miss of the bitrate, clips over 10 s"], totals) + "\n\n"
    text += table(["kbit/s", "stage", "share of bits", "saved"], parts)
    splice(docs / "results.md", "voice-coding", text)
    click.echo(text)


def measure(data: bytes, counts: dict[int, NDArray[np.int64]]) -> Stages:
    """Return the cross-entropy of a file's codes by stage; count the words."""
    header, _ = container.read_header(data)
    if not isinstance(header, container.VoiceHeader) or header.stereo:
        raise TypeError("not a voice of one channel")
    codes = voices.voice_codes(data)
    codec = voice_codec(header.model_number)
    size = codec.model.config.codebook_size
    total: Stages = defaultdict(float)
    for start in range(0, codes.shape[1], SEGMENT_FRAMES):
        part = codes[:, start : start + SEGMENT_FRAMES]
        meter = CodesMeter(known({LEVEL: part[:, None, None]}))
        position = centi_to_position(header.quality_centi)
        walk(codec.context, {LEVEL: (1, part.shape[1])}, position, meter)
        for (_, stage), bits in meter.bits.items():
            total[stage] += bits
    for stage, words in enumerate(codes):
        reached = words >= 0 if stage == 0 else codes[stage - 1] != 0
        found = np.bincount(words[reached], minlength=size)[None]
        counts[stage] = counts.get(stage, np.zeros_like(found)) + found
    return total


if __name__ == "__main__":
    main()
