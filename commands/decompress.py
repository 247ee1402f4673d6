"""`luxvox decompress`: .lvx files to pictures and recordings."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from luxvox.cautions import warn_all
from luxvox.codec import files
from luxvox.codec.container.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS
from luxvox.commands import paths
from luxvox.commands.console import Sizes, summarise, watch
from luxvox.commands.many import ManyFiles, writes_many_files
from luxvox.commands.options import (
    SCALES_BY_NAME,
    force_option,
    in_range,
    inputs_argument,
    output_option,
    parse_crop,
    weights_option,
)
from luxvox.errors import SystemFailure, UsageError
from luxvox.progress import Progress

if TYPE_CHECKING:
    from luxvox.codec.pictures import PictureReading
    from luxvox.codec.voices import VoiceReading

_REQUESTS = 16  # at a time, where answers take longer than requests


@dataclass(frozen=True)
class DecompressRequest:
    """What to do with the files: the options, as the command line gives them."""

    sections: int | None = None
    scale: float = 1.0
    crop: tuple[int, int, int, int] | None = None
    strict: bool = False
    conceal: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_seconds: float = DEFAULT_MAX_SECONDS
    force: bool = False

    def picture_reading(self, progress: Progress) -> PictureReading:
        """Return the options for decoding a picture."""
        from luxvox.codec.pictures import PictureReading

        return PictureReading(
            self.sections,
            self.scale,
            self.crop,
            self.strict,
            self.conceal,
            self.max_pixels,
            progress,
        )

    @property
    def is_partial(self) -> bool:
        """Whether only a part of what a file holds is asked for."""
        return self.sections is not None or self.scale != 1.0 or self.crop is not None

    def voice_reading(self, progress: Progress) -> VoiceReading:
        """Return the options for decoding a voice."""
        from luxvox.codec.voices import VoiceReading

        return VoiceReading(self.sections, self.strict, self.conceal, self.max_seconds, progress)


@click.command()
@inputs_argument
@output_option
@click.option(
    "--format",
    "ending",
    metavar="EXT",
    help="png, jpg, webp, tiff, avif ..., wav, flac, ogg, mp3 ...  [default: the ending of OUT, "
    "or png and wav]",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Decode only the first N sections: 1 (a preview) to 6 of a picture; 1 or 2 of every "
    "segment of a voice.",
)
@click.option(
    "--scale",
    type=click.Choice(list(SCALES_BY_NAME)),
    callback=lambda _, __, name: SCALES_BY_NAME[name],
    default="1",
    help="Pictures only: draw a smaller picture, in a fraction of the time.",
)
@click.option(
    "--crop",
    callback=parse_crop,
    metavar="X,Y,W,H",
    help="Pictures only: decode one part; left, top, width and height in pixels.",
)
@click.option("--strict", is_flag=True, help="Refuse cut files instead of warning.")
@click.option("--conceal", is_flag=True, help="Decode damaged files, too, and guess what is lost.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    metavar="N",
    help="Refuse larger pictures.",
)
@click.option(
    "--max-seconds",
    type=float,
    callback=in_range(0, float("inf")),
    default=DEFAULT_MAX_SECONDS,
    show_default=True,
    metavar="S",
    help="Refuse longer recordings.",
)
@weights_option
@force_option
@writes_many_files
def decompress(many: ManyFiles, output: str | None, ending: str | None, **options: Any) -> int:
    """Decompress pictures and voices: photo.lvx becomes photo.png, voice.lvx voice.wav.

    IN may be a folder, or - for standard input, and OUT - for standard output; both may be URLs,
    such as s3://bucket/photo.lvx. The inputs are kept.
    """
    ending = bare_ending(ending)
    request = DecompressRequest(**options)
    if many.options.remove and request.is_partial:
        raise UsageError("--rm would delete what --sections, --scale and --crop leave out")
    sources = many.sources(paths.is_compressed)
    names = [source.path for source in sources]
    held = {} if ending or output else files.read_pipes(names)
    endings = [
        f".{name}" for name in ([ending] * len(names) if ending else plain_endings(names, held))
    ]
    work = functools.partial(decompress_file, held=held, ending=ending, request=request)
    return many.run(sources, output, endings, work)


def bare_ending(ending: str | None) -> str | None:
    """Return a file ending without its dot and in lower case, as formats are named.

    Raises:
        UsageError: it is not one.
    """
    if ending is None:
        return None
    bare = ending.removeprefix(".").lower()
    if not bare.isalnum():
        raise UsageError(f"format {ending!r} is not a file ending; write png, jpg, wav …")
    return bare


def _check_ending(ending: str | None) -> None:
    """Refuse an extension that neither pictures nor recordings are written in."""
    from luxvox.codec.picture import formats

    if ending is None or ending in formats.FORMATS:
        return  # what recordings need is imported only for them
    from luxvox.codec.voice.formats import FORMATS

    if ending not in FORMATS:
        written = ", ".join(f".{name}" for name in (*formats.FORMATS, *FORMATS))
        raise UsageError(f"files cannot be written as .{ending}; write one of {written}")


def _ending_of(target: str) -> str | None:
    """Return the extension of an output's name; pipes and devices need none."""
    from luxvox.codec.picture.formats import ending_of

    if target == files.PIPE or (files.is_special(target) and "." not in target):
        return None
    return ending_of(target)


def plain_endings(sources: Sequence[str], held: dict[str, bytes]) -> list[str]:
    """Return the extensions that outputs have by default: `wav` for a voice, else `png`.

    Args:
        sources: paths or URLs of the inputs; several URLs are looked at at a time.
        held: what has been read already, by source.
    """
    with ThreadPoolExecutor(_REQUESTS) as pool:
        return list(pool.map(functools.partial(_plain_ending, held=held), sources))


def _plain_ending(source: str, held: dict[str, bytes]) -> str:
    from luxvox.codec import lvx

    head = held.get(source, b"")
    with contextlib.suppress(SystemFailure):  # its job will say why it cannot be read
        head = head or files.peek(source, lvx.HEAD_BYTES)
    return "wav" if lvx.is_voice(head) else "png"


def decompress_file(
    source: str,
    target: str,
    *,
    held: dict[str, bytes],
    ending: str | None,
    request: DecompressRequest,
) -> Sizes:
    """Decompress one file, a picture or a voice; `held` is what was read already, by source."""
    from luxvox.codec.container import VoiceHeader
    from luxvox.codec.container.repair import open_repaired

    ending = ending or _ending_of(target)
    _check_ending(ending)
    files.check_target(target, request.force)
    data = held.pop(source) if source in held else files.read(source)
    if not isinstance(open_repaired(data, request.conceal)[0].header, VoiceHeader):
        return _decompress_picture((source, target), data, ending or "png", request)
    if request.scale != 1.0 or request.crop is not None:
        raise UsageError("--scale and --crop are for pictures, and this is a voice")
    return _decompress_voice((source, target), data, ending or "wav", request)


def _decompress_picture(
    ends: tuple[str, str], data: bytes, ending: str, request: DecompressRequest
) -> Sizes:
    from luxvox.codec import pictures
    from luxvox.codec.picture import formats, rasters

    source, target = ends
    start_s = time.monotonic()
    formats.find_format(ending)
    raster = watch(
        f"decompressing {source}",
        lambda progress: pictures.decompress_raster(data, request.picture_reading(progress)),
    )
    written = rasters.to_bytes(raster, ending)
    files.write(target, written, request.force, source)
    height, width = raster.pixels.shape[:2]
    rate = f"{8 * len(data) / (width * height):.3f} bpp"
    if request.scale != 1.0 or request.crop is not None:  # the file holds more than this
        rate = f"{width}×{height}"
    return summarise(source, target, (len(data), len(written)), rate, start_s)


def _decompress_voice(
    ends: tuple[str, str], data: bytes, ending: str, request: DecompressRequest
) -> Sizes:
    from luxvox.codec.voice import formats

    source, target = ends
    start_s = time.monotonic()
    formats.find_format(ending)

    def decode(progress: Progress) -> tuple[int, float]:
        voice, cautions = request.voice_reading(progress).open(data)
        warn_all(cautions, stacklevel=2)
        with files.open_output(target, request.force, source) as stream:
            shape, rate_hz = (voice.n_samples, voice.channels), voice.sample_rate_hz
            written = formats.write_blocks(stream, ending, shape, rate_hz, voice.blocks)
        return written, voice.n_samples / rate_hz

    n_bytes, seconds = watch(f"decompressing {source}", decode)
    rate = f"{8 * len(data) / 1000 / max(seconds, 1e-9):.2f} kbit/s, {seconds:.1f} s of sound"
    return summarise(source, target, (len(data), n_bytes), rate, start_s)
