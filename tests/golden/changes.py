"""Changes to files that were made already: other sections, cuts, payloads, bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luxvox.codec import container
from luxvox.codec.container import ALPHA, PictureHeader, Section, VoiceHeader

Make = Callable[[], bytes]


def with_sections(make: Make, **changes: Any) -> Make:
    """Put sections of other types after those of the codes: type_64=payload and so on."""

    def make_changed() -> bytes:
        content = container.read(make())
        assert isinstance(content.header, PictureHeader | VoiceHeader)
        fields = dict(vars(content.header))
        others = {int(name.removeprefix("type_")): part for name, part in changes.items()}
        if ALPHA in others:
            fields["alpha"] = True
        kept = [s for s in content.sections if s.type < ALPHA]
        kept += [Section(number, part) for number, part in sorted(others.items())]
        return container.write(type(content.header)(**fields), kept, content.parts)

    return make_changed


def cut(make: Make, number: int, extra: int) -> Make:
    """Cut a file n bytes after the start of its section of that place, from 0."""

    def make_changed() -> bytes:
        data = make()
        return data[: container.list_sections(data).entries[number].offset + extra]

    return make_changed
