"""What is fuzzed: each target takes hostile bytes and may raise nothing but a `LuxvoxError`.

A target also checks what must hold of the result, with `assert`. Limits are small, so that memory
and time beyond them show.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import safetensors.torch

import luxvox
from luxvox.codec import container
from luxvox.codec.inspection import inspect
from luxvox.codec.picture import rasters, reading
from luxvox.entropy import coders
from luxvox.entropy.picture import symbols as lattice_symbols
from luxvox.entropy.picture import visitors as picture_visitors
from luxvox.entropy.picture import walk as lattice_walk
from luxvox.entropy.picture.layers import CODE_MAX, MEAN_UNITS, N_SCALES
from luxvox.entropy.picture.prediction import Prediction
from luxvox.entropy.picture.tables import check_counts, coding_of, start_tables
from luxvox.entropy.pmf import TOTAL, counts_from_logits
from luxvox.entropy.voice import visitors as voice_visitors
from luxvox.entropy.voice import walk
from luxvox.errors import ModelError, UsageError
from luxvox.fuzz.mutations import change_bytes, change_fields, damage
from luxvox.fuzz.requests import compress_picture, compress_voice, picture_request, voice_request
from luxvox.models.picture.weights import PictureCodec, load_picture_codec
from luxvox.models.voice.weights import VoiceCodec, load_voice_codec
from luxvox.models.weights import fingerprint

MAX_PIXELS = 1 << 14
MAX_SECONDS = 16.0
START_TABLES = start_tables()
GOLDEN = Path(__file__).resolve().parent.parent / "tests"
TINY = GOLDEN / "golden" / "weights"

Corpus = tuple[bytes, ...]


@dataclass(frozen=True)
class Target:
    """How inputs are made from a corpus, and what is done with one."""

    make: Callable[[Corpus, Random], bytes]
    run: Callable[[bytes], None]


def corpus(prefix: str, folders: tuple[str, ...] = ("golden", "golden_errors")) -> Corpus:
    """Return the golden files whose names begin so."""
    paths = [path for name in folders for path in sorted((GOLDEN / name).glob(f"{prefix}*.lvx"))]
    return tuple(path.read_bytes() for path in paths if "torchac" not in path.name)


def blindly(files: Corpus, random: Random) -> bytes:
    """Change a file byte by byte."""
    return change_bytes(random.choice(files), files, random)


def by_structure(files: Corpus, random: Random) -> bytes:
    """Change a file field by field."""
    return change_fields(random.choice(files), files, random)


def either(files: Corpus, random: Random) -> bytes:
    """Change a file in one of the two ways, mostly by structure."""
    return (blindly if random.random() < 0.25 else by_structure)(files, random)


def damage_one(files: Corpus, random: Random) -> bytes:
    """Damage a file after its header; now and then one that was altered by structure before."""
    file = by_structure(files, random) if random.random() < 0.25 else random.choice(files)
    return damage(file, files, random)


def junk(_: Corpus, random: Random) -> bytes:
    """Make bytes from nothing."""
    return random.randbytes(random.choice((0, 1, 2, 3, 4, 5, 8, 12, 40, 300)))


def read_container(data: bytes) -> None:
    """Read, list and inspect; what is read whole is written the same again, byte for byte."""
    try:
        inspect(data)
    finally:
        content = container.read(data)
    assert content.truncated == (container.list_sections(data).damage is not None)
    if content.truncated:
        return
    assert container.write(content.header, content.sections, content.parts) == data


def salvage_container(data: bytes) -> None:
    """Salvage what is sound: that is as it was written, and what is not is empty."""
    content, lost = container.salvage(data)
    assert content.parts or not lost or len(lost.sections) < len(content.sections)
    assert not lost.parts & set(content.parts)
    entries = container.list_sections(data).entries
    if isinstance(content.header, container.PictureHeader):
        entries = tuple(entry for entry in entries if entry.type > container.LAST_CODES)
    for n, (section, entry) in enumerate(zip(content.sections, entries, strict=False)):
        assert entry.crc_ok == (n not in lost.sections)
        end = entry.offset + entry.size
        is_lost = n in lost.sections
        assert section.payload == (b"" if is_lost else data[end - entry.length : end])


def decode_picture(data: bytes, conceal: bool = False) -> None:
    """Decode to an array of the size the header says."""
    pixels = luxvox.decompress_image(data, max_pixels=MAX_PIXELS, conceal=conceal)
    header = container.read_header(data)[0]
    assert isinstance(header, container.PictureHeader)
    assert pixels.shape[:2] == (header.height, header.width)
    assert pixels.dtype == np.uint8


def conceal_picture(data: bytes) -> None:
    """Decode a damaged picture."""
    decode_picture(data, conceal=True)


def conceal_voice(data: bytes) -> None:
    """Decode a damaged voice."""
    decode_voice(data, conceal=True)


def decode_voice(data: bytes, conceal: bool = False) -> None:
    """Decode to finite samples, no more than the header says."""
    samples, rate_hz = luxvox.decompress_speech(data, max_seconds=MAX_SECONDS, conceal=conceal)
    header = container.read_header(data)[0]
    assert isinstance(header, container.VoiceHeader)
    assert rate_hz == header.sample_rate_hz
    assert len(samples) <= header.n_samples
    assert np.isfinite(samples).all()


def write_picture(data: bytes) -> None:
    """Write a decoded picture with its hostile metadata to the usual formats, and read those."""
    image = luxvox.decompress_image(data, as_pil=True, max_pixels=MAX_PIXELS)
    raster = rasters.from_pil(image)
    for name in ("png", "jpg", "webp", "tiff"):
        again = reading.from_file(rasters.to_bytes(raster, name))
        assert again.pixels.shape[:2] == raster.pixels.shape[:2]


def pull_symbols(data: bytes) -> None:
    """Decode junk with the range coder, under counts that the junk itself seeds."""
    generator = np.random.default_rng(list(data[:8]))
    decoder = coders.decoder(coders.CONSTRICTION, data[8:] or b"\1")
    for size in generator.choice([2, 2, 2, 3, 15, 255, 1023], 6):
        logits = generator.integers(-600, 600, (int(generator.integers(0, 40)), int(size)))
        counts = counts_from_logits(logits.astype(np.int32))
        symbols = decoder.pull(counts)
        assert symbols.shape == (len(counts),)
        assert ((symbols >= 0) & (symbols < size)).all()
    decoder.finish()


def pull_picture_codes(data: bytes) -> None:
    """Decode junk as codes of pictures, under means and scales that the junk itself seeds.

    What is decoded is legal, and is what the bytes would be written for.
    """
    generator = np.random.default_rng(list(data[:8]))
    n, far = int(generator.integers(1, 30)), int(generator.choice([9, 999, CODE_MAX])) * MEAN_UNITS
    mean = generator.integers(-far, far, (n, 2), endpoint=True).astype(np.int32)
    scale = generator.integers(0, N_SCALES, (n, 2)).astype(np.int32)
    coding = coding_of(mean, scale)
    rows = np.arange(n)
    prediction = Prediction("top", 1, 0, 2, rows, coding, mean, START_TABLES)
    decoder = coders.decoder(coders.CONSTRICTION, data[8:] or b"\1")
    codes = lattice_symbols.pull_codes(decoder, prediction)
    assert codes.shape == mean.shape
    assert np.abs(codes).max() <= CODE_MAX
    assert (codes == coding.base)[coding.silent].all()
    assert np.isfinite(lattice_symbols.code_bits(prediction, codes)).all()

    encoder = coders.encoder(coders.CONSTRICTION)
    lattice_symbols.push_codes(encoder, prediction, codes)
    again = coders.decoder(coders.CONSTRICTION, encoder.finish() or b"\1")
    assert (lattice_symbols.pull_codes(again, prediction) == codes).all()


def check_hostile_counts(data: bytes) -> None:
    """Alter counts of the tables by junk; those that are accepted can code every symbol."""
    counts = START_TABLES.copy()
    for offset, value in zip(data[::2], data[1::2], strict=False):
        counts[offset % len(counts), value % 64] += value - 128
    with contextlib.suppress(ModelError):
        check_counts(counts)
        assert counts.min() >= 1
        assert (counts.sum(axis=1) == TOTAL).all()


def make_counts(data: bytes) -> None:
    """Turn bytes into logits, and logits into counts: a sum of 2^16, none below 1."""
    values = np.frombuffer(data[1:].ljust(8, b"\0")[: 4 * ((len(data) + 3) // 4)], "u1")
    reach = (1, 16, 300, 40_000)[data[0] % 4 if data else 0]
    logits = (values.astype(np.int32) - 128) * reach
    n = 1 + len(logits) // 1023
    table = np.resize(logits, (n, max(2, min(len(logits), 1023)))).astype(np.int32)
    counts = counts_from_logits(table)
    assert counts.min() >= 1
    assert (counts.sum(axis=1) == TOTAL).all()
    assert (counts[np.arange(n), table.argmax(axis=1)] == counts.max(axis=1)).all()


def shorten(data: bytes) -> None:
    """Shorten a file in both ways; the result must be whole and legal."""
    size = max(40, len(data) // 2)
    for options in ({"sections": 1}, {"size": size}):
        try:
            kept = luxvox.truncate(data, **options)
        except UsageError:  # there is no less
            continue
        assert not container.read(kept).truncated
        assert len(kept) <= (size if "size" in options else len(data) + 16)  # empty sections


def alter_weights(files: Corpus, random: Random) -> bytes:
    """Change numbers of a weights file, and its front, which names types, shapes and places."""
    weights = random.choice(files)
    size = 8 + int.from_bytes(weights[:8], "little")
    front, numbers = weights[8:size], bytearray(weights[size:])
    for _ in range(random.choice((0, 1, 100))):
        numbers[random.randrange(len(numbers))] = random.randrange(256)
    if random.random() < 0.2:
        front = change_bytes(front, [front], random)
    for old, new in random.sample(_WORDS, random.choice((0, 1, 2))):
        front = front.replace(old, new, random.choice((1, 1, -1)))
    length = len(front).to_bytes(8, "little") if random.random() < 0.9 else random.randbytes(8)
    return length + front + numbers


_WORDS = (
    *((b'"I8"', b'"U8"'), (b'"I8"', b'"BOOL"'), (b'"F16"', b'"BF16"'), (b'"I16"', b'"BF16"')),
    *((b'"I16"', b'"F16"'), (b'"I32"', b'"F32"'), (b"context.", b"context_"), (b"[3,", b"[1,3,")),
)


def load_weights(data: bytes) -> None:
    """Load a weights file under a card that vouches for it; use the model if it is taken."""
    kind = "voice" if b"context.frames" in data else "picture"
    card = json.loads((TINY / f"{kind}-0.json").read_text(encoding="utf-8"))
    card["sha256"] = hashlib.sha256(data).hexdigest()
    with contextlib.suppress(Exception):
        card["fingerprint"] = fingerprint(safetensors.torch.load(data)).hex()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "it.json"
        path.write_text(json.dumps(card), encoding="utf-8")
        path.with_suffix(".safetensors").write_bytes(data)
        codec = load_voice_codec(path) if kind == "voice" else load_picture_codec(path)
    decode_with(codec, {1: data[-40:-1] + b"\1"})


def decode_with(codec: PictureCodec | VoiceCodec, sections: Mapping[int, bytes]) -> None:
    """Read a few codes with a model."""
    if isinstance(codec, VoiceCodec):
        voice = voice_visitors.CodesDecoder(sections, coders.CONSTRICTION)
        walk.walk(codec.context, {"frames": (1, 9)}, 3, voice)
        return
    grids = {"apex": (1, 2), "top": (2, 4), "base": (4, 8), "detail": (8, 16)}
    picture = picture_visitors.CodesDecoder(sections, coders.CONSTRICTION)
    lattice_walk.walk(codec.context, grids, 3, picture)


ALL = corpus("")
WEIGHTS = tuple((TINY / f"{kind}-0.safetensors").read_bytes() for kind in ("picture", "voice"))
PICTURES = corpus("tiny") + corpus("codes", ("golden_errors",))
VOICES = corpus("voice")
SHIPPED = corpus("rgb", ("golden",)) + corpus("grey", ("golden",))
LEGAL, LEGAL_VOICES = corpus("", ("golden",)), corpus("voice", ("golden",))
METADATA = corpus("metadata", ("golden",)) + corpus("alpha", ("golden",))

TARGETS: Mapping[str, tuple[Corpus, Target]] = {
    "container-blind": (ALL, Target(blindly, read_container)),
    "container": (ALL, Target(by_structure, read_container)),
    "container-junk": (ALL, Target(junk, read_container)),
    "pmf": (ALL, Target(junk, make_counts)),
    "tables": (ALL, Target(junk, check_hostile_counts)),
    "coder": (ALL, Target(junk, pull_symbols)),
    "picture-codes": (ALL, Target(junk, pull_picture_codes)),
    "picture": (PICTURES, Target(either, decode_picture)),
    "voice": (VOICES, Target(either, decode_voice)),
    "shipped-picture": (SHIPPED, Target(either, decode_picture)),
    "truncate": (ALL, Target(either, shorten)),
    "weights": (WEIGHTS, Target(alter_weights, load_weights)),
    "metadata": (METADATA, Target(either, write_picture)),
    "salvage": (LEGAL, Target(damage_one, salvage_container)),
    "conceal-picture": (PICTURES, Target(damage_one, conceal_picture)),
    "conceal-voice": (LEGAL_VOICES, Target(damage_one, conceal_voice)),
    "wish-picture": ((picture_request((), Random(0)),), Target(picture_request, compress_picture)),
    "wish-voice": ((voice_request((), Random(0)),), Target(voice_request, compress_voice)),
}
