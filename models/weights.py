"""Verify the weights next to a model card (`luxvox.models.cards`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from luxvox.errors import ModelError
from luxvox.models.cards import ModelCard

CONTEXT_PREFIX = "context."
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32)


def read_tensors(card: ModelCard) -> dict[str, Tensor]:
    """Read the tensors next to a card and check them against it.

    Raises:
        ModelError: if the file is missing, or not the one the card describes.
    """
    path = card.path.with_suffix(".safetensors")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != card.sha256:
        raise ModelError(f"{path}: SHA-256 {digest[:12]}… is not the card's {card.sha256[:12]}…")
    try:
        tensors: dict[str, Tensor] = load_tensors(data)
    except SafetensorError as error:
        raise ModelError(f"{path}: {error}") from None
    for name, table in tensors.items():
        if name.startswith(CONTEXT_PREFIX) and table.dtype not in _WHOLE:
            raise ModelError(f"{path}: {name} holds {table.dtype}, legal: whole numbers")
    if fingerprint(tensors).hex() != card.fingerprint:
        raise ModelError(f"{path}: integer tables are not those of the card")
    return tensors


def check_sizes(
    card: ModelCard, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check, before networks are built, that a configuration fits the size of the weights.

    Args:
        card: whose configuration it is.
        tensors: of the weights file.
        shapes: those that the configuration implies for some of them, its widths and codebooks.

    Raises:
        ModelError: if a number is out of range, or a shape differs.
    """
    for name, value in card.config.items():
        maximum = next((top for part, top in _MAX.items() if part in name), _MAX_OF_ALL)
        values = value if isinstance(value, list) else [value]
        numbers = [number for number in values if not isinstance(number, str)]
        if len(values) > _MAX_OF_ALL or any(not 0 <= number <= maximum for number in numbers):
            raise ModelError(f"the weights do not fit the card: {name}, legal: 0..{maximum}")
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            found = list(tensors[name].shape)
            raise ModelError(
                f"the weights do not fit the card: {name} has shape {found}, "
                f"the card says {list(shape)}"
            )


_MAX_OF_ALL = 4096  # also how long a list may be
_MAX = {"blocks": 64, "expansion": 16, "kernel": 63, "stages": 60, "codebook_size": 1 << 15}


def fingerprint(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the first 4 bytes of the SHA-256 of all tables that steer the decoding of codes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(CONTEXT_PREFIX):
            array = tensors[name].contiguous().numpy()
            digest.update(f"{name} {array.dtype.str[1:]} {array.shape}\n".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:4]
