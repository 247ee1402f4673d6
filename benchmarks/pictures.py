"""Measure luxvox beside JPEG, WebP, AVIF and JPEG 2000 on a folder of lossless pictures.

    python benchmarks/pictures.py image-val/ --jobs 2
    python benchmarks/pictures.py image-val/ --codec luxvox

The second command measures luxvox alone and takes the rows of the others from their CSV files. Rate
is the length of the file; quality is measured on the decoded file, in RGB. The headline is the
BD-rate between mean curves (mean rate and mean quality over the pictures at each setting), as in
published tables; the mean of the pictures' own BD-rates stands beside it.
"""

import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch

from luxvox.benchmarks.measurements import (
    QUALITIES,
    Measurement,
    bd_rate_of_means,
    mean_curve,
    mean_of_bd_rates,
    monotonic_pictures,
    read_csv,
    write_csv,
)
from luxvox.benchmarks.metrics import multiscale_ssim, psnr_db
from luxvox.benchmarks.picture_codecs import CODECS
from luxvox.benchmarks.picture_folder import picture_paths, read_rgb
from luxvox.benchmarks.results_page import (
    describe_machine,
    describe_packages,
    signed,
    splice,
    table,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
ANCHORS = ("jpeg", "avif")


@dataclass(frozen=True)
class Origin:
    """Where the rows of a codec come from."""

    codec: str
    command: str
    data: str
    machine: str
    packages: str


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--codec",
    "names",
    multiple=True,
    type=click.Choice(list(CODECS)),
    help="Measure this codec alone (repeatable); the rows of the others are reused.",
)
@click.option("--qualities", help="Qualities of luxvox, as 1,20,40, in place of the usual ones.")
@click.option("--jobs", default=1, show_default=True, help="Pictures measured at a time.")
@click.option("--report-only", is_flag=True, help="Measure nothing; renew summary and tables.")
@click.option(
    "--docs",
    default=DOCS,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of results.md and results/.",
)
def main(
    folder: Path,
    names: tuple[str, ...],
    qualities: str | None,
    jobs: int,
    report_only: bool,
    docs: Path,
) -> None:
    """Measure picture codecs on the lossless pictures of FOLDER and renew docs/results.md."""
    settings = {name: CODECS[name].settings for name in names or CODECS}
    if qualities and "luxvox" in settings:
        settings["luxvox"] = tuple(float(quality) for quality in qualities.split(","))
    paths = picture_paths(folder)
    for name in () if report_only else settings:
        rows = measure(name, settings[name], paths, jobs)
        write_csv(rows_path(docs, name), rows)
        origin = Origin(
            codec=CODECS[name].label,
            command=command_line(folder, name, qualities if name == "luxvox" else None),
            data=f"{folder.name}, {len(paths)} pictures",
            machine=describe_machine(),
            packages=describe_packages("pillow", "torch", "pytorch-msssim"),
        )
        origin_path(docs, name).write_text(json.dumps(asdict(origin), indent=2) + "\n", "utf-8")
    measured = {name: read_csv(rows_path(docs, name)) for name in CODECS if kept(docs, name)}
    check_same_pictures(measured)
    summary = summarise(measured)
    (docs / "results" / "pictures.json").write_text(json.dumps(summary, indent=2) + "\n", "utf-8")
    report = markdown(summary, {name: read_origin(docs, name) for name in measured})
    splice(docs / "results.md", "pictures", report)
    click.echo(report)


def command_line(folder: Path, name: str, qualities: str | None) -> str:
    """Repeat the command that measures a codec."""
    chosen = f" --qualities {qualities}" if qualities else ""
    return f"python benchmarks/pictures.py {folder.name}/ --codec {name}{chosen}"


def rows_path(docs: Path, name: str) -> Path:
    """Name the CSV file of a codec."""
    return docs / "results" / f"pictures-{name}.csv"


def origin_path(docs: Path, name: str) -> Path:
    """Name the JSON file that says how a codec's rows were made."""
    return rows_path(docs, name).with_suffix(".json")


def kept(docs: Path, name: str) -> bool:
    """Tell whether a codec has been measured."""
    return rows_path(docs, name).is_file()


def read_origin(docs: Path, name: str) -> Origin:
    """Read how a codec's rows were made."""
    return Origin(**json.loads(origin_path(docs, name).read_text(encoding="utf-8")))


def measure(
    name: str, settings: Sequence[float], paths: Sequence[Path], jobs: int
) -> list[Measurement]:
    """Measure a codec at all settings on all pictures, each picture in one of `jobs` processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_use_one_thread) as pool:
        futures = [pool.submit(measure_picture, name, settings, path) for path in paths]
        with click.progressbar(
            as_completed(futures),
            length=len(futures),
            label=name,
            file=sys.stderr,
        ) as done:
            return [row for future in done for row in future.result()]


def measure_picture(name: str, settings: Sequence[float], path: Path) -> list[Measurement]:
    """Measure a codec at all settings on one picture."""
    codec, original = CODECS[name], read_rgb(path)
    height, width, _ = original.shape
    rows = []
    for setting in settings:
        data = codec.encode(original, setting)
        decoded = codec.decode(data)
        rows.append(
            Measurement(
                picture=path.name,
                setting=setting,
                width=width,
                height=height,
                file_bytes=len(data),
                psnr_db=psnr_db(original, decoded),
                ms_ssim=multiscale_ssim(original, decoded),
            )
        )
    return rows


def check_same_pictures(measured: Mapping[str, Sequence[Measurement]]) -> None:
    """Raise a usage error unless all codecs were measured on the same pictures."""
    pictures = {name: {row.picture for row in rows} for name, rows in measured.items()}
    for name, some in pictures.items():
        for other, others in pictures.items():
            if some != others:
                raise click.UsageError(
                    f"{name} was measured on {len(some)} pictures and {other} on {len(others)},"
                    f" {len(some & others)} of them the same: measure both on one folder"
                )


def summarise(measured: Mapping[str, Sequence[Measurement]]) -> dict[str, dict[str, object]]:
    """Gather each codec's mean curve, BD-rates and monotonic pictures."""
    return {
        name: {
            "mean_curve": [asdict(point) for point in mean_curve(rows)],
            "bd_rate_percent": {
                anchor: bd_rates(measured[anchor], rows)
                for anchor in ANCHORS
                if anchor in measured and anchor != name
            },
            "pictures": len({row.picture for row in rows}),
            "monotonic_pictures": monotonic_pictures(rows),
        }
        for name, rows in measured.items()
    }


def bd_rates(
    anchor: Sequence[Measurement], test: Sequence[Measurement]
) -> dict[str, dict[str, float]]:
    """Return BD-rates in percent by metric, of mean curves and as the mean over pictures."""
    return {
        metric: {
            "of_mean_curves": round(bd_rate_of_means(anchor, test, quality), 2),
            "mean_over_pictures": round(mean_of_bd_rates(anchor, test, quality), 2),
        }
        for metric, quality in QUALITIES.items()
    }


def markdown(summary: Mapping[str, Mapping[str, object]], origins: Mapping[str, Origin]) -> str:
    """Write the tables of the results page."""
    # Through JSON and back: the summary is typed for writing, and read here as plain data.
    plain = json.loads(json.dumps(summary))
    heads = [
        f"{metric} against {anchor.upper()}" for anchor in ANCHORS for metric in ("PSNR", "MS-SSIM")
    ]
    bd_rows = [
        [origins[name].codec, *_bd_cells(entry["bd_rate_percent"])] for name, entry in plain.items()
    ]
    curve_rows = [
        [
            origins[name].codec,
            f"{point['setting']:g}",
            f"{point['rate_bpp']:.3f}",
            f"{point['psnr_db']:.2f}",
            f"{point['ms_ssim']:.4f}",
            f"{point['ms_ssim_db']:.2f}",
        ]
        for name, entry in plain.items()
        for point in entry["mean_curve"]
    ]
    monotonic = [
        f"With rising quality, bytes and PSNR rise at every step on {entry['monotonic_pictures']}"
        f" of {entry['pictures']} pictures with luxvox."
        for name, entry in plain.items()
        if name == "luxvox"
    ]
    return "\n\n".join(
        [
            "BD-rate in percent, of the mean curves (the headline); in brackets the mean of the"
            " pictures' own BD-rates. Negative is smaller files at equal quality.",
            table(["codec", *heads], bd_rows),
            *monotonic,
            "Means over the pictures:",
            table(
                ["codec", "setting", "bpp", "PSNR, dB", "MS-SSIM", "MS-SSIM, dB"],
                curve_rows,
            ),
            "How the rows were made:",
            table(
                ["codec", "command", "data", "machine", "packages"],
                [
                    [
                        origin.codec,
                        f"`{origin.command}`",
                        origin.data,
                        origin.machine,
                        origin.packages,
                    ]
                    for origin in origins.values()
                ],
            ),
        ]
    )


def _bd_cells(bd_rate_percent: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    return [
        f"{signed(rates['of_mean_curves'])} ({signed(rates['mean_over_pictures'])})"
        if (rates := bd_rate_percent.get(anchor, {}).get(metric))
        else "–"
        for anchor in ANCHORS
        for metric in QUALITIES
    ]


def _use_one_thread() -> None:
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
