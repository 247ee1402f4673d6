"""Verify and load the weights beside a model card (`luxvox.models.cards`)."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from luxvox.entropy.context import Context, ContextLevel
from luxvox.entropy.layers import LevelShape
from luxvox.errors import ModelError
from luxvox.models.cards import ModelCard, find_card, read_card
from luxvox.models.context import CODEWORDS, PARENTS, check_tables, parent_orders, plan_of
from luxvox.models.image import LEVELS, ImageConfig, PictureModel

PICTURE_KIND = "picture"
BITS_SCALE = 8  # static rates are kept in 1/8 bit
CONTEXT_PREFIX = "context."
STEERING = (CONTEXT_PREFIX, "order_")  # how tables that steer the decoding of codes begin
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32)
GROUPS = "groups"
_STEPS = f"{CONTEXT_PREFIX}steps"


@dataclass(frozen=True)
class PictureCodec:
    """A picture model ready to run: float networks, integer context model, card."""

    card: ModelCard
    model: PictureModel
    context: Context

    @property
    def fingerprint(self) -> bytes:
        """The 4 bytes that files carry."""
        return bytes.fromhex(self.card.fingerprint)

    @property
    def n_sections(self) -> int:
        """How many code sections a file has at most."""
        return max(max(plan.sections) for plan in self.context.plan)


def picture_codec(number: int | None = None, fingerprint: bytes | None = None) -> PictureCodec:
    """Return a picture codec by what a file says of it; the newest by default.

    Args:
        number: of the model in the file format.
        fingerprint: of its integer tables, 4 bytes; None for any.

    Raises:
        UnsupportedError: if no such weights are installed.
        ModelError: if there are none of pictures, or they are altered.
    """
    path = find_card(PICTURE_KIND, number, fingerprint)
    return _loaded(path, read_card(path).sha256)


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, _: str) -> PictureCodec:
    """Load a codec once for each content that its card has announced."""
    return load_picture_codec(path)


def load_picture_codec(path: Path) -> PictureCodec:
    """Load and verify the weights beside a model card.

    Raises:
        ModelError: if the file is missing, its SHA-256 or the fingerprint of its integer tables
            differs from the card, a tensor is missing, or an accumulator could overflow.
    """
    card = read_card(path)
    tensors = verified_tensors(card, path.with_suffix(".safetensors"))
    if card.kind != PICTURE_KIND:
        raise ModelError(f"{card.id}: kind {card.kind!r} is not {PICTURE_KIND!r}")
    try:
        config = config_from_json(card.config)
        check_sizes(card, tensors, _shapes(config))
        model = PictureModel(config)
        model.load_state_dict(_unpack_floats(model, tensors))
        if tensors[_STEPS].tolist() != pack_steps(model.config)[_STEPS].tolist():
            raise ModelError(f"{card.id}: steps of the card are not those of the weights")
        context = Context(plan_of(model.config), _context_levels(model, tensors))
    except (KeyError, RuntimeError, TypeError, IndexError) as error:
        raise ModelError(f"{card.id}: the weights do not fit the card: {error}") from None
    return PictureCodec(card, model.eval().requires_grad_(False), context)


def verified_tensors(card: ModelCard, path: Path) -> dict[str, Tensor]:
    """Read the tensors of a card and check them against it.

    Raises:
        ModelError: if the file is missing, or not the one the card describes.
    """
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
        if name.startswith(STEERING) and table.dtype not in _WHOLE:
            raise ModelError(f"{path}: {name} holds {table.dtype}, legal: whole numbers")
    if fingerprint(tensors).hex() != card.fingerprint:
        raise ModelError(f"{path}: integer tables are not those of the card")
    return tensors


def check_sizes(
    card: ModelCard, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Check, before networks are built, that a configuration is of the size of the weights.

    Args:
        card: whose configuration it is.
        tensors: of the weights file.
        shapes: what the configuration makes of some of them, its widths and codebooks.

    Raises:
        ModelError: if a number is beyond any sense, or a shape is another one.
    """
    for name, value in card.config.items():
        most = next((top for part, top in _MOST.items() if part in name), _MOST_OF_ALL)
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > _MOST_OF_ALL or any(not 0 <= number <= most for number in numbers):
            raise ModelError(
                f"{card.id}: the weights do not fit the card: {name}, legal: 0..{most}"
            )
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            found = list(tensors[name].shape)
            raise ModelError(
                f"{card.id}: the weights do not fit the card: {name} has shape {found}, "
                f"the card says {list(shape)}"
            )


_MOST_OF_ALL = 4096
# With more than 60 stages sums of codewords could reach 2^24 on their way through the Haar steps.
_MOST = {"blocks": 64, "expansion": 16, "kernel": 63, "stages": 60, "codebook_size": 1 << 15}


def _shapes(config: ImageConfig) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "analysis.front.weight": (config.width_8, 192, 1, 1),
        "analysis.down.weight": (config.width_16, config.width_8, 2, 2),
    }
    for level in LEVELS:
        books = config.n_stages, config.codebook_size, config.channels(level)
        shapes[f"vq.{level}.codebooks"] = books
    return shapes


def fingerprint(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the first 4 bytes of the SHA-256 of all tables that steer the decoding of codes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(STEERING):
            array = tensors[name].contiguous().numpy()
            digest.update(f"{name} {array.dtype.str[1:]} {array.shape}\n".encode())
            digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:4]


def config_from_json(record: Mapping[str, Any]) -> ImageConfig:
    """Build the configuration a card holds."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return ImageConfig(**values)


def pack_floats(model: PictureModel) -> dict[str, Tensor]:
    """Name and narrow everything but the context model for a weights file.

    Floats are halved; codebooks are laid out by channel; static rates are in 1/8 bit.
    """
    packed = {}
    for name, value in model.state_dict().items():
        level = name.split(".")[1] if name.startswith("vq.") else ""
        if name.endswith(".codebooks"):
            vq = model.quantiser(level)
            packed[name] = by_channel(value, vq.slots, vq.n_channels).to(torch.float16)
        elif name.endswith(".bits"):
            packed[name] = (value * BITS_SCALE + 0.5).clamp(0, 255).to(torch.uint8)
        else:
            packed[name] = value.to(torch.float16 if value.is_floating_point() else torch.int16)
    return packed


def _unpack_floats(model: PictureModel, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    state = {}
    for name, value in tensors.items():
        if name.startswith(CONTEXT_PREFIX):
            continue
        if name.endswith(".codebooks"):
            slots = model.quantiser(name.split(".")[1]).slots
            state[name] = by_group(value.float(), slots)
        elif name.endswith(".bits"):
            state[name] = value.float() / BITS_SCALE
        else:
            state[name] = value.float() if value.is_floating_point() else value.long()
    return state


def by_channel(books: Tensor, slots: Tensor, n_channels: int) -> Tensor:
    """Lay out codebooks [stages, groups, K, 8] as [stages, K, channels], without padding."""
    stages, _, size, _ = books.shape
    packed = books.new_zeros(stages, size, n_channels + 1)
    packed[:, :, slots.reshape(-1)] = books.permute(0, 2, 1, 3).reshape(stages, size, -1)
    return packed[:, :, :n_channels].contiguous()


def by_group(packed: Tensor, slots: Tensor) -> Tensor:
    """Undo `by_channel`."""
    stages, size, _ = packed.shape
    padded = torch.cat([packed, packed.new_zeros(stages, size, 1)], 2)
    return padded[:, :, slots].permute(0, 2, 1, 3).contiguous()


def pack_context(levels: Mapping[str, ContextLevel]) -> dict[str, Tensor]:
    """Name and narrow the integer tables of a context model for a weights file."""
    packed = {}
    for level, tables in levels.items():
        prefix = f"{CONTEXT_PREFIX}{level}."
        codewords = by_channel(tables.codewords, tables.slots, tables.shape.n_channels)
        packed[f"{prefix}{CODEWORDS}"] = codewords.to(torch.int16)
        packed[f"{prefix}{GROUPS}"] = (tables.slots < tables.shape.n_channels).sum(1).byte()
        for name, tensor in tables.tensors.items():
            narrow = torch.int32 if name.endswith("bias") else torch.int8
            packed[prefix + name] = tensor.to(narrow)
    return packed


def pack_steps(config: ImageConfig) -> dict[str, Tensor]:
    """Return the coarsest and the finest step in thousandths of an 8-bit level."""
    steps = [round(1000 * step) for step in (config.coarsest_step, config.finest_step)]
    return {_STEPS: torch.tensor(steps, dtype=torch.int32)}


def _context_levels(model: PictureModel, tensors: Mapping[str, Tensor]) -> dict[str, ContextLevel]:
    for name in ("order_16", "order_32"):
        if sorted(tensors[name].tolist()) != list(range(len(tensors[name]))):
            raise ModelError(f"{name} is no permutation")
    orders = parent_orders(model)
    plans = {plan.name: plan for plan in plan_of(model.config)}
    levels = {}
    for level in LEVELS:
        prefix = f"{CONTEXT_PREFIX}{level}."
        raw = {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}
        if raw.pop(GROUPS).tolist() != list(model.config.groups(level)):
            raise ModelError(f"{level}: groups of the card are not those of the weights")
        width, hidden = raw["conv1.weight"].shape[0], raw["head.weight"].shape[2]
        shape = LevelShape(model.config.channels(level), PARENTS[level], width, hidden)
        check_tables(shape, plans[level], raw)
        own = {name: table.float() for name, table in raw.items()}
        slots = model.quantiser(level).slots
        codewords = by_group(own.pop(CODEWORDS), slots)
        levels[level] = ContextLevel(shape, own, codewords, slots, orders.get(level))
    return levels
