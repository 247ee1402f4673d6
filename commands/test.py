"""`luxvox test`: decode .lvx files and check them, without writing anything."""

from __future__ import annotations

import time

import click

from luxvox.cautions import warn_all
from luxvox.codec import files
from luxvox.commands import paths
from luxvox.commands.batch import run_jobs
from luxvox.commands.console import printable, say, watch
from luxvox.commands.jobs import NOWHERE
from luxvox.commands.many import ManyFiles, reads_many_files
from luxvox.commands.options import inputs_argument, weights_option
from luxvox.progress import Progress


@click.command()
@inputs_argument
@weights_option
@reads_many_files
def test(many: ManyFiles) -> int:
    """Decode .lvx files and check all of them, as `gzip -t` does; nothing is written.

    The exit code is 3 if a file is cut or altered, or needs weights that are not installed.
    """
    names = [source.path for source in many.sources(paths.is_compressed)]
    return run_jobs(names, [NOWHERE] * len(names), _test, many.options)


def _test(source: str, _: str) -> None:
    from luxvox.codec import lvx, pictures

    data = files.read(source)
    start_s = time.monotonic()

    def decode(progress: Progress) -> None:
        if lvx.is_voice(data):
            _decode_voice(data, progress)
        else:
            pictures.decompress_image(data, strict=True, progress=progress)

    watch(f"testing {source}", decode)
    seconds = time.monotonic() - start_s
    say(f"{printable(source, 'standard input')}: whole, {len(data):,} bytes, {seconds:.2f} s")


def _decode_voice(data: bytes, progress: Progress) -> None:
    """Decode a voice stretch by stretch, and keep none of them."""
    from luxvox.codec.voices import VoiceReading

    voice, cautions = VoiceReading(strict=True, progress=progress).open(data)
    warn_all(cautions, stacklevel=2)
    for _ in voice.blocks:
        pass
