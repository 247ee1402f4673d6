"""Measure luxvox beside Opus and Codec2 on a folder of recordings at 16 kHz.

    python benchmarks/voices.py speech-val/ --recogniser whisper-base/
    python benchmarks/voices.py speech-val/ --codec luxvox --recogniser whisper-base/

PESQ-WB, STOI and SNR on every clip.  Word errors on the clips whose text `transcripts.tsv` gives
from the corpus; ViSQOL and the cosine of speaker embeddings, where their packages are installed
(extra `benchmark-voices`), on every fourth clip.  Rows of codecs
that are not measured anew are taken from their CSV files.
"""

import contextlib
import csv
import importlib.util
import json
import math
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import click
import soundfile
import torch

from luxvox.benchmarks import voice_metrics
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.benchmarks.voice_codecs import CODECS, RATE_HZ, Samples, VoiceCodec
from luxvox.evaluate.pages import splice, table
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
PACKAGES = ("torch", "pesq", "pystoi", "av", "pycodec2", "visqol-python", "Resemblyzer")
SLOW_EVERY = 4
SLOW_PACKAGES = ("visqol", "resemblyzer")


@dataclass(frozen=True)
class Row:
    """What one clip cost and what it gave; NaN and 0 words where a metric was not taken."""

    clip: str
    setting: float
    seconds: float
    counted_bytes: int
    pesq: float
    stoi: float
    snr_db: float
    visqol: float = math.nan
    speaker: float = math.nan
    word_errors: int = 0
    words: int = 0


@dataclass(frozen=True)
class Clip:
    """A recording, and what is said in it if that is known."""

    name: str
    samples: Samples
    text: str | None
    slow: bool


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--codec", "names", multiple=True, type=click.Choice(list(CODECS)))
@click.option("--recogniser", help="Folder of a Whisper model for faster-whisper.")
@click.option("--fast", is_flag=True, help="PESQ, STOI and SNR alone.")
@click.option("--report-only", is_flag=True, help="Measure nothing; renew the tables.")
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(
    folder: Path,
    names: tuple[str, ...],
    recogniser: str | None,
    fast: bool,
    report_only: bool,
    docs: Path,
) -> None:
    """Measure voice codecs on the recordings of FOLDER and renew docs/results.md."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of the metrics' packages
    for name in () if report_only else names or tuple(CODECS):
        rows = measure(CODECS[name](), clips(folder, recogniser, fast), recogniser)
        write_csv(rows_path(docs, name), rows)
        origin = {
            "label": CODECS[name]().label,
            "command": repeat_command(folder, *([Path(recogniser)] if recogniser else [])),
            "machine": machine(),
            "packages": ", ".join(installed(PACKAGES)),
        }
        text = json.dumps(origin, indent=2) + "\n"
        rows_path(docs, name).with_suffix(".json").write_text(text, "utf-8")
    kept = {name: read_csv(rows_path(docs, name)) for name in CODECS if is_kept(docs, name)}
    origins = {
        name: json.loads(rows_path(docs, name).with_suffix(".json").read_text("utf-8"))
        for name in kept
    }
    report = markdown(kept, origins)
    splice(docs / "results.md", "voices", report)
    click.echo(report)


def clips(folder: Path, recogniser: str | None, fast: bool) -> list[Clip]:
    """Read the recordings of a folder by name."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".flac", ".wav"))
    if not paths:
        raise click.UsageError(f"{folder}: holds no recording (.flac, .wav)")
    texts = transcripts(folder / "transcripts.tsv") if recogniser and not fast else {}
    found = []
    for number, path in enumerate(paths):
        samples, rate_hz = soundfile.read(path, dtype="float32")
        if rate_hz != RATE_HZ or samples.ndim != 1:
            raise click.UsageError(f"{path}: is not mono at {RATE_HZ} Hz")
        slow = not fast and number % SLOW_EVERY == 0
        found.append(Clip(path.name, samples, texts.get(path.name), slow))
    return found


def transcripts(path: Path) -> dict[str, str]:
    """Read what is said in the English clips whose text comes from their corpus."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            row["file"]: row["text"]
            for row in csv.DictReader(stream, delimiter="\t")
            if row["text_from"] == "corpus" and row["language"].startswith("en")
        }


def measure(codec: VoiceCodec, recordings: Sequence[Clip], recogniser: str | None) -> list[Row]:
    """Measure a codec at all its settings on all recordings."""
    rows = []
    jobs = [(clip, setting) for clip in recordings for setting in codec.settings]
    with click.progressbar(jobs, label=codec.label) as watched:
        for clip, setting in watched:
            n_bytes, decoded = codec.code(clip.samples, setting)
            pair = clip.samples, decoded
            slow = {package: clip.slow and is_installed(package) for package in SLOW_PACKAGES}
            errors, n_words = 0, 0
            if clip.text is not None and recogniser is not None:
                errors, n_words = voice_metrics.word_errors(decoded, clip.text, recogniser)
            rows.append(
                Row(
                    clip=clip.name,
                    setting=setting,
                    seconds=len(clip.samples) / RATE_HZ,
                    counted_bytes=n_bytes,
                    pesq=voice_metrics.pesq_wb(*pair),
                    stoi=voice_metrics.stoi(*pair),
                    snr_db=voice_metrics.snr_db(*pair),
                    visqol=voice_metrics.visqol(*pair) if slow["visqol"] else math.nan,
                    speaker=voice_metrics.speaker_cosine(*pair)
                    if slow["resemblyzer"]
                    else math.nan,
                    word_errors=errors,
                    words=n_words,
                )
            )
    return rows


def is_installed(package: str) -> bool:
    """Tell whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def rows_path(docs: Path, name: str) -> Path:
    """Name the CSV file of a codec."""
    return docs / "results" / f"voices-{name}.csv"


def is_kept(docs: Path, name: str) -> bool:
    """Tell whether a codec has been measured."""
    return rows_path(docs, name).is_file()


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write rows in the order of clip and setting."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        names = [field.name for field in fields(Row)]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        for row in sorted(rows, key=lambda row: (row.clip, row.setting)):
            values = asdict(row).items()
            writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in values})


def read_csv(path: Path) -> list[Row]:
    """Read what `write_csv` wrote."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [
            Row(
                clip=row["clip"],
                setting=float(row["setting"]),
                seconds=float(row["seconds"]),
                counted_bytes=int(row["counted_bytes"]),
                pesq=float(row["pesq"]),
                stoi=float(row["stoi"]),
                snr_db=float(row["snr_db"]),
                visqol=float(row["visqol"]),
                speaker=float(row["speaker"]),
                word_errors=int(row["word_errors"]),
                words=int(row["words"]),
            )
            for row in csv.DictReader(stream)
        ]


def installed(names: Sequence[str]) -> list[str]:
    """Return names and versions of those packages that are installed."""
    found = []
    for name in names:
        with contextlib.suppress(PackageNotFoundError):
            found.append(describe_packages(name))
    return found


def mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers; NaN if none is."""
    some = [value for value in values if not math.isnan(value)]
    return math.fsum(some) / len(some) if some else math.nan


def cells(label: str, setting: float, rows: Sequence[Row]) -> list[str]:
    """Lay out the means of one codec at one setting."""
    kbps = 8.0 * sum(row.counted_bytes for row in rows) / sum(row.seconds for row in rows) / 1000.0
    n_words = sum(row.words for row in rows)
    errors = sum(row.word_errors for row in rows)
    return [
        label,
        f"{setting:g}",
        f"{kbps:.2f}",
        f"{mean([row.pesq for row in rows]):.2f} ({min(row.pesq for row in rows):.2f})",
        f"{mean([row.stoi for row in rows]):.3f}",
        _number(mean([row.visqol for row in rows]), 2),
        f"{mean([row.snr_db for row in rows]):.1f}",
        _number(mean([row.speaker for row in rows]), 3),
        f"{100.0 * errors / n_words:.1f} %" if n_words else "–",
    ]


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def markdown(kept: Mapping[str, Sequence[Row]], origins: Mapping[str, Mapping[str, str]]) -> str:
    """Write the tables of the results page."""
    lines = []
    for name, rows in kept.items():
        by_setting: dict[float, list[Row]] = defaultdict(list)
        for row in rows:
            by_setting[row.setting].append(row)
        lines += [
            cells(origins[name]["label"], setting, by_setting[setting])
            for setting in sorted(by_setting)
        ]
    head = ["codec", "asked", "kbit/s", "PESQ-WB (worst)", "STOI", "ViSQOL", "SNR, dB"]
    first = next(iter(kept.values()), [])
    counts = len({row.clip for row in first}), len({row.clip for row in first if row.words})
    slow = len({row.clip for row in first if not math.isnan(row.visqol)})
    origin_rows = [
        [origin["label"], f"`{origin['command']}`", origin["machine"], origin["packages"]]
        for origin in origins.values()
    ]
    return "\n\n".join(
        [
            f"Means over {counts[0]} clips; ViSQOL (speech mode) and speaker cosine over {slow} of"
            f" them, word errors over {counts[1]}. kbit/s are all bytes over all seconds.",
            table([*head, "speaker", "WER"], lines),
            "How the rows were made:",
            table(["codec", "command", "machine", "packages"], origin_rows),
        ]
    )


if __name__ == "__main__":
    main()
