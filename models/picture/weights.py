"""Picture weights: how they are packed into a file, verified and loaded."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from luxvox.entropy.picture.lattice import LatticeLevel, picture_levels
from luxvox.entropy.picture.layers import table_shapes
from luxvox.entropy.picture.walk import LatticeContext
from luxvox.errors import ModelError
from luxvox.models.cards import ModelCard, find_card, read_card
from luxvox.models.picture.conditions import LEVELS, PictureConfig
from luxvox.models.picture.networks import PictureModel
from luxvox.models.tunings import DEFAULT_TUNE, TUNINGS
from luxvox.models.weights import CONTEXT_PREFIX, check_sizes, read_tensors
from luxvox.torch_state import usual_state

PICTURE_KIND = "picture"
_STEPS = f"{CONTEXT_PREFIX}steps"
_TABLES = f"{CONTEXT_PREFIX}tables"
_HALVED = (".blocks.", ".step_maps.")


@dataclass(frozen=True)
class PictureCodec:
    """A picture model ready to run: float networks, integer context model, card."""

    card: ModelCard
    model: PictureModel
    context: LatticeContext

    @property
    def fingerprint(self) -> bytes:
        """The 4 bytes that files carry."""
        return bytes.fromhex(self.card.fingerprint)


def picture_codec(
    number: int | None = None, fingerprint: bytes | None = None, tune: str = DEFAULT_TUNE
) -> PictureCodec:
    """Return the picture codec that a file names, or that new files are made by.

    Args:
        number: of the model in the file format; None for the newest.
        fingerprint: of its integer tables, 4 bytes; None for any.
        tune: what new files are coded for, `eye` or `psnr`.

    Raises:
        UnsupportedError: if no such weights are installed.
        ModelError: if there are no picture weights, or they are altered.
    """
    return _load_codec(find_card(PICTURE_KIND, number, fingerprint, tune))


def load_picture_codec(path: Path) -> PictureCodec:
    """Load and verify the weights next to a model card.

    Raises:
        ModelError: if the file is missing, its SHA-256 or the fingerprint of its integer tables
            differs from the card, a tensor is missing, or a sum could overflow.
    """
    return _load(read_card(path))


@functools.lru_cache(maxsize=4)
def _load_codec(card: ModelCard) -> PictureCodec:
    """Load a codec, once for each card."""
    return _load(card)


@usual_state()
def _load(card: ModelCard) -> PictureCodec:
    tensors = read_tensors(card)
    if card.kind != PICTURE_KIND:
        raise ModelError(f"{card.id}: kind {card.kind!r} is not {PICTURE_KIND!r}")
    try:
        config = config_from_json(card.config)
        check_sizes(card, tensors, _shapes(config))
        # All shapes are compared before anything of the card's sizes is allocated.
        with torch.device("meta"):
            model = PictureModel(config)
        floats = {k: t.float() for k, t in tensors.items() if not k.startswith(CONTEXT_PREFIX)}
        model.load_state_dict(floats, assign=True)
        if tensors[_STEPS].tolist() != pack_steps(config)[_STEPS].tolist():
            raise ModelError("steps of the card are not those of the weights")
        context = _context(config, tensors)
    except ModelError as error:
        raise ModelError(f"{card.id}: {error}") from None
    except (KeyError, RuntimeError, TypeError, IndexError, ValueError) as error:
        raise ModelError(f"{card.id}: the weights do not fit the card: {error}") from None
    return PictureCodec(card, model.eval().requires_grad_(False), context)


def config_from_json(record: Mapping[str, Any]) -> PictureConfig:
    """Build the configuration that a card holds."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return PictureConfig(**values)


def pack_picture(
    model: PictureModel, tables: Mapping[str, Mapping[str, Tensor]], counts: NDArray[np.int64]
) -> dict[str, Tensor]:
    """Name and narrow all tensors for a weights file.

    Args:
        model: float networks. Their residual parts are halved; the matrices that began as an exact
            transform stay as they are: halved, they would cost 0.05 dB at a step of 20.
        tables: whole numbers of the context model by level and name.
        counts: tables of counts [N_TABLES, 64].
    """
    packed = {
        name: value.to(torch.float16 if any(part in name for part in _HALVED) else torch.float32)
        for name, value in model.state_dict().items()
    }
    for level, tensors in tables.items():
        for name, tensor in tensors.items():
            narrow = torch.int32 if name.endswith("bias") else torch.int8
            packed[f"{CONTEXT_PREFIX}{level}.{name}"] = tensor.to(narrow)
    packed[_TABLES] = torch.from_numpy(counts.astype(np.int32))
    return packed | pack_steps(model.config)


def pack_steps(config: PictureConfig) -> dict[str, Tensor]:
    """Return the coarsest and the finest step in thousandths of an 8-bit level."""
    steps = [round(1000 * step) for step in (config.coarsest_step, config.finest_step)]
    return {_STEPS: torch.tensor(steps, dtype=torch.int32)}


def state_sizes(levels: tuple[LatticeLevel, ...]) -> dict[str, int]:
    """Return the number of features in the state that each level passes on; 0 for the last."""
    following = [level.n_state for level in levels[1:]] + [0]
    return {level.name: n for level, n in zip(levels, following, strict=True)}


def _shapes(config: PictureConfig) -> dict[str, tuple[int, ...]]:
    if len(config.channels) != len(LEVELS) or len(config.widths) != len(LEVELS):
        raise ModelError(f"legal: {len(LEVELS)} levels")
    if not config.tunings or set(config.tunings) - set(TUNINGS):
        raise ModelError(f"tunings {config.tunings}, legal: any of {', '.join(TUNINGS)}")
    if not 0.0 < config.finest_step < config.coarsest_step:
        raise ModelError(
            f"steps {config.finest_step:g}..{config.coarsest_step:g}, legal: 0 < a < b"
        )
    return {
        "analysis.front.weight": (config.widths[-1], 192, 2, 2),
        "synthesis.back.weight": (192, config.widths[-1], 2, 2),
        **{
            f"analysis.to_latents.{n}.weight": (channels, width, 1, 1)
            for n, (channels, width) in enumerate(zip(config.channels, config.widths, strict=True))
        },
    }


def _context(config: PictureConfig, tensors: Mapping[str, Tensor]) -> LatticeContext:
    levels = picture_levels(config.channels)
    following = state_sizes(levels)
    tables = {}
    for level in levels:
        prefix = f"{CONTEXT_PREFIX}{level.name}."
        raw = {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}
        check_tables(level.name, table_shapes(level, following[level.name]), raw)
        tables[level.name] = {name: table.float() for name, table in raw.items()}
    counts: NDArray[np.int64] = tensors[_TABLES].numpy().astype(np.int64)
    return LatticeContext(levels, tables, counts)


def check_tables(
    name: str, expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor]
) -> None:
    """Check the integer tables of a level as a weights file holds them.

    Raises:
        ModelError: if one is missing, superfluous, or of the wrong shape or type.
    """
    for key in sorted(expected.keys() ^ tensors.keys()):
        raise ModelError(f"{name}: table {key} is {'missing' if key in expected else 'unknown'}")
    for key, shape in expected.items():
        kind = torch.int32 if key.endswith("bias") else torch.int8
        if tuple(tensors[key].shape) != shape or tensors[key].dtype != kind:
            found = f"{tensors[key].dtype} {list(tensors[key].shape)}"
            raise ModelError(f"{name}: table {key} is {found}, legal: {kind} {list(shape)}")
