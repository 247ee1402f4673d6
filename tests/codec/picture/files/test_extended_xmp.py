"""XMP longer than a JPEG segment is joined when read, and split when written."""

import hashlib
import io
import re
import struct
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from luxvox.codec.picture import rasters, reading
from luxvox.codec.picture.files import extended_xmp, xmp_structure
from luxvox.codec.picture.files.xmp import orientation_in, without_claims
from luxvox.errors import LossWarning

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SIGNATURE = b"http://ns.adobe.com/xmp/extension/\0"
FRONT = (
    b"<?xpacket begin='\xef\xbb\xbf' id='W5M0MpCehiHzreSzNTczkc9d'?>"
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
)
BACK = b"</x:xmpmeta><?xpacket end='w'?>"


def packet(inner, rdf="rdf"):
    start = f"<{rdf}:RDF xmlns:{rdf}='{RDF}'>".encode()
    return FRONT + start + inner + f"</{rdf}:RDF>".encode() + BACK


def description(text="", attributes=""):
    return (
        f"<rdf:Description rdf:about='' xmlns:a='urn:a' xmlns:b='urn:b'{attributes}>{text}"
        "</rdf:Description>"
    ).encode()


def statements(xmp):
    """Return all properties of a packet, by name, with their text."""
    root = ElementTree.fromstring(xmp)
    properties: dict[str, str] = {}
    for node in root.iter(f"{{{RDF}}}Description"):
        properties |= {key: value for key, value in node.attrib.items() if RDF not in key}
        properties |= {child.tag: "".join(child.itertext()) for child in node}
    return properties


def segments_of(extension, digest=None, step=1000):
    """Cut an extension into segments as another program would."""
    digest = digest or hashlib.md5(extension).hexdigest().upper().encode()
    starts = range(0, len(extension), step)
    return [
        SIGNATURE + digest + struct.pack(">II", len(extension), n) + extension[n : n + step]
        for n in starts
    ], digest


def naming(digest):
    note = "http://ns.adobe.com/xmp/note/"
    attributes = f" xmlns:xmpNote='{note}' xmpNote:HasExtendedXMP='{digest.decode()}'"
    return packet(description("<a:kept>kept</a:kept>", attributes))


def jpeg(main, payloads):
    stream = io.BytesIO()
    pixels = np.random.default_rng(2).integers(60, 90, (16, 24, 3), np.uint8)
    segments = (b"\xff\xe1" + struct.pack(">H", 2 + len(payload)) + payload for payload in payloads)
    Image.fromarray(pixels).save(stream, "JPEG", xmp=main, extra=b"".join(segments))
    return stream.getvalue()


EXTENSION = packet(description("<b:long>" + "ä" * 3000 + "</b:long>", " b:short='s'"))


def test_extension_is_joined_in_any_order():
    payloads, digest = segments_of(EXTENSION)
    raster = reading.from_file(jpeg(naming(digest), payloads[::-1]))
    assert statements(raster.xmp) == {
        "{urn:a}kept": "kept",
        "{urn:b}long": "ä" * 3000,
        "{urn:b}short": "s",
    }
    assert raster.notes == ()


def test_digest_may_be_in_lower_case():
    payloads, digest = segments_of(EXTENSION)
    assert b"<b:long>" in extended_xmp.join(naming(digest.lower()), payloads)


def test_prefixes_declared_around_the_extension_are_kept():
    inner = b"<r:Description r:about='' other:long='yes'/>"
    start = b"<r:RDF xmlns:r='" + RDF.encode() + b"' xmlns:other='urn:other'>"
    payloads, digest = segments_of(FRONT + start + inner + b"</r:RDF>" + BACK)
    merged = extended_xmp.join(naming(digest), payloads)
    assert statements(merged) == {"{urn:a}kept": "kept", "{urn:other}long": "yes"}


@pytest.mark.parametrize("fault", ["missing", "cut", "altered", "another", "no XML", "entities"])
def test_unusable_extension_is_noted(fault):
    extension = EXTENSION
    if fault == "no XML":
        extension = b"<unfinished"
    elif fault == "entities":
        extension = b"<!DOCTYPE x [<!ENTITY e 'e'>]>" + EXTENSION[EXTENSION.index(b"<x:") :]
    payloads, digest = segments_of(extension)
    if fault == "missing":
        payloads = []
    elif fault == "cut":
        del payloads[1]
    elif fault == "altered":
        payloads[0] = payloads[0].replace(b"long", b"lone")
    elif fault == "another":
        payloads, _ = segments_of(extension, b"0" * 32)
    raster = reading.from_file(jpeg(naming(digest), payloads))
    assert statements(raster.xmp) == {"{urn:a}kept": "kept"}
    assert raster.notes == ("its extended XMP is not kept",)


@pytest.mark.parametrize(
    "inner",
    [
        description("<a:x>" + "x" * 70_000 + "</a:x><a:y>y</a:y>"),
        description("".join(f"<a:n{n}>{'ü' * 300}</a:n{n}>" for n in range(500))),
        description("<b:c>c</b:c>", " a:x = '" + "x" * 300_000 + "' a:y=\"'&gt;>\""),
        description("<a:y>y</a:y>") + description("<b:x>" + "x" * 70_000 + "</b:x>"),
    ],
)
def test_long_packet_comes_back_from_a_jpeg(inner, recwarn):
    raster = rasters.Raster(np.full((8, 8, 3), 90, np.uint8), xmp=packet(inner))
    data = rasters.to_bytes(raster, "jpg")
    standard = Image.open(io.BytesIO(data)).info["xmp"]
    assert len(standard) <= 65_502
    ElementTree.fromstring(standard)
    assert statements(reading.from_file(data).xmp) == statements(raster.xmp)
    assert not [warning for warning in recwarn if issubclass(warning.category, LossWarning)]


def test_segments_are_as_the_specification_says():
    xmp = packet(description("<a:x>" + "x" * 100_000 + "</a:x>"))
    split = extended_xmp.split(xmp, 65_000)
    assert split is not None
    standard, payloads = split
    named = re.search(rb'xmpNote:HasExtendedXMP="([0-9A-F]{32})"', standard)
    assert named is not None
    digest = named[1]
    whole = b""
    for payload in payloads:
        assert len(payload) <= 65_533
        assert payload[:67] == SIGNATURE + digest
        length, offset = struct.unpack(">II", payload[67:75])
        assert offset == len(whole)
        whole += payload[75:]
    assert length == len(whole)
    assert hashlib.md5(whole).hexdigest().upper().encode() == digest


def test_packet_without_rdf_is_left_out_with_a_note():
    raster = rasters.Raster(np.zeros((4, 4, 3), np.uint8), xmp=b"<x>" + b"y" * 70_000 + b"</x>")
    with pytest.warns(LossWarning, match="XMP of 70,007"):
        rasters.to_bytes(raster, "jpg")


@pytest.mark.parametrize(
    "inner",
    [
        b"".join(b"<rdf:Description xmlns:n%d='urn:x'>" % n for n in range(3000)),
        b"<rdf:Description/>" * 5000,
        description(attributes="".join(f" xmlns:n{n}='urn:n'" for n in range(300))),
        description(attributes=f" xmlns:n='{'u' * 1000}'"),
    ],
)
def test_packets_past_the_limits_are_refused(inner):
    with pytest.raises(xmp_structure.UnreadableXmp):
        xmp_structure.find_rdf(packet(inner))


@pytest.mark.parametrize(
    "xmp",
    [
        packet(b"<a>" * 50_000 + b"</a>" * 50_000),
        packet(b" " * 500_000),
        packet(description("", " a:x='1'" + " " * 500_000)),
        packet(description("<a:x/>" * 50_000)),
        b"<x xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'>"
        + b"".join(b"<hdrgm:n%d>" % n for n in range(50_000)),
    ],
    ids=["nested", "blank", "blank tag", "many", "unfinished"],
)
def test_no_packet_takes_long(xmp):
    start = time.process_time()
    without_claims(xmp)
    orientation_in(xmp)
    extended_xmp.split(xmp, 1000)
    assert time.process_time() - start < 5.0
