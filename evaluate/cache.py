"""What has been measured already: one small JSON file for each file, codec and point.

Its name is a digest of everything that the figures depend on except the metrics: the file's
SHA-256, the codec, its version, the point. The figures are inside, each under its metric's name and
version, so that a new metric adds to them. Files appear complete or not at all; a damaged one
counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luxvox.codec import files

_FORMAT = 1


@dataclass(frozen=True)
class Cache:
    """A folder of measured figures; nothing is read or kept where it is None."""

    folder: Path | None

    def read(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what was kept under a key, or None."""
        if self.folder is None:
            return None
        try:
            record = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        is_same = isinstance(record, dict) and record.get("key") == _plain(key)
        return record["value"] if is_same and isinstance(record.get("value"), dict) else None

    def write(self, key: Mapping[str, Any], value: Mapping[str, Any]) -> None:
        """Keep a value under a key.

        Raises:
            SystemFailure: the folder cannot be written.
        """
        if self.folder is None:
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"key": _plain(key), "value": value}, indent=1, allow_nan=False)
        files.write(os.fspath(path), f"{text}\n".encode(), overwrite=True)

    def _path(self, key: Mapping[str, Any]) -> Path:
        text = json.dumps(_plain(key), sort_keys=True).encode()
        digest = hashlib.sha256(text).hexdigest()[:32]
        assert self.folder is not None
        return self.folder / digest[:2] / f"{digest}.json"


def _plain(key: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps({"format": _FORMAT, **key}))
    return plain
