"""The legal files that are kept: one for each feature of the format, as small as can be.

Each function returns the bytes of a file. `record.py` calls those that the manifest does not list
yet; once recorded, a file is never made again, so that what follows may change or go.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

import luxvox
from luxvox.codec import container
from luxvox.codec.container import ALPHA, PictureHeader, Section, VoiceHeader
from luxvox.codec.rate import centi_to_position
from luxvox.codec.timeline import PARTS, SEGMENT_FRAMES, n_frames, n_segments
from luxvox.entropy.coders import CONSTRICTION, TORCHAC
from luxvox.entropy.walk import Codes, CodesEncoder, known, walk
from luxvox.models.cards import preferring
from luxvox.models.catalogue import picture_codec
from luxvox.models.speech_weights import voice_codec
from luxvox.models.strips import grid_shapes

TINY = Path(__file__).resolve().parent / "weights"


def waves(height: int, width: int, seed: int = 0) -> Any:
    """Uint8 [H, W, 3]: waves, a slope, blocks and noise."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / 9) + 30 * np.cos(y / 3), 60 + 2 * y + x, 200 - 2 * x + y]
    picture = np.stack(planes, -1) + 30 * ((x // 8 + y // 8) % 2)[..., None]
    noise = np.random.default_rng(seed).normal(0, 8, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def picture(
    size: tuple[int, int], quality: float, channels: int = 3, **options: Any
) -> Callable[[], bytes]:
    """Code waves with the shipped weights; 1 or 2 channels are grey, 2 or 4 have alpha."""

    def make() -> bytes:
        pixels = waves(*size)
        pixels = pixels[..., :1] if channels < 3 else pixels
        if channels in (2, 4):
            y, x = np.mgrid[: size[0], : size[1]]
            pixels = np.dstack([pixels, np.clip(4 * x + 2 * y, 0, 255).astype(np.uint8)])
        return luxvox.compress_image(pixels, quality, **options)

    return make


def with_sections(make: Callable[[], bytes], **changes: Any) -> Callable[[], bytes]:
    """Put sections of other types behind those of the codes: type_64=payload and so on."""

    def made() -> bytes:
        content = container.read(make())
        assert isinstance(content.header, PictureHeader | VoiceHeader)
        fields = dict(vars(content.header))
        others = {int(name.removeprefix("type_")): part for name, part in changes.items()}
        if ALPHA in others:
            fields["alpha"] = True
        kept = [s for s in content.sections if s.type < ALPHA]
        kept += [Section(number, part) for number, part in sorted(others.items())]
        return container.write(type(content.header)(**fields), kept)

    return made


def cut(make: Callable[[], bytes], number: int, extra: int) -> Callable[[], bytes]:
    """Cut a file so many bytes behind the start of its section of that place, from 0."""

    def made() -> bytes:
        data = make()
        return data[: container.list_sections(data).entries[number].offset + extra]

    return made


def coded_picture(
    size: tuple[int, int],
    centi: int,
    null_sections: tuple[int, ...] = (),
    coder: int = CONSTRICTION,
) -> Callable[[], bytes]:
    """Write random codes with the tiny weights."""

    def make() -> bytes:
        with preferring(TINY):
            codec = picture_codec()
            generator = np.random.default_rng([*size, centi])
            codes = {}
            shapes = grid_shapes(*size)
            for plan in codec.context.plan:
                whole = (plan.n_stages, plan.n_groups, *shapes[plan.name])
                words = generator.integers(1, plan.codebook_size, whole)
                words *= generator.random(whole) < 0.3
                null = np.isin(plan.sections, null_sections)
                words[null] = 0
                codes[plan.name] = (words * np.cumprod(words != 0, axis=0)).astype(np.uint8)
            encoder = CodesEncoder(known(codes), coder)
            walk(codec.context, shapes, centi_to_position(centi), encoder)
            header = PictureHeader(
                0, codec.fingerprint, size[1], size[0], True, False, centi, coder
            )
            coded = encoder.sections()
            return container.write(header, [Section(n, coded.get(n, b"")) for n in range(1, 5)])

    return make


def coded_voice(n_samples: int, rate_hz: int, **fields: Any) -> Callable[[], bytes]:
    """Write random codes of a voice with the tiny weights; fields are those of the header."""

    def make() -> bytes:
        with preferring(TINY):
            codec = voice_codec()
            values = {"stereo": False, "gain": 128, "quality_centi": 5000, "coder": CONSTRICTION}
            header = VoiceHeader(0, codec.fingerprint, n_samples, rate_hz, **{**values, **fields})
            generator = np.random.default_rng([n_samples, rate_hz])
            total = n_frames(n_samples, rate_hz)
            sections = []
            for segment in range(n_segments(n_samples, rate_hz)):
                width = min(SEGMENT_FRAMES, total - segment * SEGMENT_FRAMES)
                for channel in range(header.channels):
                    parts = _voice_segment(codec, header, generator, width)
                    sections += [Section(PARTS * channel + n, parts.get(n, b"")) for n in (1, 2)]
            return container.write(header, sections)

    return make


def _voice_segment(
    codec: Any, header: VoiceHeader, generator: np.random.Generator, width: int
) -> Mapping[int, bytes]:
    plan = codec.context.plan[0]
    words = generator.integers(1, plan.codebook_size, (plan.n_stages, width))
    words *= generator.random((plan.n_stages, width)) < min(0.6, 12 / width)
    codes: Codes = (words * np.cumprod(words != 0, axis=0)).astype(np.uint16)
    encoder = CodesEncoder(known({plan.name: codes[:, None, None]}), header.coder)
    position = centi_to_position(header.quality_centi)
    walk(codec.context, {plan.name: (1, width)}, position, encoder)
    return encoder.sections()


def png(values: Any, mode: str = "L") -> bytes:
    """Return values [H, W] as a PNG."""
    stream = io.BytesIO()
    Image.fromarray(values).convert(mode).save(stream, "PNG")
    return stream.getvalue()


def webp(values: Any) -> bytes:
    """Return values [H, W] as a lossless WebP, alike in all colours."""
    stream = io.BytesIO()
    Image.fromarray(np.repeat(values[..., None], 3, 2)).save(stream, "WEBP", lossless=True)
    return stream.getvalue()


def alpha_ramp() -> Any:
    """Uint8 [24, 24]."""
    y, x = np.mgrid[:24, :24]
    return (5 * x + 5 * y).astype(np.uint8)


def exif() -> bytes:
    """Return an EXIF block that names a maker."""
    block = Image.Exif()
    block[271] = "luxvox"
    return block.tobytes().removeprefix(b"Exif\0\0")


def icc() -> bytes:
    """Return a small ICC profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()


def flat() -> bytes:
    """Code one colour."""
    return luxvox.compress_image(np.full((45, 45, 3), (200, 60, 120), np.uint8), 20)


def silence() -> bytes:
    """Code silence with the tiny weights."""
    with preferring(TINY):
        return luxvox.compress_speech(np.zeros(8000, np.float32), 16_000, quality=50)


SMALL = picture((24, 24), 30)
XMP_PACKET = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
DISC = np.where(np.hypot(*(np.mgrid[:24, :24] - 12)) < 9, 255, 0).astype(np.uint8)

FILES: Mapping[str, tuple[str, Callable[[], bytes]]] = {
    "rgb-1x1": ("one pixel, colour", picture((1, 1), 50)),
    "grey-1x1": ("one pixel, grey", picture((1, 1), 50, 1)),
    "rgb-33x47": ("odd sides", picture((33, 47), 50)),
    "rgb-65x3": ("narrow, more than two cells high", picture((65, 3), 60)),
    "rgb-3x65": ("low, more than two cells wide", picture((3, 65), 60)),
    "rgb-quality-1": ("lowest quality", picture((40, 56), 1)),
    "rgb-quality-100": ("highest quality, all sections", picture((24, 32), 100)),
    "rgb-quality-fraction": ("a quality of hundredths, 37.21", picture((32, 32), 37.21)),
    "grey-40x33": ("grey", picture((40, 33), 70, 1)),
    "grey-alpha": ("grey with alpha", picture((20, 20), 40, 2)),
    "rgb-alpha": ("colour with alpha, as luxvox writes it", picture((20, 20), 40, 4)),
    "alpha-constant": ("alpha in one byte", with_sections(SMALL, type_64=b"\x80")),
    "alpha-png": ("alpha as 8-bit PNG", with_sections(SMALL, type_64=png(alpha_ramp()))),
    "alpha-png-1-bit": ("alpha as 1-bit PNG", with_sections(SMALL, type_64=png(DISC, "1"))),
    "alpha-webp": ("alpha as lossless WebP", with_sections(SMALL, type_64=webp(alpha_ramp()))),
    "metadata-icc": ("ICC profile", with_sections(SMALL, type_128=icc())),
    "metadata-exif": ("EXIF", with_sections(SMALL, type_129=exif())),
    "metadata-xmp": ("XMP", with_sections(SMALL, type_130=XMP_PACKET)),
    "metadata-all": (
        "alpha, ICC profile, EXIF, XMP",
        with_sections(SMALL, type_64=b"\0", type_128=b"icc", type_129=exif(), type_130=XMP_PACKET),
    ),
    "skippable": ("unknown section that may be skipped", with_sections(SMALL, type_200=b"later")),
    "rgb-flat": ("all codes null but of the means", flat),
    "rgb-cut-after-1": ("cut at the end of section 1", cut(picture((40, 56), 60), 1, 0)),
    "rgb-cut-in-4": ("cut inside section 4", cut(picture((40, 56), 95), 3, 20)),
    "rgb-cut-alpha": ("cut inside alpha", cut(picture((20, 20), 40, 4), -1, 9)),
    "tiny-codes": ("many codes in all sections", coded_picture((40, 70), 7000)),
    "tiny-codes-finest": ("log-step −127", coded_picture((33, 32), 10000)),
    "tiny-codes-coarsest": ("log-step 127", coded_picture((32, 33), 100)),
    "tiny-null-section-1": ("section 1 empty", coded_picture((32, 64), 5000, (1,))),
    "tiny-null-section-2": ("section 2 empty", coded_picture((32, 64), 5000, (2,))),
    "tiny-null-sections-1-2-3": ("only section 4 left", coded_picture((32, 32), 5000, (1, 2, 3))),
    "tiny-null-sections-3-4": ("sections 3 and 4 left out", coded_picture((32, 32), 5000, (3, 4))),
    "tiny-null": ("no section at all", coded_picture((50, 50), 5000, (1, 2, 3, 4))),
    "tiny-torchac": ("coder 2", coded_picture((32, 33), 6000, (), TORCHAC)),
    "tiny-torchac-null-section-2": ("coder 2, empty", coded_picture((32, 32), 6000, (2,), TORCHAC)),
    "voice-mono-16k": ("a voice", coded_voice(16_000, 16_000)),
    "voice-1-sample": ("one sample", coded_voice(1, 16_000)),
    "voice-8k": ("listed rate, lowest", coded_voice(4000, 8000)),
    "voice-44k": ("listed rate, 44,100 Hz", coded_voice(22_051, 44_100)),
    "voice-96k": ("listed rate, highest", coded_voice(30_000, 96_000)),
    "voice-12345-hz": ("rate spelt out", coded_voice(9000, 12_345)),
    "voice-stereo": ("two channels", coded_voice(20_000, 16_000, stereo=True)),
    "voice-two-segments": ("one frame into a second segment", coded_voice(239_681, 16_000)),
    "voice-stereo-two-segments": (
        "two channels, two segments",
        coded_voice(250_000, 16_000, stereo=True),
    ),
    "voice-cut-segment": ("cut in its second segment", cut(coded_voice(480_000, 16_000), 2, 3)),
    "voice-cut-second-section": (
        "cut behind the first section of its second segment",
        cut(coded_voice(480_000, 16_000), 3, 0),
    ),
    "voice-gain-quality": (
        "loud, lowest quality",
        coded_voice(5000, 16_000, gain=90, quality_centi=100),
    ),
    "voice-tags": ("skippable section", with_sections(coded_voice(5000, 16_000), type_131=b"{}")),
    "voice-torchac": ("coder 2", coded_voice(9000, 16_000, coder=TORCHAC)),
    "voice-silence": ("both sections empty", silence),
}


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Ignore that files are cut."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", luxvox.TruncatedWarning)
        yield
