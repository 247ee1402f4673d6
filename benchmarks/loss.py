"""Measure how much pictures and voices suffer when code sections of their files are damaged.

    python benchmarks/loss.py image-val/ speech-val/

First each code section of a picture in turn, then each section of pictures and voices with a
probability, independently and several times. The concealed file is compared with one whose codes
are null from the first damaged section on. Voices are several clips joined, because a single clip
has only one segment.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray

import luxvox
from luxvox.benchmarks.damage import DamagedFile, Scores, draw_damage
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.benchmarks.voice_scores import VoiceScores
from luxvox.evaluate.inputs import VOICE_RATE_HZ, picture_paths, read_picture, read_voice
from luxvox.evaluate.picture.metrics import psnr_db
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.report.wording import number
from luxvox.evaluate.timing import machine

DOCS = Path(__file__).resolve().parent.parent / "docs"
QUALITY = 70.0
BITRATE_KBPS = 3.0
PROBABILITIES = (0.05, 0.1, 0.2)
CLIPS = 6  # in one recording, which is about 45 s
PAUSE_S = 0.25
STATES = ("whole", "null codes", "concealed")


class Row(NamedTuple):
    """What was measured of a file with some sections damaged; figures are of each metric."""

    name: str
    probability: float
    draw: int
    damaged: tuple[int, ...]
    whole: Scores
    null: Scores
    concealed: Scores

    @classmethod
    def of(
        cls, damaged_file: DamagedFile, probability: float, draw: int, damaged: Collection[int]
    ) -> Row:
        """Measure a file with some sections damaged."""
        states = (
            damaged_file.measure_whole(),
            damaged_file.measure_nulled(damaged),
            damaged_file.measure_concealed(damaged),
        )
        return cls(damaged_file.name, probability, draw, tuple(sorted(damaged)), *states)


def middle(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the middle of a picture [H, W, 3], at most `side` high and wide."""
    top, left = (max(size - side, 0) // 2 for size in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


@click.command()
@click.argument("pictures", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("voices", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pictures", "n_pictures", default=4, show_default=True)
@click.option("--crop", default=512, show_default=True, help="Side of the middle that is taken.")
@click.option("--recordings", default=3, show_default=True, help=f"Of {CLIPS} clips each.")
@click.option("--draws", default=20, show_default=True, help="Damages of a file and probability.")
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(  # noqa: PLR0913 – one argument an option
    *,
    pictures: Path,
    voices: Path,
    n_pictures: int,
    crop: int,
    recordings: int,
    draws: int,
    docs: Path,
) -> None:
    """Damage files of PICTURES and VOICES and renew docs/results.md."""
    torch.set_num_threads(1)
    cropped = [picture(path, crop) for path in picture_paths(pictures)[:n_pictures]]
    scores = VoiceScores.find_installed()
    joined = [
        recording(paths, scores)
        for paths in in_groups(sorted(voices.glob("*.flac")), CLIPS)[:recordings]
    ]
    sectioned = [Row.of(file, 0.0, n, (n,)) for file in cropped for n in range(file.n_sections)]
    of_pictures, of_voices = at_random(cropped, draws), at_random(joined, draws)
    write_csv(docs / "results" / "loss.csv", sectioned, ("psnr_db",))
    write_csv(docs / "results" / "loss_pictures.csv", of_pictures, ("psnr_db",))
    write_csv(docs / "results" / "loss_voices.csv", of_voices, scores.names)
    setup = f"{len(cropped)} pictures of {pictures.name}, their middle {crop}×{crop}, at quality "
    setup += f"{QUALITY:g}; {len(joined)} recordings of {CLIPS} clips of {voices.name} at "
    setup += f"{BITRATE_KBPS:g} kbit/s; {draws} draws of each probability"
    packages = describe_packages("torch", "numpy", weights=("picture", "voice"))
    where = f"{machine()}, {packages}; {scores.packages}"
    parts = [
        section_table(sectioned),
        "Pictures, each section damaged with a probability:",
        random_table(of_pictures, ("PSNR, dB",), (2,)),
        "Voices, likewise; null codes are silence:",
        random_table(of_voices, scores.labels, scores.digits),
        f"`{repeat_command(pictures, voices)}`: {setup}; {where}.",
    ]
    report = "\n\n".join(parts)
    splice(docs / "results.md", "loss", report)
    click.echo(report)


def picture(path: Path, crop: int) -> DamagedFile:
    """Compress the middle of a picture."""
    pixels = middle(read_picture(path), crop)

    def decode(data: bytes, conceal: bool) -> NDArray[np.uint8]:
        return np.asarray(luxvox.decompress_image(data, conceal=conceal))

    def score(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> Scores:
        return (psnr_db(original, decoded),)

    return DamagedFile(path.name, pixels, luxvox.compress_image(pixels, QUALITY), decode, score)


def recording(paths: Sequence[Path], scores: VoiceScores) -> DamagedFile:
    """Compress clips one after the other."""
    pause = np.zeros(round(PAUSE_S * VOICE_RATE_HZ), np.float32)
    samples = np.concatenate([part for path in paths for part in (read_voice(path), pause)])

    def decode(data: bytes, conceal: bool) -> NDArray[np.float32]:
        return luxvox.decompress_speech(data, conceal=conceal)[0]

    data = luxvox.compress_speech(samples, VOICE_RATE_HZ, BITRATE_KBPS)
    name = f"{paths[0].stem}…{paths[-1].stem}"
    return DamagedFile(name, samples, data, decode, scores.measure)


def in_groups(paths: Sequence[Path], size: int) -> list[Sequence[Path]]:
    """Group paths n at a time; a smaller remainder is left out."""
    return [paths[n : n + size] for n in range(0, len(paths) - size + 1, size)]


def at_random(damaged_files: Sequence[DamagedFile], n_draws: int) -> list[Row]:
    """Damage sections of each file with each probability."""
    return [
        Row.of(file, probability, draw, damaged)
        for seed, file in enumerate(damaged_files)
        for probability in PROBABILITIES
        for draw, damaged in enumerate(draw_damage(file.n_sections, probability, n_draws, seed))
    ]


def write_csv(path: Path, rows: Sequence[Row], metrics: Sequence[str]) -> None:
    """Write all that was measured."""
    states = [state.replace(" ", "_") for state in STATES]
    columns = [f"{state}_{metric}" for state in states for metric in metrics]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "probability", "draw", "damaged", *columns])
        for row in rows:
            sections = " ".join(str(n + 1) for n in row.damaged)
            figures = (*row.whole, *row.null, *row.concealed)
            cells = [f"{value:.4f}" for value in figures]
            writer.writerow([row.name, f"{row.probability:g}", row.draw, sections, *cells])


def section_table(rows: Sequence[Row]) -> str:
    """Write mean PSNR by the section that is damaged."""
    body = [
        [str(n + 1), *means([row for row in rows if row.damaged == (n,)], 0, 2)]
        for n in sorted({row.draw for row in rows})
    ]
    return table(["damaged section", *(f"{state}, dB" for state in STATES)], body)


def random_table(rows: Sequence[Row], labels: Sequence[str], digits: Sequence[int]) -> str:
    """Write the mean of each metric by the probability of damage."""
    body = []
    for probability in PROBABILITIES:
        at_probability = [row for row in rows if row.probability == probability]
        cells = [means(at_probability, k, digits[k]) for k in range(len(labels))]
        body.append([f"{100 * probability:g} %", *(cell for part in cells for cell in part)])
    head = [f"{label}: {state}" for label in labels for state in STATES]
    return table(["sections damaged", *head], body)


def means(rows: Sequence[Row], metric: int, digits: int) -> list[str]:
    """Return the mean of a metric of whole, null and concealed files."""
    states = zip(*((row.whole, row.null, row.concealed) for row in rows), strict=True)
    return [number(float(np.mean([row[metric] for row in state])), digits) for state in states]


if __name__ == "__main__":
    main()
