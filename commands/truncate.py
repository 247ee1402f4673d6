"""`luxvox truncate`: .lvx files made shorter."""

from __future__ import annotations

import functools
import time

import click

from luxvox.codec import files
from luxvox.commands import paths
from luxvox.commands.console import Sizes, summarise
from luxvox.commands.many import ManyFiles, writes_many_files
from luxvox.commands.options import force_option, inputs_argument, required_output_option
from luxvox.commands.sizes import parse_size
from luxvox.errors import UsageError


@click.command()
@inputs_argument
@required_output_option
@click.option(
    "--bytes",
    "size",
    metavar="SIZE",
    help="Keep what fits: 4000, 4kB, 4KiB. Metadata is dropped first, then the finest codes.",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N sections of codes: 1 (a preview) to 6 of a picture, 1 or 2 of a voice.",
)
@force_option
@writes_many_files
def truncate(
    many: ManyFiles, output: str, size: str | None, sections: int | None, force: bool
) -> int:
    """Shorten .lvx files without coding them again: previews, or coarser versions."""
    if many.options.remove:
        raise UsageError("--rm would delete what is cut off")
    n_bytes = None if size is None else parse_size(size)
    sources = many.sources(paths.is_compressed)
    endings = [paths.COMPRESSED_ENDING] * len(sources)
    work = functools.partial(_truncate, n_bytes=n_bytes, sections=sections, force=force)
    return many.run(sources, output, endings, work)


def _truncate(
    source: str, target: str, *, n_bytes: int | None, sections: int | None, force: bool
) -> Sizes:
    from luxvox.codec.truncation import truncate as truncated

    files.check_target(target, force)
    data = files.read(source)
    start_s = time.monotonic()
    kept = truncated(data, size=n_bytes, sections=sections)
    files.write(target, kept, force, source)
    rate = f"{len(kept) / len(data):.0%} of it"
    return summarise(source, target, (len(data), len(kept)), rate, start_s)
