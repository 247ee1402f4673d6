"""XMP longer than a JPEG segment: joined from several segments, and split over several.

A segment holds 64 kB. What is longer is written as a standard packet, which fits into one, and an
extension, an XMP document of its own that is cut into chunks. The standard packet names the
extension by its MD5 digest. Source: Adobe, XMP Specification Part 3, section 1.1.3.1.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from luxvox.codec.picture.files.xmp import NOTE, extension_named_in, without_extension
from luxvox.codec.picture.files.xmp_structure import (
    RDF,
    Element,
    UnreadableXmp,
    declarations,
    find_rdf,
)

SIGNATURE: Final = b"http://ns.adobe.com/xmp/extension/\0"
MAX_CHUNK_BYTES: Final = 65_400  # as the specification recommends

_FRONT: Final = struct.Struct(">32sII")  # digest in hexadecimal, length of the whole, offset
_REFERENCE_BYTES: Final = 400  # that naming an extension may take in the standard packet
_ATTRIBUTE: Final = re.compile(rb"""(?<!\s)\s+([^\s=<>"'/]+)\s*=\s*(?:"[^"]*"|'[^']*')""")


def join(xmp: bytes, segments: Iterable[bytes]) -> bytes:
    """Add to a packet what its extension says.

    Args:
        xmp: the standard packet.
        segments: payloads of APP1 segments, in any order; other kinds are ignored.

    Returns:
        One packet, which names no extension. The standard packet, unchanged, if it names none, or
        if the extension is missing, cut, altered or not XMP.
    """
    digest = extension_named_in(xmp)
    extension = None if digest is None else _assemble(digest, segments)
    if extension is None:
        return xmp
    try:
        into = find_rdf(xmp).close
        described = [_self_contained(extension, node) for node in find_rdf(extension).children]
    except UnreadableXmp:
        return xmp
    return without_extension(b"".join((xmp[:into], *described, xmp[into:])))


def split(xmp: bytes, max_bytes: int) -> tuple[bytes, list[bytes]] | None:
    """Move the largest properties of a packet into an extension.

    Args:
        xmp: a packet.
        max_bytes: the most that the standard packet may have.

    Returns:
        The standard packet, and the payloads of the APP1 segments that hold the extension; None if
        the packet cannot be split so that it fits.
    """
    xmp = without_extension(xmp)
    try:
        rdf = find_rdf(xmp)
    except UnreadableXmp:
        return None
    moved, n_bytes = [], len(xmp) + _REFERENCE_BYTES
    for piece in sorted(_pieces(xmp, rdf), key=lambda piece: piece.start - piece.stop):
        if n_bytes <= max_bytes:
            break
        moved.append(piece)
        n_bytes -= piece.stop - piece.start
    if n_bytes > max_bytes:
        return None
    moved.sort(key=lambda piece: piece.start)
    extension = _document(xmp, moved)
    digest = _digest(extension)
    return _without(xmp, rdf, moved, digest), list(_segments(extension, digest))


@dataclass(frozen=True)
class _Piece:
    """A property that can be moved: the bytes it stands at, and the description it stands in."""

    start: int
    stop: int
    node: Element
    is_attribute: bool


def _pieces(xmp: bytes, rdf: Element) -> Iterator[_Piece]:
    for node in rdf.children:
        if node.qualified_name != (RDF, "Description"):
            continue
        for prefix, _, span in _attributes(xmp, node):
            if prefix not in ("", "xml", "xmlns") and node.namespaces.get(prefix) != RDF:
                yield _Piece(*span, node, True)
        for child in node.children:
            yield _Piece(child.start, child.stop, node, False)


def _attributes(xmp: bytes, node: Element) -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield prefix, name and place of each attribute, the blank before it included."""
    for found in _ATTRIBUTE.finditer(xmp, node.start, node.body):
        prefix, _, name = found[1].decode().rpartition(":")
        yield prefix, name, found.span()


def _document(xmp: bytes, pieces: Iterable[_Piece]) -> bytes:
    """Write a document that holds pieces of a packet, which follow one another there."""
    parts = [b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="%s">' % RDF.encode()]
    for _, group in itertools.groupby(pieces, key=lambda piece: piece.node.start):
        texts: dict[bool, list[bytes]] = {True: [], False: []}
        for piece in group:
            texts[piece.is_attribute].append(xmp[piece.start : piece.stop])
            node = piece.node
        name = node.name.encode()
        about = [
            xmp[slice(*span)]
            for prefix, local, span in _attributes(xmp, node)
            if local == "about" and node.namespaces.get(prefix, RDF) == RDF
        ]
        front = (b"<", name, declarations(node.namespaces), *about, *texts[True], b">")
        parts += [*front, *texts[False], b"</", name, b">"]
    return b"".join((*parts, b"</rdf:RDF></x:xmpmeta>"))


def _without(xmp: bytes, rdf: Element, pieces: Iterable[_Piece], digest: bytes) -> bytes:
    """Return a packet without some pieces, which names the extension that holds them."""
    kept, start = [], 0
    for piece in pieces:
        kept.append(xmp[start : piece.start])
        start = piece.stop
    return b"".join((*kept, xmp[start : rdf.close], _reference(digest), xmp[rdf.close :]))


def _reference(digest: bytes) -> bytes:
    return (
        b'<rdf:Description xmlns:rdf="%s" rdf:about="" xmlns:xmpNote="%s"'
        b' xmpNote:HasExtendedXMP="%s"/>' % (RDF.encode(), NOTE.encode(), digest)
    )


def _self_contained(xmp: bytes, node: Element) -> bytes:
    """Return an element with the namespaces that are declared around it."""
    name_end = node.start + 1 + len(node.name.encode())
    around = declarations(node.inherited)
    return xmp[node.start : name_end] + around + xmp[name_end : node.stop]


def _digest(extension: bytes) -> bytes:
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode()


def _segments(extension: bytes, digest: bytes) -> Iterator[bytes]:
    for offset in range(0, len(extension), MAX_CHUNK_BYTES):
        chunk = extension[offset : offset + MAX_CHUNK_BYTES]
        yield SIGNATURE + _FRONT.pack(digest, len(extension), offset) + chunk


def _assemble(digest: bytes, segments: Iterable[bytes]) -> bytes | None:
    """Return the extension with a digest; None unless all of it is there and unaltered."""
    chunks = {}
    for segment in segments:
        front = segment[len(SIGNATURE) : len(SIGNATURE) + _FRONT.size]
        if segment.startswith(SIGNATURE) and len(front) == _FRONT.size:
            name, _, offset = _FRONT.unpack(front)
            if name.upper() == digest:
                chunks[offset] = segment[len(SIGNATURE) + _FRONT.size :]
    extension = b"".join(chunks[offset] for offset in sorted(chunks))
    return extension if _digest(extension) == digest else None
