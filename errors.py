"""Everything luxvox raises on purpose: one tree, and the exit code each branch ends a command with.

A message is one line: what happened, where (file, section, offset), and the legal range or the
remedy. Exit codes: 1 environment, 2 usage, 3 corrupt or unsupported input, 4 internal.
"""

from __future__ import annotations

from typing import ClassVar


class LuxvoxError(Exception):
    """Report a failure of luxvox itself; every other error of the package derives from it."""

    exit_code: ClassVar[int] = 4


class UsageError(LuxvoxError):
    """Report an argument or option outside its legal range, or of the wrong type."""

    exit_code: ClassVar[int] = 2


class InputError(LuxvoxError):
    """Report an input that cannot be compressed: not a picture, or over a limit."""

    exit_code: ClassVar[int] = 3


class FormatError(LuxvoxError):
    """Report a malformed `.lvx` file; the message names the section and the offset."""

    exit_code: ClassVar[int] = 3


class ChecksumError(FormatError):
    """Report bytes that were altered: a header or a section does not match its checksum."""


class TruncatedError(FormatError):
    """Report a file that ends too early for anything to be decoded from it."""


class UnsupportedError(LuxvoxError):
    """Report a well-formed file that needs a newer luxvox or weights that are not installed."""

    exit_code: ClassVar[int] = 3


class ModelError(LuxvoxError):
    """Report weights or a model card that are missing, altered or contradictory."""

    exit_code: ClassVar[int] = 1


class SystemFailure(LuxvoxError):
    """Report a refusal of the machine: disk full, folder unwritable, optional package missing."""

    exit_code: ClassVar[int] = 1


class TruncatedWarning(UserWarning):
    """Warn that a file was cut, and that what was decoded comes from its whole sections only."""


class DamageWarning(UserWarning):
    """Warn that sections of a file were altered, and that what they held was guessed."""


class TargetWarning(UserWarning):
    """Warn that a rate, size or PSNR was missed; the file is the nearest to it that was found."""


class LossWarning(UserWarning):
    """Warn that the result lacks something that the input had; the message says what."""


class PartWarning(LossWarning):
    """Warn that only a part of the input is kept: one of its pages, the sound of a film."""
