"""Measure what the context model saves on voices, and what each code section brings.

For each bitrate and all recordings of a folder: bits of the code sections, the context model's
cross-entropy, and the entropy of the same codes under static tables, one for each stage. These
tables are either fitted to the same codes or taken from the weights file. Fitted tables are the
best that static tables could do; they flatter stages that code fewer codewords than their codebook
has. The tables in the weights file were counted on training voices; nulls are taken to be as
frequent as they are here.

    python benchmarks/voice_coding.py speech-val/
"""

import csv
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.coding import entropy
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.benchmarks.voice_scores import VoiceScores
from luxvox.codec import container
from luxvox.entropy.voice.visitors import CodesMeter, fixed_source
from luxvox.entropy.voice.walk import walk
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import number
from luxvox.evaluate.timing import machine
from luxvox.models.voice.networks import LEVEL
from luxvox.models.voice.rvq import rate_bin
from luxvox.models.voice.weights import VoiceCodec, voice_codec
from luxvox.timeline import PARTS, SEGMENT_FRAMES

BITRATES = (0.75, 1.5, 3.0, 6.0, 8.0)
DOCS = Path(__file__).resolve().parent.parent / "docs"
Samples = NDArray[np.float32]


@dataclass
class Tally:
    """Totals over the files of a bitrate, in bits, and by stage."""

    coded: float = 0.0
    whole: float = 0.0
    miss: float = 0.0
    cross: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    counts: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    shipped: dict[int, float] = field(default_factory=lambda: defaultdict(float))

    def fitted_entropy(self, stage: int) -> float:
        """Return the entropy of a stage under a table fitted to it."""
        return entropy(self.counts[stage])

    def of_training(self, stage: int) -> float:
        """Return it under the shipped table of codewords, with nulls as frequent as they are."""
        codewords = self.counts[stage]
        flags = np.stack([codewords[:, 0], codewords[:, 1:].sum(1)], 1)
        return self.shipped[stage] + entropy(flags)


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(folder: Path, docs: Path) -> None:
    """Measure all recordings of FOLDER and write the tables into docs/results.md."""
    torch.set_num_threads(1)
    scores = VoiceScores.find_installed()
    paths = sorted(folder.glob("*.flac"))
    totals, parts, prefixes, rows = [], [], [], []
    for bitrate in BITRATES:
        tally = Tally()
        sections: list[list[tuple[float, ...]]] = [[] for _ in range(PARTS)]
        for path in paths:
            samples, rate_hz = soundfile.read(path, dtype="float32")
            data = luxvox.compress_speech(samples, rate_hz, bitrate)
            seconds = len(samples) / rate_hz
            rows.append([path.name, bitrate, len(data), *add(data, seconds, bitrate, tally)])
            for n, figures in enumerate(sections, start=1):
                figures.append(
                    (kbps_of(data, n, seconds), *measure_prefix(data, n, samples, scores))
                )
        totals.append([f"{bitrate:g}", *in_all(tally, len(paths))])
        parts += [[f"{bitrate:g}", *cells] for cells in by_stage(tally)]
        for n, figures in enumerate(sections, start=1):
            kbps, *means = np.mean(figures, axis=0)
            cells = [number(m, digits) for m, digits in zip(means, scores.digits, strict=True)]
            prefixes.append([f"{bitrate:g}", str(n), f"{kbps:.2f}", *cells])
    with (docs / "results" / "voice-coding.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "bitrate", "file_bytes", "code_bytes", "cross_entropy_bytes"])
        writer.writerows(rows)
    saved = ["saved over fitted tables", "over shipped tables"]
    head = ["kbit/s", "bytes a file", "code bytes over cross-entropy", "other bytes", *saved]
    where = f"{machine()}, {describe_packages(weights=('voice',))}; {scores.packages}"
    text = [
        f"`{repeat_command(folder)}` ({where})",
        table([*head, "largest miss of the bitrate, clips over 10 s"], totals),
        table(["kbit/s", "sections decoded", "kbit/s of them", *scores.labels], prefixes),
        table(["kbit/s", "stage", "share of bits", *saved], parts),
    ]
    splice(docs / "results.md", "voice-coding", "\n\n".join(text))
    click.echo("\n\n".join(text))


def add(data: bytes, seconds: float, bitrate: float, tally: Tally) -> tuple[float, float]:
    """Add a file to the totals of its bitrate; return code and cross-entropy bytes."""
    payload = 8 * sum(map(len, container.read(data).codes))
    bits = measure(data, tally)
    tally.coded, tally.whole = tally.coded + payload, tally.whole + 8 * len(data)
    if seconds > 10.0:
        tally.miss = max(tally.miss, abs(8 * len(data) / seconds / 1000.0 / bitrate - 1.0))
    return payload / 8, bits / 8


def measure(data: bytes, tally: Tally) -> float:
    """Return the cross-entropy of a file's codes, added to the tally by stage."""
    header, _ = container.read_header(data)
    if not isinstance(header, container.VoiceHeader) or header.stereo:
        raise TypeError("not a voice of one channel")
    codes = luxvox.codes(data)
    assert not isinstance(codes, dict)
    codec = voice_codec(header.model_number)
    total = 0.0
    for start in range(0, codes.shape[1], SEGMENT_FRAMES):
        part = codes[:, start : start + SEGMENT_FRAMES]
        meter = CodesMeter(fixed_source({LEVEL: part[:, None, None]}))
        position = header.quality.log_step_int
        walk(codec.context, {LEVEL: (1, part.shape[1])}, position, meter)
        for (_, stage), bits in meter.bits.items():
            tally.cross[stage] += bits
            total += bits
    costs = codeword_bits(codec, header.quality.log_step)
    size = codec.model.config.codebook_size
    for stage, codewords in enumerate(codes):
        reached = codewords >= 0 if stage == 0 else codes[stage - 1] != 0
        found = np.bincount(codewords[reached], minlength=size)
        tally.counts[stage] = tally.counts.get(stage, np.zeros((1, size), np.int64)) + found
        tally.shipped[stage] += float((found[1:] * costs[stage]).sum())
    return total


def codeword_bits(codec: VoiceCodec, log_step: float) -> NDArray[np.float64]:
    """Return the bits of codewords except null [stages, K − 1] by the shipped static tables."""
    table = codec.model.vq.bits[int(rate_bin(torch.tensor(log_step))), :, 0, 1:].double()
    shares = torch.exp2(-table)
    bits: NDArray[np.float64] = (table + torch.log2(shares.sum(1, keepdim=True))).numpy()
    return bits


def in_all(tally: Tally, n_files: int) -> list[str]:
    """Return the table row of a bitrate."""
    ideal = sum(tally.cross.values())
    fitted, shipped = (sum(map(f, tally.counts)) for f in (tally.fitted_entropy, tally.of_training))
    return [
        f"{tally.whole / 8 / n_files:.0f}",
        f"{100 * (tally.coded / ideal - 1):+.2f} %",
        f"{(tally.whole - tally.coded) / 8 / n_files:.0f}",
        f"{100 * (1 - ideal / fitted):.1f} %",
        f"{100 * (1 - ideal / shipped):.1f} %",
        f"{100 * tally.miss:.1f} %",
    ]


def by_stage(tally: Tally) -> list[list[str]]:
    """Return the table row of each stage that matters."""
    ideal = sum(tally.cross.values())
    return [
        [
            str(stage + 1),
            f"{100 * value / ideal:.1f} %",
            f"{100 * (1 - value / tally.fitted_entropy(stage)):.1f} %",
            f"{100 * (1 - value / tally.of_training(stage)):.1f} %",
        ]
        for stage, value in sorted(tally.cross.items())
        if value > 0.005 * ideal
    ]


def kbps_of(data: bytes, n_sections: int, seconds: float) -> float:
    """Return the kbit/s of a file without the code sections that are not decoded."""
    codes = container.read(data).codes
    left_out = sum(len(part) for n, part in enumerate(codes) if n % PARTS >= n_sections)
    return 8 * (len(data) - left_out) / seconds / 1000.0


def measure_prefix(data: bytes, n: int, samples: Samples, scores: VoiceScores) -> tuple[float, ...]:
    """Measure a voice of which n sections are decoded."""
    decoded, _ = luxvox.decompress_speech(data, sections=n)
    return scores.measure(samples, decoded)


if __name__ == "__main__":
    main()
