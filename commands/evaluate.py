"""`luxvox evaluate`: its arguments and options; `luxvox.evaluate.evaluation` does the work."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from luxvox.commands.options import exposed_weights_option
from luxvox.commands.progress_bar import ProgressBar
from luxvox.errors import UsageError

if TYPE_CHECKING:
    from luxvox.evaluate.evaluation import Plan, Result

_NONE = "none"


def _split(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    if value is None or value == "all":
        return None
    return tuple(word.strip() for word in value.split(",") if word.strip() not in ("", _NONE))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@click.command()
@click.argument(
    "inputs", metavar="FOLDER|FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--peers",
    callback=_split,
    metavar="NAME,...",
    help="Codecs next to luxvox: luxvox-psnr, jpeg, webp, avif, avif-psnr, jxl, jpeg2000, "
    "bmshj2018-factorized, mbt2018-mean; opus, codec2, luxvox-prefix, original; or none.  "
    "[default: the usual ones]",
)
@click.option(
    "--peer",
    "own_peers",
    multiple=True,
    metavar="MODULE:OBJECT",
    help="A codec of your own, in addition; docs/evaluate.md says what it needs.",
)
@click.option(
    "--metrics",
    callback=_split,
    metavar="NAME,...",
    help="psnr, psnr_y, ms_ssim, ssimulacra2, flip, lpips; pesq, stoi, visqol, dnsmos, "
    "si_sdr, speaker, wer.  [default: all that can run]",
)
@click.option(
    "--out",
    default="report",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report and the cache.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), help="At most this many pictures, and this many voices."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes to measure with.  [default: all cores]"
)
@click.option("--json", "as_json", is_flag=True, help="Print results.json by kind.")
@click.option(
    "--points",
    multiple=True,
    metavar="NAME=A,B,...",
    help="Settings of a codec, instead of its usual ones.",
)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    metavar="NAME=FILE",
    help="Weights of a learned codec; given several times, one point each.",
)
@click.option(
    "--recogniser",
    type=click.Path(exists=True, file_okay=False),
    help="Folder of a Whisper model for faster-whisper, for word error rates.",
)
@click.option(
    "--slow-every",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Compute ViSQOL and speaker cosine only on every Nth voice.",
)
@click.option(
    "--timed-files",
    default=2,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many files codecs are timed on, one after the other; 0 for none.",
)
@click.option(
    "--shown-files",
    default=3,
    show_default=True,
    type=click.IntRange(min=0),
    help="For how many files the report shows or plays a piece by every codec.",
)
@click.option(
    "--against",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Draw the curves of earlier results, or published ones, next to the measured ones.",
)
@click.option(
    "--against-names",
    multiple=True,
    metavar="PATTERN",
    help="Which of them to draw: 'VTM*'.",
)
@click.option(
    "--page",
    "pages",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Update the tables between the markers <!-- pictures:begin --> and <!-- pictures:end -->,"
    " pictures-summary, voices, voices-summary of a Markdown page.",
)
@click.option(
    "--page-set",
    metavar="NAME",
    default="",
    help="Name of the set of files: the markers are pictures-NAME and pictures-NAME-summary.",
)
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="CODEC",
    help="Print bits at equal quality against this codec; pages compare with it, too.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(("compressai", "svg", "latex")),
    help="Write results in another form, too, into a folder of its name: curves for CompressAI's"
    " plot tool, plots, tables for papers.",
)
@exposed_weights_option
@click.option("--fresh", is_flag=True, help="Ignore the cache, and leave it as it is.")
def evaluate(**options: Any) -> int:
    """Measure luxvox and other codecs on your own pictures and voices, and report.

    Writes report.html, results.json and results.csv; a folder with both kinds gives two reports.
    Measurements are kept, so an interrupted run continues where it stopped.
    """
    return _evaluate(EvaluateRequest(**options))


@dataclass(frozen=True)
class EvaluateRequest:
    """The options of an evaluation; see `luxvox.evaluate.evaluation.Plan`."""

    inputs: tuple[Path, ...]
    peers: tuple[str, ...] | None
    own_peers: tuple[str, ...]
    metrics: tuple[str, ...] | None
    out: Path
    limit: int | None
    jobs: int | None
    as_json: bool
    points: tuple[str, ...]
    checkpoints: tuple[str, ...]
    recogniser: str | None
    slow_every: int
    timed_files: int
    shown_files: int
    against: tuple[Path, ...]
    against_names: tuple[str, ...]
    pages: tuple[Path, ...]
    page_set: str
    anchors: tuple[str, ...]
    formats: tuple[str, ...]
    fresh: bool
    weights: Path | None  # which are preferred from here on

    def plan(self) -> Plan:
        """Return what is to be measured."""
        from luxvox.evaluate.evaluation import Plan
        from luxvox.evaluate.metrics import Setting

        checkpoints: dict[str, tuple[str, ...]] = {}
        for name, path in _pairs(self.checkpoints):
            checkpoints[name] = (*checkpoints.get(name, ()), path)
        return Plan(
            inputs=self.inputs,
            out=self.out,
            command=_command_line(self.inputs, self.out),
            peers=self.peers,
            own_peers=self.own_peers,
            metrics=self.metrics,
            points={name: _numbers(name, words) for name, words in _pairs(self.points)},
            checkpoints=checkpoints,
            limit=self.limit,
            n_processes=self.jobs or _cores(),
            setting=Setting(recogniser=self.recogniser),
            slow_every=self.slow_every,
            timed_files=self.timed_files,
            shown_files=self.shown_files,
            is_fresh=self.fresh,
            against=self.against,
            against_names=self.against_names,
        )


def _evaluate(request: EvaluateRequest) -> int:
    from luxvox.evaluate import evaluation
    from luxvox.evaluate.report import pages
    from luxvox.evaluate.results import to_json

    layout = pages.Layout(request.anchors, request.page_set)
    results = evaluation.evaluate(request.plan(), _watch, _tell_reason)
    for result in results:
        _tell(result)

    # Anchors are checked before any page is updated.
    records: dict[str, Any] = {result.study.kind: result.record for result in results}
    pages.check_anchors(records, layout.anchors)
    for path in request.pages:
        pages.write(path, records, layout)
    for result in results:
        evaluation.export(result, request.formats, layout.anchors)

    if request.as_json:
        click.echo(to_json(records).decode(), nl=False)
        return 0
    for record in records.values():
        _print_tables(record, layout.anchors)
    return 0


def _print_tables(record: Mapping[str, Any], anchors: Sequence[str]) -> None:
    """Print a table that fits a terminal, or Markdown tables against the anchors asked for."""
    from luxvox.evaluate.report import pages, terminal

    if not anchors:
        click.echo(f"\n{terminal.summary(record)}")
        return
    for anchor in pages.anchors_of(record, anchors):
        click.echo(pages.differences(record, anchor) + "\n")


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise UsageError(f"{word}: is not NAME=VALUE")
        yield name, value


def _numbers(name: str, words: str) -> tuple[float, ...]:
    try:
        numbers = sorted({float(word) for word in words.split(",")})
    except ValueError:
        raise UsageError(f"points of {name}: {words} are not numbers") from None
    return tuple(numbers)


def _command_line(inputs: Sequence[Path], out: Path) -> str:
    """Repeat the command line, with absolute paths reduced to their last names."""
    context = click.get_current_context()
    words: list[str] = ["luxvox", "evaluate", *(_name(path) for path in inputs)]
    for parameter in context.command.params:
        if not isinstance(parameter, click.Option):
            continue
        value: Any = context.params.get(parameter.name or "")
        is_none = value is None or (parameter.multiple and not value)
        if is_none or str(value) == str(parameter.get_default(context)):
            continue
        singles = value if parameter.multiple else [value]
        for single in singles:
            words += [parameter.opts[0], *_format_option(parameter, single)]
    return shlex.join(words)


def _format_option(option: click.Option, value: Any) -> list[str]:
    if option.is_flag:
        return []
    if isinstance(value, tuple):
        return [",".join(value) or _NONE]
    is_path = isinstance(option.type, click.Path)
    return [_name(Path(value)) if is_path else str(value)]


def _name(path: Path) -> str:
    name = path.name if path.is_absolute() else str(path)
    return f"{name}/" if path.is_dir() else name


@contextlib.contextmanager
def _watch(label: str) -> Iterator[Callable[[float], None]]:
    progress = ProgressBar(label, sys.stderr)
    try:
        yield progress
    finally:
        progress.close()


def _tell_reason(reason: str) -> None:
    click.echo(f"luxvox: {reason}", err=True)


def _tell(result: Result) -> None:
    study = result.study
    for absent in study.absent:
        remedy = f"; {absent.install}" if absent.install else ""
        click.echo(f"luxvox: {absent.name} left out: {absent.reason}{remedy}", err=True)
    for failure in study.failures:
        codec = f" by {failure.codec}" if failure.codec else ""
        click.echo(f"luxvox: {failure.file}{codec} skipped: {failure.reason}", err=True)
    counts = (len(study.test_files), study.kind), (len(study.codecs), "codecs")
    named = [f"{n} {noun if n != 1 else noun.removesuffix('s')}" for n, noun in counts]
    click.echo(f"{', '.join(named)} → {result.folder / 'report.html'}", err=True)
