"""How large a file may claim to be before it is refused, by default (SECURITY.md)."""

from __future__ import annotations

from typing import Final

DEFAULT_MAX_PIXELS: Final = 2**28
DEFAULT_MAX_SECONDS: Final = 86_400.0
