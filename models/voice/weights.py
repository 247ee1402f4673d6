"""Voice weights: packed into a file, verified and loaded.

The codebooks are stored once, as the integer codewords of the context model: the float codec uses
exactly the same numbers. They are rounded to int8 times a power of two for each stage and channel,
which is far finer than the residual of a stage. The matrices in the blocks of analysis and
synthesis, except those on short windows, are rounded similarly, with a scale for each row.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from luxvox.entropy.voice.context import Context, ContextLevel
from luxvox.entropy.voice.layers import CODEWORD_SCALE
from luxvox.errors import ModelError
from luxvox.models.cards import ModelCard, find_card, read_card
from luxvox.models.voice.networks import LEVEL, SpeechConfig, SpeechModel
from luxvox.models.voice.tables import (
    CODEWORDS,
    check_tables,
    shape_of_tables,
    speech_plan_of,
)
from luxvox.models.weights import CONTEXT_PREFIX, check_sizes, read_tensors
from luxvox.torch_state import usual_state

VOICE_KIND = "voice"
BITS_SCALE = 8  # static rates are kept in 1/8 bit
EXPONENTS = "exponents"
GROUPS = "groups"
MAX_CODEWORD, MAX_EXPONENT = 127, 8  # together below 2^15
SCALES = ".scales"  # of the rows of a matrix in int8
_IN_INT8 = tuple(
    f"{path}.blocks." for path in ("analysis", "wide_analysis", "synthesis", "wide_synthesis")
)
_MATRICES = "expand.weight", "project.weight"
_MIN_SCALE = 2.0**-14  # the smallest normal float16
_CODEBOOKS = "vq.codebooks"
_BITS = "vq.bits"


@dataclass(frozen=True)
class VoiceCodec:
    """A voice model ready to run: float networks, integer context model, card."""

    card: ModelCard
    model: SpeechModel
    context: Context

    @property
    def fingerprint(self) -> bytes:
        """The 4 bytes that files carry."""
        return bytes.fromhex(self.card.fingerprint)


def voice_codec(number: int | None = None, fingerprint: bytes | None = None) -> VoiceCodec:
    """Return the voice codec that a file names; the newest by default.

    Args:
        number: of the model in the file format.
        fingerprint: of its integer tables, 4 bytes; None for any.

    Raises:
        UnsupportedError: if no such weights are installed.
        ModelError: if there are no voice weights, or they are altered.
    """
    return _load_codec(find_card(VOICE_KIND, number, fingerprint))


def load_voice_codec(path: Path) -> VoiceCodec:
    """Load and verify the weights next to a model card.

    Raises:
        ModelError: if the file is missing, its SHA-256 or the fingerprint of its integer tables
            differs from the card, a tensor is missing, or an accumulator could overflow.
    """
    return _load(read_card(path))


@functools.lru_cache(maxsize=4)
def _load_codec(card: ModelCard) -> VoiceCodec:
    """Load a codec, once for each card."""
    return _load(card)


@usual_state()
def _load(card: ModelCard) -> VoiceCodec:
    tensors = read_tensors(card)
    if card.kind != VOICE_KIND:
        raise ModelError(f"{card.id}: kind {card.kind!r} is not {VOICE_KIND!r}")
    try:
        config = SpeechConfig(
            **{"n_bands": 0, "wide_width": 0, **card.config}
        )  # the first models had none
        check_sizes(card, tensors, _shapes(config))
        # All shapes are compared before anything of the card's sizes is allocated.
        with torch.device("meta"):
            model = SpeechModel(config)
        level = context_level(model, tensors)
        model.load_state_dict(_unpack(tensors, level), assign=True)
        context = Context(speech_plan_of(model.config), {LEVEL: level})
    except ModelError as error:
        raise ModelError(f"{card.id}: {error}") from None
    except (KeyError, RuntimeError, TypeError, IndexError, ValueError) as error:
        raise ModelError(f"{card.id}: the weights do not fit the card: {error}") from None
    return VoiceCodec(card, model.eval().requires_grad_(False), context)


def _shapes(config: SpeechConfig) -> dict[str, tuple[int, ...]]:
    books = config.n_stages, config.codebook_size, config.n_channels
    return {
        "down": (config.n_channels, config.n_inputs),
        "analysis.enter.weight": (config.width, config.n_inputs, 3),
        f"{CONTEXT_PREFIX}{LEVEL}.{CODEWORDS}": books,
    }


def round_codebooks(codebooks: Tensor) -> Tensor:
    """Round codebooks [stages, 1, K, channels] in steps as a weights file stores them."""
    codewords, exponents = _narrow(torch.floor(codebooks[:, 0] * CODEWORD_SCALE + 0.5))
    return _widen(codewords, exponents)[:, None] / CODEWORD_SCALE


def _narrow(codewords: Tensor) -> tuple[Tensor, Tensor]:
    """Round codewords [S, K, C] in 1/16 step to −127 … 127, times 2 to exponents [S, C]."""
    largest = codewords.abs().amax(1)
    units = (1 << torch.arange(MAX_EXPONENT))[:, None, None]
    exponents = (torch.floor(largest / units + 0.5) > MAX_CODEWORD).sum(0)
    codewords = torch.floor(codewords / (1 << exponents)[:, None] + 0.5)
    return codewords.clamp(-MAX_CODEWORD, MAX_CODEWORD), exponents


def _widen(codewords: Tensor, exponents: Tensor) -> Tensor:
    """Undo `_narrow`, as float32."""
    return (codewords.long() * (1 << exponents.long())[:, None]).float()


def pack_speech(model: SpeechModel, level: ContextLevel) -> dict[str, Tensor]:
    """Name and narrow all tensors for a weights file."""
    packed = {}
    for name, value in model.state_dict().items():
        if name == _BITS:
            packed[name] = (value * BITS_SCALE + 0.5).clamp(0, 255).to(torch.uint8)
        elif name.startswith(_IN_INT8) and name.endswith(_MATRICES):
            packed[name], packed[name + SCALES] = _matrix_in_int8(value)
        elif name != _CODEBOOKS:
            packed[name] = value.to(torch.float16)
    prefix = f"{CONTEXT_PREFIX}{LEVEL}."
    codewords, exponents = _narrow(level.codewords[:, 0])
    packed[f"{prefix}{CODEWORDS}"] = codewords.to(torch.int8)
    packed[f"{prefix}{EXPONENTS}"] = exponents.to(torch.uint8)
    packed[f"{prefix}{GROUPS}"] = torch.tensor([level.shape.n_channels], dtype=torch.int16)
    for name, tensor in level.tensors.items():
        packed[prefix + name] = tensor.to(torch.int32 if name.endswith("bias") else torch.int8)
    return packed


def _matrix_in_int8(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Round a matrix [out, in] to int8 times a scale for each row, float16 [out]."""
    scales = (matrix.abs().amax(1) / MAX_CODEWORD).clamp(min=_MIN_SCALE).to(torch.float16)
    rounded = torch.round(matrix / scales.float()[:, None])
    return rounded.clamp(-MAX_CODEWORD, MAX_CODEWORD).to(torch.int8), scales


def context_level(model: SpeechModel, tensors: Mapping[str, Tensor]) -> ContextLevel:
    """Return the integer tables of a weights file for the runtime."""
    prefix = f"{CONTEXT_PREFIX}{LEVEL}."
    raw = {k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)}
    if raw.pop(GROUPS).tolist() != [model.config.n_channels]:
        raise ModelError("card and weights differ in their number of channels")
    if EXPONENTS in raw:  # the first models held int16
        raw[CODEWORDS] = _codewords(raw[CODEWORDS], raw.pop(EXPONENTS))
    shape = shape_of_tables(model.config.n_channels, raw)
    check_tables(shape, speech_plan_of(model.config)[0], raw)
    own = {name: table.float() for name, table in raw.items()}
    codewords = own.pop(CODEWORDS)[:, None]
    return ContextLevel(shape, own, codewords)


def _codewords(codewords: Tensor, exponents: Tensor) -> Tensor:
    """Return the codewords [S, K, C] of a weights file as int16, in 1/16 step."""
    legal = codewords.dtype == torch.int8 and exponents.dtype == torch.uint8
    if not legal or tuple(exponents.shape) != (codewords.shape[0], codewords.shape[2]):
        found = (
            f"{codewords.dtype} {list(codewords.shape)}, {exponents.dtype} {list(exponents.shape)}"
        )
        raise ModelError(
            f"codewords and exponents are {found}, legal: int8 [S, K, C], uint8 [S, C]"
        )
    if int(exponents.max()) > MAX_EXPONENT or int(codewords.min()) < -MAX_CODEWORD:
        raise ModelError(f"an exponent above {MAX_EXPONENT}, or a codeword below −{MAX_CODEWORD}")
    return _widen(codewords, exponents).to(torch.int16)


def _unpack(tensors: Mapping[str, Tensor], level: ContextLevel) -> dict[str, Tensor]:
    state = {k: t.float() for k, t in tensors.items() if not k.startswith(CONTEXT_PREFIX)}
    for name in [name for name in state if name.endswith(SCALES)]:
        state[name.removesuffix(SCALES)] *= state.pop(name)[:, None]
    state[_BITS] = state[_BITS] / BITS_SCALE
    state[_CODEBOOKS] = level.codewords / CODEWORD_SCALE
    return state
