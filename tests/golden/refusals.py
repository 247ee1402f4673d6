"""The files that are refused for ever: one for each way of being illegal, as small as can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from luxvox.codec.container.packed import pack
from luxvox.codec.container.wire import varint_bytes
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.tests.golden.changes import Make, cut, with_sections
from luxvox.tests.golden.files import alpha_ramp, coded_picture, png, random_source, webp
from luxvox.tests.golden.makers import (
    alter,
    escaping,
    first_code_is,
    longer,
    part,
    picture_header,
    raw,
    recode,
    save,
    swap_bands,
    table,
    voice_header,
    with_types,
    with_voice_sections,
)
from luxvox.tests.golden.voice_files import coded_voice

SMALL = coded_picture((32, 32), 5000, lambda generator: random_source(generator, share=0.02))
VOICE = coded_voice(4000, 16_000)
STEREO = coded_voice(4000, 16_000, stereo=True)


ALPHA_RAMP = np.pad(alpha_ramp(), ((0, 8), (0, 8)), mode="edge")
ALPHA_RGB = np.repeat(ALPHA_RAMP[..., None], 3, 2)
ALPHA_RGBA = np.repeat(ALPHA_RAMP[..., None], 4, 2)

REFUSALS: Mapping[str, tuple[str, Make, dict[str, Any]]] = {
    "empty": ("no byte", raw(b""), {}),
    "not-luxvox": ("another format", raw(b"\x89PNG\r\n\x1a\n" + bytes(30)), {}),
    "cut-magic": ("cut in the magic", raw(b"\x89LV"), {}),
    "version-2": ("another format version", raw(b"\x89LVX\2\1" + bytes(30)), {}),
    "kind-0": ("kind 0", raw(b"\x89LVX\1\0" + bytes(30)), {}),
    "kind-3": ("kind 3", raw(b"\x89LVX\1\3" + bytes(30)), {}),
    "cut-header": ("cut in the header", lambda: SMALL()[:15], {}),
    "cut-header-checksum": ("cut in its checksum", lambda: picture_header()()[:-1], {}),
    "altered-header": ("a bit of the header flipped", alter(SMALL, 12), {}),
    "width-0": ("width 0", picture_header(width=b"\0"), {}),
    "height-0": ("height 0", picture_header(height=b"\0"), {}),
    "width-too-large": ("width 2^30 + 1", picture_header(width=varint_bytes(2**30 + 1)), {}),
    "too-many-pixels": (
        "2^16 × (2^14 + 1) pixels",
        picture_header(width=varint_bytes(2**16), height=varint_bytes(2**14 + 1)),
        {},
    ),
    "largest-picture": (
        "2^30 pixels, legal, over the default limit",
        picture_header(width=varint_bytes(2**15), height=varint_bytes(2**15)),
        {},
    ),
    "over-max-pixels": ("over a limit of one's own", picture_header(), {"max_pixels": 1023}),
    "varint-long": ("a varint in a longer form", picture_header(width=b"\xa0\0"), {}),
    "varint-2-32": ("a varint of 2^32", picture_header(width=b"\x80\x80\x80\x80\x10"), {}),
    "varint-6-bytes": ("a varint of 6 bytes", picture_header(width=b"\xff" * 5 + b"\1"), {}),
    "flags-reserved": ("a reserved flag", picture_header(flags=b"\x81"), {}),
    "flags-count-0": ("a number of sections that is 0", picture_header(flags=b"\x21\0"), {}),
    "profile-3": ("a profile of a newer format", picture_header(flags=b"\x19"), {}),
    "quality-99": ("quality 0.99", picture_header(quality=99), {}),
    "quality-10001": ("quality 100.01", picture_header(quality=10001), {}),
    "bands-too-high": ("a band higher than the picture", picture_header(bands=b"\2"), {}),
    "bands-too-many": (
        "1025 bands",
        picture_header(height=varint_bytes(1025 * 64), bands=b"\1"),
        {},
    ),
    "unknown-model": ("weights that nobody has", picture_header(model=65535), {}),
    "unknown-fingerprint": ("other integer tables", picture_header(fingerprint=b"\1\2\3\4"), {}),
    "cut-table": ("cut in the table of parts", lambda: SMALL()[:24], {}),
    "cut-first-part": ("cut in the first part", cut(SMALL, 0, 7), {}),
    "cut-before-sections": (
        "sections announced and none there",
        picture_header(flags=b"\x21\3"),
        {},
    ),
    "length-2-32": (
        "a first part of 2^32 - 1 bytes",
        picture_header(rest=table(2**32 - 1) + b"\0\0x"),
        {},
    ),
    "altered-table": ("a bit of the table flipped", alter(SMALL, 23), {}),
    "altered-part": ("a bit of a part flipped", alter(SMALL, 40), {}),
    "parts-swapped": (
        "parts of two bands that have changed places",
        swap_bands(coded_picture((70, 32), 5000, lambda _: first_code_is(9), band_rows=1)),
        {},
    ),
    "altered-skippable": (
        "an altered section that may be skipped",
        alter(with_sections(SMALL, type_200=b"later"), -1),
        {},
    ),
    "trailing-bytes": ("a byte after the end", lambda: SMALL() + b"\0", {}),
    "type-0": ("section of type 0", with_types(SMALL, (0, b"x")), {}),
    "type-1": ("a section of codes in a picture", with_types(SMALL, (1, b"x")), {}),
    "type-65": ("a section of a newer format", with_types(SMALL, (65, b"x")), {}),
    "type-twice": ("ICC profile twice", with_types(SMALL, (128, b"x"), (128, b"x")), {}),
    "types-descending": ("XMP before EXIF", with_types(SMALL, (130, b"x"), (129, b"x")), {}),
    "alpha-last": (
        "alpha after a profile",
        with_types(SMALL, (128, b"x"), (64, b"x"), alpha=True),
        {},
    ),
    "alpha-unannounced": ("alpha without its flag", with_types(SMALL, (64, b"\xff")), {}),
    "alpha-missing": ("the flag without alpha", with_types(SMALL, (128, b"x"), alpha=True), {}),
    "alpha-empty": ("alpha of no byte", with_types(SMALL, (64, b""), alpha=True), {}),
    "alpha-junk": ("alpha of no format", with_types(SMALL, (64, b"GIF89a"), alpha=True), {}),
    "alpha-png-size": (
        "alpha of another size",
        with_types(SMALL, (64, png(alpha_ramp())), alpha=True),
        {},
    ),
    "alpha-webp-size": (
        "alpha of another size",
        with_types(SMALL, (64, webp(alpha_ramp())), alpha=True),
        {},
    ),
    "alpha-png-16-bits": (
        "alpha of 16 bits",
        with_types(SMALL, (64, save(np.zeros((32, 32), np.uint16), "PNG")), alpha=True),
        {},
    ),
    "alpha-png-colour": (
        "alpha in colour",
        with_types(SMALL, (64, png(ALPHA_RAMP, "RGBA")), alpha=True),
        {},
    ),
    "alpha-png-palette": (
        "alpha in a palette",
        with_types(SMALL, (64, png(ALPHA_RAMP, "P")), alpha=True),
        {},
    ),
    "alpha-png-4-bits": (
        "alpha of 4 bits",
        with_types(SMALL, (64, save(ALPHA_RAMP // 18, "PNG", bits=4)), alpha=True),
        {},
    ),
    "alpha-webp-lossy": (
        "alpha as lossy WebP",
        with_types(SMALL, (64, save(ALPHA_RGB, "WEBP", quality=50)), alpha=True),
        {},
    ),
    "alpha-webp-transparent": (
        "alpha as WebP that has alpha itself",
        with_types(SMALL, (64, save(ALPHA_RGBA, "WEBP", lossless=True)), alpha=True),
        {},
    ),
    "alpha-png-cut": ("alpha cut", with_types(SMALL, (64, png(ALPHA_RAMP)[:60]), alpha=True), {}),
    "metadata-empty": ("EXIF of no byte", with_types(SMALL, (129, b"")), {}),
    "metadata-size-0": ("EXIF of size 0", with_types(SMALL, (129, b"\0\3\0")), {}),
    "metadata-too-large": (
        "XMP said to be 2^24 + 1 bytes long",
        with_types(SMALL, (130, varint_bytes(2**24 + 1) + b"\3\0")),
        {},
    ),
    "metadata-longer": ("XMP longer than it says", with_types(SMALL, (130, longer(5))), {}),
    "metadata-shorter": ("XMP shorter than it says", with_types(SMALL, (130, longer(-5))), {}),
    "metadata-cut": ("a profile cut", with_types(SMALL, (128, pack(bytes(range(99)))[:-3])), {}),
    "metadata-trailing": ("bytes after EXIF", with_types(SMALL, (129, pack(b"MM") + b"x")), {}),
    "metadata-junk": ("a profile that is no stream", with_types(SMALL, (128, b"\5\xff\xff")), {}),
    "codes-zero-end": ("codes that end in a zero", recode(SMALL, 1, lambda p: p + b"\0"), {}),
    "codes-too-long": ("codes with words left", recode(SMALL, 2, lambda p: p + b"\1" * 8), {}),
    "codes-batch-missing": (
        "coder 2, the length of a batch cut",
        picture_header(flags=b"\5", rest=table(2) + part(1, b"\1\0")),
        {},
    ),
    "codes-batch-too-long": (
        "coder 2, a batch longer than its section",
        picture_header(flags=b"\5", rest=table(5) + part(1, b"\2\0\0\0x")),
        {},
    ),
    "codes-invalid": ("bytes no encoder writes", recode(SMALL, 1, lambda p: b"\xff" * len(p)), {}),
    "codes-escape-0": ("an escape of no bits", escaping(0), {}),
    "codes-escape-17": ("an escape of 17 bits", escaping(17), {}),
    "codes-escape-31": ("an escape of 31 bits", escaping(31), {}),
    "codes-out-of-range": (
        "a code of 32768",
        coded_picture((32, 32), 5000, lambda _: first_code_is(CODE_MAX + 1)),
        {},
    ),
    "voice-samples-0": ("no sample", voice_header(samples=b"\0"), {}),
    "voice-rate-13": ("a rate without a number", voice_header(rate=b"\x0d"), {}),
    "voice-rate-spelt": ("16,000 Hz spelt out", voice_header(rate=b"\x0f\x80\x7d"), {}),
    "voice-rate-7999": ("7999 Hz", voice_header(rate=b"\x0f" + varint_bytes(7999)), {}),
    "voice-rate-96001": ("96,001 Hz", voice_header(rate=b"\x0f" + varint_bytes(96_001)), {}),
    "voice-reserved": ("a reserved bit", voice_header(rate=b"\x23"), {}),
    "voice-reserved-stereo": ("a reserved bit, two channels", voice_header(rate=b"\x93"), {}),
    "voice-stereo-mode-3": ("channels coded in an unknown way", voice_header(rate=b"\x73"), {}),
    "voice-quality-0": ("quality 0", voice_header(quality=0), {}),
    "voice-sections-131": ("more sections than can be", voice_header(n_sections=131), {}),
    "voice-sections-2-32": ("2^32 - 1 sections", voice_header(n_sections=2**32 - 1), {}),
    "voice-longest": (
        "2^32 - 1 samples, over the default limit",
        voice_header(samples=varint_bytes(2**32 - 1)),
        {},
    ),
    "voice-over-max-seconds": ("over a limit of one's own", VOICE, {"max_seconds": 0.24}),
    "voice-order": ("codes in another order", with_voice_sections(VOICE, (2, b""), (1, b"")), {}),
    "voice-missing": ("a section too few", with_voice_sections(VOICE, (1, b"")), {}),
    "voice-alpha": (
        "alpha in a voice",
        with_voice_sections(VOICE, (1, b""), (2, b""), (64, b"\xff")),
        {},
    ),
    "voice-tags-twice": (
        "tags twice",
        with_voice_sections(VOICE, (1, b""), (2, b""), (131, b""), (131, b"")),
        {},
    ),
    "voice-codes-invalid": (
        "bytes no encoder writes",
        recode(VOICE, 1, lambda p: b"\xff" * 9),
        {},
    ),
    "voice-cut": ("cut before a segment is whole", cut(STEREO, 2, 2), {}),
}
