"""A file made of parts of another file and of new bytes, without copying it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, BinaryIO

Part = bytes | range
"""Bytes, or a range of offsets in the other file."""


class SplicedFile(io.RawIOBase):
    """Read parts one after the other as one file.

    Args:
        base: the file that ranges refer to; closed with this one.
        parts: contents of the file, in order.
        claimed_size: the position that `seek` to the very end reports, if a library should expect
            more than there is; None for the true one.
    """

    def __init__(
        self, base: BinaryIO, parts: Sequence[Part], claimed_size: int | None = None
    ) -> None:
        self._base = base
        self._parts = [part for part in parts if len(part)]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + len(part))
        self._claimed_size = claimed_size
        self._position = 0
        self._part = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset from the start, the position or the end."""
        size = self._starts[-1]
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: size}
        self._position = max(0, origins[whence] + offset)
        self._part = 0
        if whence == io.SEEK_END and not offset and self._claimed_size is not None:
            self._position = self._claimed_size
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return how many bytes were there."""
        target = memoryview(buffer).cast("B")
        n_read = 0
        while n_read < len(target):
            piece = self._piece(len(target) - n_read)
            if not piece:
                break
            target[n_read : n_read + len(piece)] = piece
            n_read += len(piece)
            self._position += len(piece)
        return n_read

    def close(self) -> None:
        """Close the other file, too."""
        self._base.close()
        super().close()

    def _piece(self, size: int) -> bytes:
        while self._part < len(self._parts) and self._position >= self._starts[self._part + 1]:
            self._part += 1
        if self._part == len(self._parts):
            return b""
        part = self._parts[self._part]
        offset = self._position - self._starts[self._part]
        piece = part[offset : offset + size]
        if isinstance(piece, bytes):
            return piece
        self._base.seek(piece.start)
        return self._base.read(len(piece))
