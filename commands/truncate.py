"""`luxvox truncate`: .lvx files made shorter."""

from __future__ import annotations

import time

import click

from luxvox.codec import files
from luxvox.commands import paths
from luxvox.commands.console import Sizes, each, summarise
from luxvox.commands.options import force_option, inputs_argument, required_output_option
from luxvox.commands.sizes import parse_size


@click.command()
@inputs_argument
@required_output_option
@click.option(
    "--bytes",
    "size",
    metavar="SIZE",
    help="Keep what fits: 4000, 4kB, 4KiB. Metadata goes first, then what is finest.",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep the first N sections of codes: of a picture 1 (a preview) to 6; of a voice 1 or 2.",
)
@force_option
def truncate(
    inputs: tuple[str, ...], output: str, size: str | None, sections: int | None, force: bool
) -> int:
    """Shorten .lvx files without coding them again: previews, or coarser versions."""
    n_bytes = None if size is None else parse_size(size)
    endings = [paths.COMPRESSED_ENDING] * len(inputs)
    outputs = paths.name_outputs(inputs, output, endings)

    def truncate_one(source: str, target: str) -> Sizes:
        from luxvox.codec.truncation import truncate as truncated

        files.check_target(target, force)
        data = files.read(source)
        start_s = time.monotonic()
        kept = truncated(data, size=n_bytes, sections=sections)
        files.write(target, kept, force, source)
        rate = f"{len(kept) / len(data):.0%} of it"
        return summarise(source, target, (len(data), len(kept)), rate, start_s)

    return each(inputs, outputs, truncate_one)
