"""Where the parts of an XMP packet stand, so that they can be moved byte for byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn
from xml.parsers import expat

from luxvox.errors import LuxvoxError

RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
Namespaces = Mapping[str, str]
"""What prefixes mean; the default namespace has an empty one."""

_START_TAG: Final = re.compile(rb"""<(?:[^"'>]|"[^"]*"|'[^']*')*>""")
_DEPTH: Final = 2  # below the element RDF: descriptions and their properties
# No honest packet has more; without limits a hostile one would cost gigabytes.
_MAX_DEPTH_OF_RDF: Final = 8
_MAX_DESCRIPTIONS: Final = 1000
_MAX_NAMESPACES: Final = 200
_MAX_URI: Final = 500


class UnreadableXmp(LuxvoxError):
    """Report a packet that is not XML, holds no RDF, or is past our limits."""


@dataclass
class Element:
    """An element of a packet, by bytes.

    Attributes:
        name: as it is written, its prefix included.
        start, stop: of the whole element.
        body: where its start tag ends.
        close: where its end tag begins, and new children are inserted.
        namespaces: what prefixes mean in it; empty for a property.
        inherited: those of them that it does not declare itself.
        children: the elements in it, down to properties.
    """

    name: str
    start: int
    body: int
    namespaces: Namespaces
    inherited: Namespaces
    stop: int = 0
    close: int = 0
    children: list[Element] = field(default_factory=list)

    @property
    def qualified_name(self) -> tuple[str, str]:
        """Return its namespace, and its name without the prefix."""
        prefix, _, name = self.name.rpartition(":")
        return self.namespaces.get(prefix, ""), name


def find_rdf(xmp: bytes) -> Element:
    """Find the element of a packet that holds its descriptions.

    Args:
        xmp: a packet in UTF-8.

    Raises:
        UnreadableXmp: not XML, no such element or an empty one, or entities are declared.
    """
    reader = _Reader(xmp)
    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler = lambda *tag: reader.begin(parser.CurrentByteIndex, *tag)
    parser.EndElementHandler = lambda _: reader.end(parser.CurrentByteIndex)
    parser.StartDoctypeDeclHandler = _refuse_entities
    try:
        parser.Parse(xmp, True)
    except expat.ExpatError as error:
        raise UnreadableXmp(f"XMP is not XML: {error}") from error
    if reader.rdf is None or reader.rdf.close < reader.rdf.body:
        raise UnreadableXmp("XMP holds no RDF")
    return reader.rdf


def declarations(namespaces: Namespaces) -> bytes:
    """Write the attributes that declare namespaces, a blank before each."""
    from xml.sax.saxutils import quoteattr  # imports a client for HTTP

    written = ""
    for prefix, uri in namespaces.items():
        written += f" xmlns:{prefix}={quoteattr(uri)}" if prefix else f" xmlns={quoteattr(uri)}"
    return written.encode()


class _Reader:
    """Follows a parser down to the properties of the first RDF element."""

    def __init__(self, xmp: bytes) -> None:
        self.rdf: Element | None = None
        self._xmp = xmp
        self._open: list[Element] = []  # down to properties
        self._n_deeper = 0  # open elements that are not followed

    def begin(self, start: int, name: str, attributes: dict[str, str]) -> None:
        """Take a start tag."""
        if self._n_deeper or not self._is_followed():
            self._n_deeper += 1
            return
        tag = _START_TAG.match(self._xmp, start)
        if tag is None:
            raise UnreadableXmp("XMP is not in UTF-8")
        around, own = (
            (self._open[-1].namespaces if self._open else {}),
            _find_namespaces(attributes),
        )
        is_property = self._depth() == _DEPTH
        namespaces = {} if is_property else {**around, **own}
        inherited = {} if is_property else {p: uri for p, uri in around.items() if p not in own}
        if len(namespaces) > _MAX_NAMESPACES or any(len(uri) > _MAX_URI for uri in own.values()):
            raise UnreadableXmp("XMP has too many namespaces")
        self._add(Element(name, start, tag.end(), namespaces, inherited))

    def end(self, position: int) -> None:
        """Take an end tag, or the end of a tag that is both."""
        if self._n_deeper:
            self._n_deeper -= 1
            return
        element = self._open.pop()
        is_empty = self._xmp[element.body - 2 : element.body] == b"/>"
        element.close = element.start if is_empty else position
        element.stop = element.body if is_empty else self._xmp.index(b">", position) + 1

    def _add(self, element: Element) -> None:
        if self._depth():
            parent = self._open[-1]
            parent.children.append(element)
            if parent is self.rdf and len(parent.children) > _MAX_DESCRIPTIONS:
                raise UnreadableXmp("XMP has too many descriptions")
        elif element.qualified_name == (RDF, "RDF"):
            self.rdf = element
        self._open.append(element)

    def _is_followed(self) -> bool:
        if self.rdf is None:
            return len(self._open) < _MAX_DEPTH_OF_RDF
        return 1 <= self._depth() <= _DEPTH

    def _depth(self) -> int:
        """Return how many elements are open from RDF down."""
        is_inside = [element is self.rdf for element in self._open]
        return len(is_inside) - is_inside.index(True) if True in is_inside else 0


def _find_namespaces(attributes: dict[str, str]) -> Namespaces:
    """Return the namespaces that a tag declares."""
    names = (key for key in attributes if key == "xmlns" or key.startswith("xmlns:"))
    return {key[6:]: attributes[key] for key in names}


def _refuse_entities(*_: Any) -> NoReturn:
    raise UnreadableXmp("XMP declares entities")
