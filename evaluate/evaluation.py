"""A whole evaluation: find files, codecs and metrics, measure, and report the results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from luxvox.codec import files
from luxvox.errors import InputError, SystemFailure, UsageError
from luxvox.evaluate import against, peers, results, timing
from luxvox.evaluate.cache import Cache
from luxvox.evaluate.inputs import PICTURES, VOICES, Failure, Found, Kind, TestFile, find
from luxvox.evaluate.measure import Job, run_all
from luxvox.evaluate.metrics import Metric, Setting
from luxvox.evaluate.metrics import choose as choose_metrics
from luxvox.evaluate.peers import OWN, Absent, Codec, PeerSpec
from luxvox.evaluate.report import exports
from luxvox.evaluate.report.page import page
from luxvox.evaluate.report.samples import samples
from luxvox.evaluate.study import Study, gather

Watch = Callable[[str], AbstractContextManager[Callable[[float], None]]]


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        inputs: files and folders.
        out: folder of the report, and of the cache in it.
        command: the command line.
        peers: names of codecs to measure next to luxvox; None for the usual ones.
        own_peers: further codecs, as `module:object`.
        metrics: their names; None for the usual ones.
        points: by name of a codec, in place of its default ones.
        checkpoints: by name of a codec, its weights, one file per point.
        limit: the most files of a kind; None for all.
        n_processes: how many processes measure at a time.
        setting: what metrics need to know.
        slow_every: take slow metrics on every nth file.
        timed_files: how many files codecs are timed on; 0 for none.
        shown_files: how many files the report shows a piece of.
        is_fresh: whether to measure again what is cached.
        against: files of curves from elsewhere.
        against_names: patterns of the curves that are wanted; none for all.
    """

    inputs: Sequence[Path]
    out: Path
    command: str
    peers: Sequence[str] | None = None
    own_peers: Sequence[str] = ()
    metrics: Sequence[str] | None = None
    points: dict[str, tuple[float, ...]] = field(default_factory=dict)
    checkpoints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    limit: int | None = None
    n_processes: int = 1
    setting: Setting = Setting()
    slow_every: int = 1
    timed_files: int = 2
    shown_files: int = 3
    is_fresh: bool = False
    against: Sequence[Path] = ()
    against_names: Sequence[str] = ()


@dataclass(frozen=True)
class Result:
    """The result for one kind: the study, its record, and the folder for its report."""

    study: Study
    record: dict[str, Any]
    folder: Path


def evaluate(plan: Plan, watch: Watch, tell: Callable[[str], None]) -> list[Result]:
    """Measure, and write report.html, results.json and results.csv.

    Args:
        plan: what is asked for.
        watch: makes a progress bar with a label.
        tell: called with one line if nothing of a kind could be measured, but something of another.

    Returns:
        A result for each kind, pictures and voices, of which anything could be measured.

    Raises:
        UsageError: a name or an input that does not exist.
        InputError: nothing at all could be measured.
        SystemFailure: no codec can run, or the folder cannot be written.
    """
    foreign = [c for path in plan.against for c in against.read(path, plan.against_names)]
    specs = _specs(plan)
    found = find(plan.inputs, plan.limit)
    of_kind = {PICTURES: found.pictures, VOICES: found.voices}
    kinds = [kind for kind, test_files in of_kind.items() if test_files]
    if not kinds:
        raise InputError("; ".join(f"{f.file}: {f.reason}" for f in found.failures))
    _make(plan.out)
    prepared = [_prepare(plan, kind, of_kind[kind], specs) for kind in kinds]
    results_of_kinds: list[Result] = []
    reasons: list[str] = []
    for part in prepared:
        folder = plan.out / part.kind if len(prepared) > 1 else plan.out
        try:
            study = _measure(plan, part, found, watch)
        except InputError as error:
            reasons.append(f"{part.kind}: {error}" if len(prepared) > 1 else str(error))
            continue
        run = results.Run(plan.command, _data(plan, study), timing.machine())
        record = results.collect(study, run, [c for c in foreign if c.kind == part.kind])
        _make(folder)
        write(folder / "results.json", results.to_json(record))
        write(folder / "results.csv", results.to_csv(record))
        with watch("drawing the report") as progress:
            shown = samples(study, plan.shown_files, progress)
            write(folder / "report.html", page(record, shown).encode(errors="backslashreplace"))
        results_of_kinds.append(Result(study, record, folder))
    if not results_of_kinds:
        raise InputError("; ".join(reasons))
    for reason in reasons:
        tell(reason)
    return results_of_kinds


def export(result: Result, formats: Sequence[str], anchors: Sequence[str] = ()) -> None:
    """Write results in the forms of other programs, each into a folder of its name.

    Args:
        result: of one kind.
        formats: names in `exports.FORMATS`.
        anchors: codecs that tables compare with; none for the usual ones.

    Raises:
        SystemFailure: a folder cannot be written.
    """
    for name in formats:
        texts = exports.FORMATS[name](result.record, anchors)
        if texts:
            _make(result.folder / name)
        for file, text in texts.items():
            write(result.folder / name / file, text.encode())


def write(path: Path, data: bytes) -> None:
    """Write a file of a report atomically, replacing an earlier one."""
    files.write(os.fspath(path), data, overwrite=True)


@dataclass(frozen=True)
class _Part:
    """One kind, ready to be measured."""

    kind: Kind
    test_files: tuple[TestFile, ...]
    codecs: list[Codec]
    metrics: list[Metric]
    absent: list[Absent]


def _specs(plan: Plan) -> list[PeerSpec]:
    named = peers.usual_specs() if plan.peers is None else peers.find_specs(plan.peers)
    own = peers.find_specs([OWN])
    specs = list(dict.fromkeys([*own, *named, *(PeerSpec(name) for name in plan.own_peers)]))
    for name in {*plan.points, *plan.checkpoints} - {spec.name for spec in specs}:
        raise UsageError(f"{name} is not among the codecs to measure")
    return [
        replace(
            spec,
            points=plan.points.get(spec.name, ()),
            checkpoints=plan.checkpoints.get(spec.name, ()),
        )
        for spec in specs
    ]


def _prepare(
    plan: Plan, kind: Kind, test_files: tuple[TestFile, ...], specs: Sequence[PeerSpec]
) -> _Part:
    entered = [peers.enter(spec) for spec in specs if peers.load(spec).kind == kind]
    codecs = [codec for codec in entered if isinstance(codec, Codec)]
    names = [codec.name for codec in codecs]
    if len(set(names)) < len(names):
        raise UsageError(f"two codecs have one name: {', '.join(names)}")
    absent = [codec for codec in entered if isinstance(codec, Absent)]
    metrics, absent_metrics = choose_metrics(kind, plan.metrics, plan.setting)
    if not codecs:
        raise SystemFailure("; ".join(f"{codec.name}: {codec.reason}" for codec in absent))
    if not metrics:
        raise UsageError(f"no metric for {kind} can run here")
    return _Part(kind, test_files, codecs, metrics, [*absent, *absent_metrics])


def _measure(plan: Plan, part: _Part, found: Found, watch: Watch) -> Study:
    cache = Cache(plan.out / "cache")
    if plan.is_fresh:
        cache = Cache(None)
    jobs = [
        Job(test_file, codec, _metrics_for(plan, part, number), plan.setting, cache)
        for number, test_file in enumerate(part.test_files)
        for codec in part.codecs
    ]
    with watch(f"measuring {part.kind}") as progress:
        outcomes = run_all(jobs, plan.n_processes, progress)
    study = gather(part.kind, part.test_files, part.codecs, part.metrics, outcomes)
    unknown: tuple[Failure, ...] = found.failures
    study = replace(study, failures=(*unknown, *study.failures), absent=tuple(part.absent))
    if not study.test_files or not study.codecs:
        raise InputError(
            "nothing could be measured: "
            + "; ".join(f"{f.file}, {f.codec or 'file'}: {f.reason}" for f in study.failures[:3])
        )
    with watch("timing") as progress:
        timed = study.test_files[: plan.timed_files]
        times = timing.measure_all(timed, study.codecs, cache, progress)
    return replace(study, times=tuple(times))


def _metrics_for(plan: Plan, part: _Part, index: int) -> tuple[Metric, ...]:
    is_full = index % plan.slow_every == 0
    return tuple(metric for metric in part.metrics if is_full or not metric.is_slow)


def _data(plan: Plan, study: Study) -> str:
    names = ", ".join(path.resolve().name for path in plan.inputs[:3])
    more = f" and {len(plan.inputs) - 3} more" if len(plan.inputs) > 3 else ""
    return f"{names}{more}: {len(study.test_files)} {study.kind}"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemFailure(f"{folder}: cannot be made: {files.reason(error)}") from error
