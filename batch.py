"""Many files from Python, on any executor: processes, a Dask cluster, Ray.

    from concurrent.futures import ProcessPoolExecutor
    from luxvox import batch

    with ProcessPoolExecutor() as executor:
        for outcome in batch.compress(paths, "small/", executor=executor, quality=40):
            print(outcome.job.target, outcome.sizes, outcome.lines)

A file that fails does not stop the others; its outcome has an exit code and a line that says why.
Processes that fork after torch was used may hang: use the context `spawn`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, as_completed
from dataclasses import fields
from typing import Any

from luxvox.codec import folders
from luxvox.codec.effort import DEFAULT_EFFORT
from luxvox.commands import paths as names
from luxvox.commands.compress import CompressRequest, compress_file, only_target
from luxvox.commands.decompress import (
    DecompressRequest,
    bare_ending,
    decompress_file,
    plain_endings,
)
from luxvox.commands.executors import result_of
from luxvox.commands.jobs import Job, Outcome, Work, run_job
from luxvox.commands.sources import Source
from luxvox.errors import UsageError
from luxvox.models.cards import preferred_folder
from luxvox.models.tunings import DEFAULT_TUNE

__all__ = ["Job", "Outcome", "compress", "decompress"]

PathLike = str | os.PathLike[str]

_TARGETS = ("quality", "size", "bpp", "psnr", "bitrate")
_DECOMPRESSING = tuple(field.name for field in fields(DecompressRequest) if field.name != "force")


def compress(  # noqa: PLR0913 – one argument for each thing a caller may want
    paths: Iterable[PathLike],
    out: PathLike | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    effort: int = DEFAULT_EFFORT,
    tune: str = DEFAULT_TUNE,
    device: str = "cpu",
    strip: bool = False,
    **target: Any,
) -> Iterator[Outcome]:
    """Compress pictures and recordings, and yield each outcome as it ends.

    Args:
        paths: of the inputs; may be URLs (`luxvox[remote]`).
        out: folder for the outputs, or its URL, made if it is missing; by default outputs go next
            to their inputs.
        executor: anything whose `submit` returns futures of `concurrent.futures`; by default files
            are processed one after another.
        overwrite: replace files that exist.
        effort, tune, device, strip: as in `luxvox.compress_image` and `compress_speech`.
        target: one of `quality`, `size`, `bpp` and `psnr` (pictures), and `bitrate` (voices).

    Raises:
        UsageError: if more than one target is given, an option is unknown, or `paths` is one path.
    """
    _refuse_unknown(target, _TARGETS)
    sources = _sources(paths)
    request = CompressRequest(only_target(target), effort, tune, device, strip, overwrite)
    endings = [names.COMPRESSED_ENDING] * len(sources)
    work = functools.partial(compress_file, request=request)
    return _run(_jobs(sources, out, endings), work, executor)


def decompress(
    paths: Iterable[PathLike],
    out: PathLike | None = None,
    *,
    executor: Executor | None = None,
    overwrite: bool = False,
    format: str | None = None,
    **options: Any,
) -> Iterator[Outcome]:
    """Decompress `.lvx` files, and yield each outcome as it ends.

    Args:
        paths, out, executor, overwrite: as for `compress`.
        format: extension of the outputs, such as `jpg` or `flac`; by default `png` and `wav`.
        options: `sections`, `scale`, `crop`, `strict`, `conceal`, `max_pixels` and `max_seconds`,
            as in `luxvox.decompress_image` and `decompress_speech`.

    Raises:
        UsageError: if an option is unknown, or `paths` is one path.
    """
    sources = _sources(paths)
    _refuse_unknown(options, _DECOMPRESSING)
    format = bare_ending(format)
    request = DecompressRequest(**options, force=overwrite)
    names = [source.path for source in sources]
    chosen = [format] * len(names) if format else plain_endings(names, {})
    endings = [f".{ending}" for ending in chosen]
    work = functools.partial(decompress_file, held={}, ending=format, request=request)
    return _run(_jobs(sources, out, endings), work, executor)


def _sources(paths: Iterable[PathLike]) -> list[Source]:
    if isinstance(paths, str | os.PathLike):
        raise UsageError(f"paths is a list of paths, not the single path {os.fspath(paths)!r}")
    return [Source(os.fspath(path)) for path in paths]


def _jobs(sources: list[Source], out: PathLike | None, endings: list[str]) -> list[Job]:
    folder = None if out is None else f"{os.fspath(out)}/"
    targets = names.name_outputs(sources, folder, endings)
    clashes = names.find_clashes([source.path for source in sources], targets)
    if clashes:
        raise UsageError(next(iter(clashes.values())))
    if folder is not None:
        folders.make_folder(folder)
    return [Job(source.path, target) for source, target in zip(sources, targets, strict=True)]


def _run(jobs: list[Job], work: Work, executor: Executor | None) -> Iterator[Outcome]:
    if executor is None:
        return (run_job(job, work) for job in jobs)
    weights = preferred_folder()
    futures = {executor.submit(run_job, job, work, weights): job for job in jobs}
    return (result_of(future, futures[future]) for future in as_completed(futures))


def _refuse_unknown(options: Mapping[str, Any], legal: Collection[str]) -> None:
    unknown = sorted(options.keys() - set(legal))
    if unknown:
        raise UsageError(f"unknown options: {', '.join(unknown)}, legal: {', '.join(legal)}")
