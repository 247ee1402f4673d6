"""`luxvox compress`: pictures and recordings to .lvx files."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from luxvox.codec import files, remote
from luxvox.codec.effort import DEFAULT_EFFORT, EFFORTS
from luxvox.commands import paths
from luxvox.commands.console import Sizes, note_growth, summarise, watch
from luxvox.commands.many import ManyFiles, writes_many_files
from luxvox.commands.options import (
    choose_device,
    device_option,
    force_option,
    in_range,
    inputs_argument,
    output_option,
    weights_option,
)
from luxvox.commands.sizes import parse_size
from luxvox.errors import InputError, UsageError
from luxvox.models.tunings import DEFAULT_TUNE, TUNINGS

if TYPE_CHECKING:
    from luxvox.codec.voice.recordings import OpenRecording


@dataclass(frozen=True)
class CompressRequest:
    """What to do with the files: one target, and how the work is done.

    Attributes:
        target: whichever of quality, size, bpp, psnr and bitrate was given, or none.
        effort, tune, device, strip: as in the options.
        force: replace files that exist.
    """

    target: dict[str, Any]
    effort: int
    tune: str
    device: str
    strip: bool
    force: bool


@click.command()
@inputs_argument
@output_option
@click.option(
    "-q",
    "--quality",
    type=float,
    callback=in_range(1, 100),
    metavar="1..100",
    help="Higher is better and takes more bytes; fractions are fine.  [default: 50 for pictures]",
)
@click.option(
    "--size",
    metavar="SIZE",
    help="Size of the whole file: 20000, 20kB, 64KiB, 1.5MB. Never exceeded, met within 2 %.",
)
@click.option(
    "--bpp", type=float, metavar="RATE", help="Pictures only: bits per pixel of the file."
)
@click.option("--psnr", type=float, metavar="DB", help="Pictures only: PSNR, met within 0.1 dB.")
@click.option(
    "-b",
    "--bitrate",
    type=float,
    callback=in_range(0.3, 12),
    metavar="KBIT/S",
    help="Voices only: kbit/s of the file, 0.3..12.  [default: 3]",
)
@click.option(
    "--effort",
    type=click.IntRange(min(EFFORTS), max(EFFORTS)),
    default=DEFAULT_EFFORT,
    show_default=True,
    metavar="1..9",
    help="Voices: 1 is fast, 9 sounds best. Pictures: no effect yet.",
)
@click.option(
    "--tune",
    type=click.Choice(list(TUNINGS)),
    default=DEFAULT_TUNE,
    show_default=True,
    help="Pictures only: code for the eye, or for the least squared error.",
)
@device_option
@weights_option
@click.option("--strip", is_flag=True, help="Pictures only: leave out ICC profile, EXIF and XMP.")
@force_option
@writes_many_files
def compress(  # noqa: PLR0913 – one argument an option
    many: ManyFiles,
    output: str | None,
    *,
    effort: int,
    tune: str,
    device: str,
    strip: bool,
    force: bool,
    **targets: Any,
) -> int:
    """Compress pictures and voices: photo.png becomes photo.lvx, and so does voice.wav.

    Reads the pictures that Pillow reads, and WAV, FLAC, MP3, Ogg, Opus and AIFF recordings; with
    luxvox[formats] also HEIC, JPEG XL, m4a and others. A note says what is not kept. IN may be a
    folder, or - for standard input; OUT may be - for standard output; both may be URLs, such as
    s3://bucket/photos/. Inputs are kept.
    a.jpg becomes a.lvx; if there is a.png as well, they become a.jpg.lvx and a.png.lvx.
    At most one of -q, --size, --bpp, --psnr and -b may be given.
    """
    request = CompressRequest(only_target(targets), effort, tune, device, strip, force)
    sources = many.sources(paths.is_compressible)
    endings = [paths.COMPRESSED_ENDING] * len(sources)
    return many.run(sources, output, endings, functools.partial(compress_file, request=request))


def only_target(targets: dict[str, Any]) -> dict[str, Any]:
    """Return the only one of the targets that was given, or none."""
    given = {name: value for name, value in targets.items() if value is not None}
    if len(given) > 1:
        options = [{"quality": "-q", "bitrate": "-b"}.get(name, f"--{name}") for name in given]
        raise UsageError(f"{' and '.join(options)} cannot be combined")
    if isinstance(given.get("size"), str):
        given["size"] = parse_size(given["size"])
    return given


def compress_file(source: str, target: str, request: CompressRequest) -> Sizes:
    """Compress one file, a picture or a recording."""
    files.check_target(target, request.force)
    from luxvox.codec.voice import recordings

    # A recording on disk is read in blocks; everything else is read at once.
    is_whole = remote.is_url(source) or not recordings.is_recording(files.peek(source, 16))
    data = files.read(source) if is_whole else b""
    if is_whole and not data:
        raise InputError("the file is empty")
    if not is_whole or recordings.is_recording(data[:16]):
        if request.target.keys() & {"bpp", "psnr"}:
            raise UsageError("--bpp and --psnr are for pictures; voices take -b, --size or -q")
        return _compress_voice(source, target, recordings.open_recording(data or source), request)
    if "bitrate" in request.target:
        raise UsageError("-b is for voices, and this is a picture; pictures take -q")
    return _compress_picture(source, target, data, request)


def _compress_picture(source: str, target: str, data: bytes, request: CompressRequest) -> Sizes:
    from luxvox.codec import pictures
    from luxvox.codec.picture import reading

    device = choose_device(request.device)
    start_s = time.monotonic()
    raster = reading.from_file(data)
    lvx = watch(
        f"compressing {source}",
        lambda progress: pictures.compress_image(
            raster,
            **request.target,
            device=device,
            strip=request.strip,
            effort=request.effort,
            tune=request.tune,
            progress=progress,
        ),
    )
    files.write(target, lvx, request.force, source)
    height, width = raster.pixels.shape[:2]
    rate = f"{8 * len(lvx) / (width * height):.3f} bpp"
    note_growth(source, (len(data), len(lvx)))
    return summarise(source, target, (len(data), len(lvx)), rate, start_s)


def _compress_voice(
    source: str, target: str, recording: OpenRecording, request: CompressRequest
) -> Sizes:
    from luxvox.codec import voices

    device = choose_device(request.device)
    start_s = time.monotonic()
    lvx = watch(
        f"compressing {source}",
        lambda progress: voices.compress_recording(
            recording,
            **request.target,
            effort=request.effort,
            device=device,
            progress=progress,
        ),
    )
    files.write(target, lvx, request.force, source)
    seconds = recording.n_samples / recording.sample_rate_hz
    rate = f"{8 * len(lvx) / 1000 / seconds:.2f} kbit/s, {seconds:.1f} s of sound"
    note_growth(source, (recording.n_bytes, len(lvx)))
    return summarise(source, target, (recording.n_bytes, len(lvx)), rate, start_s)
