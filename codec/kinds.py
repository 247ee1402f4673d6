"""Tell recordings from pictures by their first bytes, and say what kind of recording a file is."""

from __future__ import annotations

from typing import Final

HEAD_BYTES: Final = 16
"""How much of a file `kind_of` looks at."""

_BEGINNINGS: Final[tuple[tuple[bytes, str], ...]] = (
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b"ID3", "MPEG audio"),
    (b"caff", "CAF"),
    (b".snd", "AU"),
    (b"riff\x2e\x91\xcf\x11", "Wave64"),
    (b"NIST_1A", "NIST Sphere"),
    (b"Creative Voice", "VOC"),
    (b"#!AMR", "AMR"),
    (b"#!SILK", "SILK"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio"),
    (b"TTA1", "TTA"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"FLV\x01", "Flash video"),
    (b"MThd", "MIDI"),
    (b"2BIT", "AVR"),
    (b" paf", "PAF"),
    (b"fap ", "PAF"),
    (b"PVF1", "PVF"),
    (b"ALawSoundFile**", "WVE"),
    (b"Extended Instrument: ", "XI"),
    (b"\x0b\x77", "AC-3"),
    (b"\0\0\1\xba", "MPEG film"),
)
# The third group of four bytes of RIFF and IFF files says what they hold.
_FORMS: Final[dict[tuple[bytes, bytes], str]] = {
    (b"RIFF", b"WAVE"): "WAV",
    (b"RIFX", b"WAVE"): "WAV",
    (b"RF64", b"WAVE"): "WAV",
    (b"BW64", b"WAVE"): "WAV",
    (b"RIFF", b"AVI "): "AVI video",
    (b"FORM", b"AIFF"): "AIFF",
    (b"FORM", b"AIFC"): "AIFF",
    (b"FORM", b"8SVX"): "IFF 8SVX",
    (b"FORM", b"16SV"): "IFF 16SV",
}
_OLD_QUICKTIME: Final = (b"moov", b"mdat", b"wide")
# Brands of MPEG-4 files that hold a picture; every other one is taken for sound or video.
_PICTURE_BRANDS: Final = frozenset(
    b"avif avis heic heix hevc hevx heim heis hevm hevs mif1 mif2 msf1 miaf crx jp2 jpx".split()
)


def kind_of(head: bytes) -> str | None:
    """Return what kind of recording a file is, or None when it is not a recording.

    Args:
        head: the first bytes of the file; `HEAD_BYTES` are enough.
    """
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    form = _FORMS.get((head[:4], head[8:12]))
    if form is not None:
        return form
    if head[4:8] in _OLD_QUICKTIME:
        return "MPEG-4 (m4a, mp4)"
    if head[4:8] == b"ftyp":
        return None if _is_picture_brand(head[8:12]) else "MPEG-4 (m4a, mp4)"
    return _mpeg_kind(head)


def _is_picture_brand(brand: bytes) -> bool:
    return brand.rstrip(b" ") in _PICTURE_BRANDS


def _mpeg_kind(head: bytes) -> str | None:
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0 and (head[2] >> 2) & 15 < 13:
        return "AAC"
    # Eleven bits of sync, layer II or III, and a bit rate and a sample rate that exist.
    is_layer_2_or_3 = head[1] & 0xE0 == 0xE0 and head[1] & 6 in (2, 4) and head[1] & 0x18 != 8
    return "MPEG audio" if is_layer_2_or_3 and head[2] >> 4 < 15 and head[2] & 12 != 12 else None
