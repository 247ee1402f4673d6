"""What visitors of both kinds share: choosing without writing, and a range coder per section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, TypeVar

from luxvox.entropy import coders
from luxvox.errors import FormatError

Predicted = TypeVar("Predicted")
Chosen = TypeVar("Chosen")


class CodesChooser(Generic[Predicted, Chosen]):
    """Visitor that takes codes from a source and writes nothing."""

    def __init__(self, source: Callable[[Predicted], Chosen]) -> None:
        self._source = source

    def wants(self, section: int) -> bool:
        """Return True: every section is wanted."""
        return section > 0

    def visit(self, prediction: Predicted) -> Chosen:
        """Return what the source gives."""
        return self._source(prediction)


class SectionEncoders:
    """A range coder for each section that is written.

    Args:
        coder: number of the range coder.
    """

    def __init__(self, coder: int) -> None:
        self._coder = coder
        self._encoders: dict[int, coders.Encoder] = {}
        self._not_null: set[int] = set()

    def of(self, section: int, is_null: bool) -> coders.Encoder:
        """Return the coder of a section; takes note of whether the next codes are all null."""
        if not is_null:
            self._not_null.add(section)
        if section not in self._encoders:
            self._encoders[section] = coders.encoder(self._coder)
        return self._encoders[section]

    def finish(self) -> dict[int, bytes]:
        """Return the bytes of each section; none for a section whose codes are all null."""
        return {number: self._encoders[number].finish() for number in sorted(self._not_null)}


class SectionDecoders:
    """A range coder for each section that holds something.

    Args:
        sections: their bytes by number; empty ones count as missing.
        coder: number of the range coder.
    """

    def __init__(self, sections: Mapping[int, bytes], coder: int) -> None:
        self._decoders: dict[int, coders.Decoder] = {}
        for number, data in sections.items():
            if data:
                with _name_section(number):
                    self._decoders[number] = coders.decoder(coder, data)

    def __contains__(self, section: object) -> bool:
        return section in self._decoders

    @contextmanager
    def of(self, section: int) -> Iterator[coders.Decoder]:
        """Give the coder of a section; errors in its bytes are raised with its name."""
        with _name_section(section):
            yield self._decoders[section]

    def finish(self, unread: frozenset[int] = frozenset()) -> None:
        """Check that all bytes were used, except for those of some sections."""
        for number, coder in self._decoders.items():
            if number not in unread:
                with _name_section(number):
                    coder.finish()


@contextmanager
def _name_section(section: int) -> Iterator[None]:
    """Put the name of a section in front of the error."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"codes {section}: {error}") from None
