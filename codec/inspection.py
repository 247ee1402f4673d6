"""What files say about themselves, from the header and the lengths of their sections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from luxvox.codec import container
from luxvox.codec.arguments import FileBytes, file_bytes
from luxvox.codec.container import Header, Listing, PictureHeader, VoiceHeader
from luxvox.codec.container.bands import bands_of
from luxvox.codec.container.header_fields import PROFILES, STEREO_MODES
from luxvox.errors import LuxvoxError
from luxvox.timeline import n_segments


@dataclass(frozen=True)
class FileInfo:
    """What a file says about itself, without decoding it.

    Attributes:
        kind: `picture`.
        width, height: in pixels.
        channels: 1 to 4, of the array that decoding gives.
        quality: 1 … 100.
        tune: what it was tuned for, `eye` or `psnr`.
        model: id number of the weights.
        fingerprint: of the model's integer tables, hexadecimal.
        weights: name of the installed weights that decode the file, empty if there are none.
        coder: name of the range coder.
        profile: name of the colour profile, if the header names one.
        bands: how many bands the codes are cut into.
        bytes: length of the file.
        rate_bpp: bits a pixel of the whole file.
        sections: what the file holds after its header.
        damage: one line on what is cut or altered, empty if nothing is.
    """

    kind: str
    width: int
    height: int
    channels: int
    quality: float
    tune: str
    model: int
    fingerprint: str
    weights: str
    coder: str
    profile: str
    bands: int
    bytes: int
    rate_bpp: float
    sections: tuple[Any, ...]
    damage: str


@dataclass(frozen=True)
class VoicePart:
    """The sections of one type, taken together.

    Attributes:
        name: what they hold.
        sections: how many there are; one per segment if they hold codes.
        bytes: of their payloads.
        rate_kbps: kbit/s, averaged over the recording.
    """

    name: str
    sections: int
    bytes: int
    rate_kbps: float


@dataclass(frozen=True)
class VoiceInfo:
    """What a voice's file says about itself, without decoding it.

    Attributes:
        kind: `voice`.
        duration_s: of the recording.
        sample_rate_hz: of the recording; what is above 8 kHz is not kept.
        channels: 1 or 2.
        stereo: what the codes of two channels are: `mid and side`, `mid and side, exchanged` or
            `left and right`; empty for one.
        samples: a channel.
        quality: 1 … 100.
        model: id number of the weights.
        fingerprint: of the model's integer tables, hexadecimal.
        weights: name of the installed weights that decode the file, empty if there are none.
        coder: name of the range coder.
        bytes: length of the file.
        rate_kbps: kbit/s of the whole file.
        segments: how many stretches of 15 s it has.
        parts: what the sections hold, by type.
        damage: one line on what is cut or altered, empty if nothing is.
    """

    kind: str
    duration_s: float
    sample_rate_hz: int
    channels: int
    stereo: str
    samples: int
    quality: float
    model: int
    fingerprint: str
    weights: str
    coder: str
    bytes: int
    rate_kbps: float
    segments: int
    parts: tuple[VoicePart, ...]
    damage: str


def inspect(data: FileBytes) -> FileInfo | VoiceInfo:
    """Describe a file from its header and the lengths of its sections; loads no network.

    Args:
        data: a `.lvx` file: its bytes, path or URL, or opened.

    Raises:
        FormatError: if the header is malformed, altered or cut.
        UnsupportedError: if it needs another luxvox.
    """
    data = file_bytes(data)
    listing = container.open_file(data).listing()
    if isinstance(listing.header, VoiceHeader):
        return _of_voice(listing, listing.header, len(data))
    return _of_picture(listing, listing.header, len(data))


def _find_model_name(header: Header) -> str:
    from luxvox.models.cards import find_card

    kind = "voice" if isinstance(header, VoiceHeader) else "picture"
    try:
        return find_card(kind, header.model_number, header.fingerprint).path.stem
    except LuxvoxError:
        return ""


def _of_picture(listing: Listing, header: PictureHeader, n_bytes: int) -> FileInfo:
    return FileInfo(
        kind="picture",
        width=header.width,
        height=header.height,
        channels=(3 if header.colour else 1) + header.alpha,
        quality=header.quality.value,
        tune="eye" if header.eye else "psnr",
        model=header.model_number,
        fingerprint=header.fingerprint.hex(),
        weights=_find_model_name(listing.header),
        coder=container.CODERS[header.coder],
        profile=PROFILES[header.profile],
        bands=bands_of(header).n_bands,
        bytes=n_bytes,
        rate_bpp=8.0 * n_bytes / (header.width * header.height),
        sections=tuple(listing.entries),
        damage=listing.damage or "",
    )


def _of_voice(listing: Listing, header: VoiceHeader, n_bytes: int) -> VoiceInfo:
    duration_s = header.n_samples / header.sample_rate_hz
    parts = []
    for number in sorted({entry.type for entry in listing.entries}):
        lengths = [entry.length for entry in listing.entries if entry.type == number]
        rate_kbps = sum(lengths) * 8.0 / 1000.0 / duration_s
        name = container.section_name(number)
        parts.append(VoicePart(name, len(lengths), sum(lengths), rate_kbps))
    return VoiceInfo(
        kind="voice",
        duration_s=duration_s,
        sample_rate_hz=header.sample_rate_hz,
        channels=header.channels,
        stereo=STEREO_MODES[header.stereo_mode] if header.stereo else "",
        samples=header.n_samples,
        quality=header.quality.value,
        model=header.model_number,
        fingerprint=header.fingerprint.hex(),
        weights=_find_model_name(listing.header),
        coder=container.CODERS[header.coder],
        bytes=n_bytes,
        rate_kbps=n_bytes * 8.0 / 1000.0 / duration_s,
        segments=n_segments(header.n_samples, header.sample_rate_hz),
        parts=tuple(parts),
        damage=listing.damage or "",
    )
