"""Measure how long each part of compressing and decompressing a picture takes, at 768×512.

    python benchmarks/speed_parts.py image-val/

One warm run of each under Python's profiler, which adds a few percent; threads as named.
"""

import cProfile
import json
import pstats
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import click
import torch

import luxvox
from luxvox.benchmarks.mosaic import mosaic
from luxvox.benchmarks.origin import describe_packages, repeat_command
from luxvox.benchmarks.speed import DOCS, SMALL
from luxvox.evaluate.inputs import picture_paths, read_picture
from luxvox.evaluate.report.pages import splice, table
from luxvox.evaluate.timing import machine

Function = tuple[str, str]
"""The end of a module's path, and a function in it."""

ANALYSING, DRAWING = "models/picture/analysing.py", "models/picture/drawing.py"
WALK, SYMBOLS = "entropy/picture/walk.py", "entropy/picture/symbols.py"
PARTS: dict[str, tuple[Function, ...]] = {
    "analysis network": ((ANALYSING, "analyse"),),
    "context network": ((WALK, "look"), ("entropy/picture/layers.py", "next_state")),
    "choice of codes": (("models/picture/choice.py", "choose"),),
    "range coder": ((SYMBOLS, "push_codes"), (SYMBOLS, "pull_codes")),
    "synthesis network": ((DRAWING, "draw"), (DRAWING, "_coarse")),
}


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--quality", default=50.0, show_default=True)
@click.option("--threads", default=2, show_default=True, help="Threads of torch.")
@click.option("--docs", default=DOCS, type=click.Path(exists=True, path_type=Path))
def main(folder: Path, quality: float, threads: int, docs: Path) -> None:
    """Profile luxvox on the first picture of FOLDER, mirrored to 768×512."""
    torch.set_num_threads(threads)
    pixels = mosaic(read_picture(picture_paths(folder)[0]), *SMALL)
    data = luxvox.compress_image(pixels, quality=quality)
    luxvox.decompress_image(data)
    seconds = {
        "compress": profile_parts(lambda: luxvox.compress_image(pixels, quality=quality)),
        "decompress": profile_parts(lambda: luxvox.decompress_image(data)),
    }
    setup = {
        "command": repeat_command(folder),
        "machine": machine(),
        "packages": describe_packages("torch", "numpy", weights=("picture",)),
        "quality": quality,
        "threads": threads,
        "seconds": seconds,
    }
    (docs / "results" / "speed-parts.json").write_text(json.dumps(setup, indent=2) + "\n", "utf-8")
    rows = [
        [part, *(_cell(by_part[part]) for by_part in seconds.values())] for part in [*PARTS, "rest"]
    ]
    rows.append(["all", *(_cell(sum(by_part.values())) for by_part in seconds.values())])
    report = "\n\n".join(
        [
            f"768×512, quality {quality:g}, {threads} threads, one warm run under the profiler:",
            table(["part", "compress, s", "decompress, s"], rows),
            f"`{setup['command']}`, {setup['machine']}, {setup['packages']}.",
        ]
    )
    splice(docs / "results.md", "speed-parts", report)
    click.echo(report)


def profile_parts(work: Callable[[], object]) -> dict[str, float]:
    """Return the seconds of each part, and of the rest, in one run."""
    profile = cProfile.Profile()
    profile.runcall(work)
    stats = pstats.Stats(profile).get_stats_profile()
    parts = {
        part: sum(_seconds(profile, function) for function in functions)
        for part, functions in PARTS.items()
    }
    return {**parts, "rest": stats.total_tt - sum(parts.values())}


def _seconds(profile: cProfile.Profile, function: Function) -> float:
    """Return the seconds spent in a function and what it calls."""
    entries = profile.getstats()
    return float(sum(entry.totaltime for entry in entries if _is(entry.code, function)))


def _is(code: CodeType | str, function: Function) -> bool:
    if isinstance(code, str):
        return False
    return code.co_filename.endswith(function[0]) and code.co_name == function[1]


def _cell(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds >= 0.0005 else "–"


if __name__ == "__main__":
    main()
