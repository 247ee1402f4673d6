"""XMP packets, edited to say only what is still true of the picture on its own.

A packet is text that is edited in place, so that everything else in it stays byte for byte.
Properties are written as attributes, in either kind of quotes, or as elements.
"""

from __future__ import annotations

import re
from typing import Final

_TIFF = "http://ns.adobe.com/tiff/1.0/"
_EXIF = "http://ns.adobe.com/exif/1.0/"
NOTE: Final = "http://ns.adobe.com/xmp/note/"
"""The namespace of the property that names an extension."""

_EXTENSION = "HasExtendedXMP"
# Namespaces that claim that other pictures, depth or a film follow in the same file.
_CLAIMS: Final = (
    "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/",
    "http://ns.google.com/photos/1.0/container/",
    "http://ns.google.com/photos/1.0/container/item/",
    "http://ns.google.com/photos/dd/1.0/",
    "http://ns.google.com/photos/1.0/depthmap/",
    "http://ns.google.com/photos/1.0/image/",
)
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
_CAMERA_CLAIMS = r"(?:MicroVideo\w*|MotionPhoto\w*)"
_ANY_NAME = r"[\w.-]+"
_MAX_OPEN: Final = 100  # elements without an end, after which a packet is left as it is


def orientation_in(xmp: bytes) -> int | None:
    """Return the orientation that a packet states, 1 to 8, or None."""
    for prefix in _prefixes(xmp, _TIFF, b"tiff"):
        found = _value(prefix, b"Orientation").search(xmp)
        if found and found[2] in tuple(b"%d" % n for n in range(1, 9)):
            return int(found[2])
    return None


def upright(xmp: bytes, width: int, height: int) -> bytes:
    """State that the picture is upright, and its size where a size is stated."""
    sizes = ((b"ImageWidth", width), (b"ImageLength", height))
    for prefix in _prefixes(xmp, _TIFF, b"tiff"):
        xmp = _value(prefix, b"Orientation").sub(rb"\g<1>1", xmp)
        for name, value in sizes:
            xmp = _value(prefix, name).sub(rb"\g<1>%d" % value, xmp)
    for prefix in _prefixes(xmp, _EXIF, b"exif"):
        for name, value in ((b"PixelXDimension", width), (b"PixelYDimension", height)):
            xmp = _value(prefix, name).sub(rb"\g<1>%d" % value, xmp)
    return xmp


def without_claims(xmp: bytes) -> tuple[bytes, tuple[str, ...]]:
    """Remove a packet's claims about data elsewhere in the file, which is not kept.

    Returns:
        The packet, and what it claimed.
    """
    before = xmp
    for uri in _CLAIMS:
        xmp = _without_names(xmp, uri, _ANY_NAME)
        xmp = _declaration(uri).sub(b"", xmp)
    claims = []
    if xmp != before:
        is_gain_map = re.search(rb"gain.?map", before, re.IGNORECASE)
        claims.append("gain map (HDR)" if is_gain_map else "second picture or depth map")
    without_film = _without_names(xmp, _CAMERA, _CAMERA_CLAIMS)
    if without_film != xmp:
        claims.append("film")
    kept = without_extension(without_film)
    if kept != without_film:
        claims.append("extended XMP")
    return kept, tuple(claims)


def extension_named_in(xmp: bytes) -> bytes | None:
    """Return the digest of the extension that a packet names, 32 capital digits, or None."""
    for prefix in _prefixes(xmp, NOTE):
        name = re.escape(prefix) + b":" + _EXTENSION.encode()
        found = re.search(name + rb"""\s*(?:=\s*["']|>)\s*([0-9A-Fa-f]{32})\b""", xmp)
        if found:
            return found[1].upper()
    return None


def without_extension(xmp: bytes) -> bytes:
    """Remove a packet's mention of an extension."""
    return _without_names(xmp, NOTE, _EXTENSION)


def _declaration(uri: str) -> re.Pattern[bytes]:
    value = rb"""["']""" + re.escape(uri.encode()) + rb"""["']"""
    return re.compile(rb"(?<!\s)\s+xmlns:([\w.-]+)\s*=\s*" + value)


def _prefixes(xmp: bytes, uri: str, usual: bytes | None = None) -> list[bytes]:
    found = sorted(set(_declaration(uri).findall(xmp)))
    return found or ([usual] if usual else [])


def _value(prefix: bytes, name: bytes) -> re.Pattern[bytes]:
    """Match a number as an attribute or an element; group 1 is what stands before it."""
    return re.compile(
        rb"""((?<![\w.-])%s:%s\s*(?:=\s*["']|>)\s*)(\d+)""" % (re.escape(prefix), name)
    )


def _without_names(xmp: bytes, uri: str, names: str) -> bytes:
    """Remove the properties of a namespace, as elements and as attributes."""
    for prefix in _prefixes(xmp, uri):
        name = re.escape(prefix) + b":(?:" + names.encode() + b")"
        xmp = _without_elements(xmp, name)
        attribute = rb"""\s""" + name + rb"""\s*=\s*(?:"[^"]*"|'[^']*')"""
        xmp = re.sub(attribute, b"", xmp)
    return xmp


def _without_elements(xmp: bytes, name: bytes) -> bytes:
    kept, done, n_open = [], 0, 0
    for tag in re.finditer(rb"<(" + name + rb")(?:\s[^<>]*)?>", xmp):
        if tag.start() < done:
            continue
        stop = tag.end()
        if not tag[0].endswith(b"/>"):
            end_tag = re.compile(rb"</" + re.escape(tag[1]) + rb"\s*>").search(xmp, stop)
            if end_tag is None:
                n_open += 1
                if n_open == _MAX_OPEN:  # each costs a search to the end
                    break
                continue
            stop = end_tag.end()
        kept.append(xmp[done : tag.start()])
        done = stop
    return b"".join((*kept, xmp[done:]))
