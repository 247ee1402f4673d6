"""Model cards: which weights there are, where they lie, and which of them decode a file.

A model card is the JSON file next to the weights, `MODEL_ID.json` next to `MODEL_ID.safetensors`:
id, number in the file format, SHA-256 of the weights, fingerprint of the integer tables,
configuration, how it was trained, on what data.

The user's own folder comes before the weights that luxvox ships: the one given to `use_weights`, or
else the one that the environment variable `LUXVOX_WEIGHTS` names. Loads no torch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from luxvox.errors import ModelError, UnsupportedError, UsageError
from luxvox.models.tunings import DEFAULT_TUNE

SHIPPED: Final = Path(__file__).resolve().parent.parent / "weights"
VARIABLE: Final = "LUXVOX_WEIGHTS"
MAX_CARD_BYTES: Final = 1 << 20

_preferred: ContextVar[Path | None] = ContextVar("preferred weights", default=None)


@dataclass(frozen=True)
class ModelCard:
    """What is known about a set of weights. Cards are equal if they name the same weights.

    Attributes:
        path: of the card; the weights lie next to it.
        id: name of the model.
        number: of the model in the file format.
        kind: `picture` or `voice`.
        sha256: of the weights file, hexadecimal.
        fingerprint: first 4 bytes of the SHA-256 of the integer tables, hexadecimal.
        config: shape of the networks.
        extra: the training record and the data sources.
    """

    path: Path
    id: str
    number: int
    kind: str
    sha256: str
    fingerprint: str
    config: Mapping[str, Any] = field(compare=False)
    extra: Mapping[str, Any] = field(compare=False)

    def serves(self, tune: str) -> bool:
        """Return whether the weights were trained for a tuning, as far as the card says."""
        return tune in self.config.get("tunings", (tune,))


@contextmanager
def use_weights(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Look for weights in a folder first, within the `with` block and this thread or task.

    They are checked as shipped ones are: SHA-256, fingerprint of the integer tables, and bounds of
    all sums. Files made with them name model number and fingerprint, and need them to be decoded.

    Args:
        folder: holds model cards, `*.json`, with their weights, `*.safetensors`, next to them.

    Raises:
        ModelError: if there is no such folder, or no card in it.
    """
    token = _preferred.set(_folder(folder, "weights"))
    try:
        yield
    finally:
        _preferred.reset(token)


def preferred_folder() -> Path | None:
    """Return the folder of `use_weights`, or None; it has to be passed on to other processes."""
    return _preferred.get()


def folders() -> tuple[Path, ...]:
    """Return the folders that are searched for weights, the user's own first.

    Raises:
        ModelError: if `LUXVOX_WEIGHTS` names no folder, or one without cards.
    """
    own = _preferred.get()
    if own is None and (named := os.environ.get(VARIABLE)):
        own = _folder(named, VARIABLE)
    return (SHIPPED,) if own is None else (own, SHIPPED)


def find_card(
    kind: str,
    number: int | None = None,
    fingerprint: bytes | None = None,
    tune: str = DEFAULT_TUNE,
) -> ModelCard:
    """Return the card of the weights that decode a file, or that new files are made by.

    Args:
        kind: `picture` or `voice`.
        number: of the model; None for the highest in the first folder that has any of the kind
            that serves the tuning.
        fingerprint: first 4 bytes of the SHA-256 of the integer tables; None for any.
        tune: what new pictures are coded for, `eye` or `psnr`.

    Raises:
        ModelError: if there are no weights of the kind at all, or a card cannot be read.
        UnsupportedError: if there are, but not these.
    """
    searched = [_of_kind(folder, kind) for folder in folders()]
    if not any(searched):
        named = " or ".join(map(str, folders()))
        raise ModelError(f"no {kind} weights in {named}; reinstall luxvox")
    if number is None:
        serving = [[card for card in found if card.serves(tune)] for found in searched]
        newest = next((found[-1] for found in serving if found), None)
        if newest is None:
            raise ModelError(f"no {kind} weights for tune {tune!r}")
        return newest
    numbered = [card for found in searched for card in found if card.number == number]
    for card in numbered:
        if fingerprint is None or card.fingerprint == fingerprint.hex():
            return card
    if not numbered or fingerprint is None:
        known = sorted({card.number for found in searched for card in found})
        raise UnsupportedError(
            f"{kind} model {number} is not among the installed ones "
            f"({', '.join(map(str, known))}); a folder that has it can be named with {VARIABLE}"
        )
    installed = ", ".join(card.fingerprint for card in numbered)
    raise UnsupportedError(
        f"the file was made with weights {fingerprint.hex()} of {kind} model {number}; "
        f"installed are {installed}"
    )


def cards(folder: Path = SHIPPED) -> tuple[ModelCard, ...]:
    """Return the cards of all weights in a folder, by number.

    Raises:
        ModelError: if one cannot be read.
    """
    found = [read_card(path) for path in sorted(folder.glob("*.json"))]
    return tuple(sorted(found, key=lambda card: card.number))


def read_card(path: Path) -> ModelCard:
    """Read and check a model card.

    Raises:
        ModelError: if it is not one.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_CARD_BYTES + 1)
        if len(text) > MAX_CARD_BYTES:
            raise ValueError(f"longer than {MAX_CARD_BYTES} bytes")
        record = json.loads(text.decode("utf-8"))
        values = {name: _of_type(record[name], kind) for name, kind in _FIELD_TYPES.items()}
        extra = {key: value for key, value in record.items() if key not in values}
        bytes.fromhex(values["fingerprint"])
        return ModelCard(path, **values, extra=extra)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path}: not a model card: {error!r}") from None


_FIELD_TYPES: Final = {
    "id": str,
    "number": int,
    "kind": str,
    "sha256": str,
    "fingerprint": str,
    "config": dict,
}


def _of_type(value: object, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


def _of_kind(folder: Path, kind: str) -> list[ModelCard]:
    """Return the cards of a kind in a folder, by number."""
    return [card for card in cards(folder) if card.kind == kind]


def _folder(path: str | os.PathLike[str], what: str) -> Path:
    """Check that a folder holds weights: one without any would be ignored silently."""
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{what}: a folder is named by a path, not by {type(path).__name__}")
    folder = Path(path)
    try:
        names = os.listdir(folder)
    except PermissionError:
        raise ModelError(f"{what}: the folder {folder} cannot be read") from None
    except (OSError, ValueError):
        raise ModelError(f"{what}: there is no folder {folder}") from None
    if not any(name.endswith(".json") for name in names):
        raise ModelError(f"{what}: there are no model cards in {folder}")
    return folder
