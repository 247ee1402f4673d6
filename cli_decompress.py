"""`luxvox decompress`: files to pictures and recordings."""

from __future__ import annotations

import importlib
import time
from typing import Any

import click

from luxvox.cli_options import (
    SCALES_BY_NAME,
    force_option,
    in_range,
    inputs_argument,
    output_option,
    parse_crop,
)
from luxvox.codec import files, names
from luxvox.codec.limits import DEFAULT_MAX_PIXELS, DEFAULT_MAX_SECONDS
from luxvox.console import Sizes, each, summarise, watched
from luxvox.errors import UsageError
from luxvox.own_weights import weights_option


@click.command()
@inputs_argument
@output_option
@click.option(
    "--format",
    "ending",
    metavar="EXT",
    help="png, jpg, webp, tiff, avif ..., wav, flac, ogg, mp3 ...; otherwise the ending of OUT, "
    "or png and wav.",
)
@click.option(
    "--sections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Decode the first N sections only: of a picture's codes, 1 (a preview) to 6; of a "
    "voice's in every segment, 1 or 2.",
)
@click.option(
    "--scale",
    type=click.Choice(list(SCALES_BY_NAME)),
    callback=lambda _, __, name: SCALES_BY_NAME[name],
    default="1",
    help="Pictures only: a smaller picture in a fraction of the time.",
)
@click.option(
    "--crop",
    callback=parse_crop,
    metavar="X,Y,W,H",
    help="Pictures only: decode a part; left, top, width and height in pixels.",
)
@click.option("--strict", is_flag=True, help="Refuse files that are cut, rather than warn.")
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
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    ending: str | None,
    max_seconds: float,
    force: bool,
    **options: Any,
) -> int:
    """Decompress pictures and voices: photo.lvx becomes photo.png, voice.lvx voice.wav.

    IN may be - for standard input, and OUT - for standard output; the inputs are kept.
    """
    ending = ending and ending.lstrip(".").lower()
    held = {} if ending or output else files.read_pipes(inputs)
    endings = [f".{ending or _plain_ending(source, held)}" for source in inputs]
    targets = names.name_outputs(inputs, output, endings)
    formats, sounds = _load("formats"), _load("sounds")

    def decompress_one(source: str, target: str) -> Sizes:
        named = ending or _ending_of(target)
        if named is not None and named not in sounds.FORMATS:
            formats.find_format(named)
        files.check_target(target, force)
        data = held.pop(source, b"") or files.read(source)
        start_s = time.monotonic()
        if _load("lvx").is_voice(data):
            voice_options = {**_for_voices(options), "max_seconds": max_seconds}
            return _decompress_voice(data, (source, target), named or "wav", force, voice_options)
        wanted = named or "png"
        formats.find_format(wanted)
        rasters, pictures = _load("rasters"), _load("pictures")
        label = f"decompressing {source}"
        raster = watched(label, pictures.decompress_raster, data, **options)
        written = rasters.to_bytes(raster, wanted)
        files.write(target, written, force, source)
        height, width = raster.pixels.shape[:2]
        rate = f"{8 * len(data) / (width * height):.3f} bpp"
        return summarise(source, target, (len(data), len(written)), rate, start_s)

    return each(inputs, targets, decompress_one)


def _for_voices(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that voices have; refuse those that only make sense for pictures."""
    if options["scale"] != 1.0 or options["crop"] is not None:
        raise UsageError("--scale and --crop are for pictures, and this is a voice")
    return {name: options[name] for name in ("sections", "strict", "conceal")}


def _ending_of(target: str) -> str | None:
    """Return the ending that an output's name gives; pipes and devices need none."""
    if target == files.PIPE or (files.is_special(target) and "." not in target):
        return None
    ending: str = _load("formats").ending_of(target)
    return ending


def _plain_ending(source: str, held: dict[str, bytes]) -> str:
    lvx = _load("lvx")
    head = held.get(source) or files.peek(source, lvx.HEAD_BYTES)
    return "wav" if lvx.is_voice(head) else "png"


def _decompress_voice(
    data: bytes, ends: tuple[str, str], ending: str, force: bool, options: dict[str, Any]
) -> Sizes:
    source, target = ends
    sounds, decoding = _load("sounds"), _load("voice_decoding")
    sounds.find_format(ending)
    start_s = time.monotonic()

    def decode(progress: Any) -> tuple[int, float]:
        rate_hz, channels, n_samples, blocks = decoding.decompress_blocks(
            data, **options, progress=progress
        )
        with files.opened(target, force, source) as stream:
            shape = (n_samples, channels)
            written: int = sounds.write_blocks(stream, ending, shape, rate_hz, blocks)
        return written, n_samples / rate_hz

    n_bytes, seconds = watched(f"decompressing {source}", decode)
    rate = f"{8 * len(data) / 1000 / max(seconds, 1e-9):.2f} kbit/s, {seconds:.1f} s of sound"
    return summarise(source, target, (len(data), n_bytes), rate, start_s)


def _load(module: str) -> Any:
    return importlib.import_module(f"luxvox.codec.{module}")
