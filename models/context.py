"""The float twin of the context model: learns the integers that `luxvox.entropy.context` runs.

Weights are kept as floats and rounded to the integers' grid in every forward pass; gradients pass
the rounding straight through (Bengio et al., 2013).  All arithmetic is the runtime's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from luxvox.entropy.context import Context, ContextLevel
from luxvox.entropy.layers import (
    CODEWORD_SCALE,
    SHIFTS,
    LevelShape,
    code_logits,
    codeword_sum,
    depth_plane,
    distance_cost,
    flag_logits,
    haar_inverse,
    has_slopes,
    hidden_features,
    level_inputs,
    line_features,
    neighbour_means,
    slopes,
    trunk,
)
from luxvox.entropy.pmf import LOGITS_PER_BIT
from luxvox.entropy.walk import LevelPlan, voice_plan
from luxvox.errors import ModelError
from luxvox.models.rvq import ResidualVQ
from luxvox.models.speech import SpeechConfig, SpeechModel

SLOPED = ("top",)  # levels whose first groups lean on the mean of their neighbours
SLOPE_START = 32.0  # in 1/8 octave: hardly anything
SPEECH_HIDDEN = 48
SPEECH_WIDTH = 256
CODEWORDS = "codewords"
LINE = (1, 3)  # the kernel on a line of frames


def speech_plan_of(config: SpeechConfig) -> tuple[LevelPlan, ...]:
    """Return the walk of a voice model."""
    return voice_plan(config.n_stages, config.first_stages, config.codebook_size)


def table_shapes(shape: LevelShape, plan: LevelPlan) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tables of a level's context model, by name (FORMAT.md, Tensors)."""
    width, hidden = shape.width, shape.hidden
    places = plan.n_stages, plan.n_groups
    words = plan.codebook_size - 1
    shapes: dict[str, tuple[int, ...]] = {
        "conv1.weight": (width, shape.n_inputs, *shape.kernel),
        "conv2.weight": (width, width, 1, 1),
        "conv3.weight": (width, width, *shape.kernel),
        "conv4.weight": (width, width, 1, 1),
        "conv1.bias": (len(plan.passes), width),
        **{f"conv{n}.bias": (width,) for n in (2, 3, 4)},
        "head.weight": (*places, hidden, width),
        "head.bias": (*places, hidden),
        "embedding": (plan.n_stages - 1, plan.n_groups, plan.codebook_size, hidden),
        "flag.weight": (*places, hidden),
        "flag.bias": places,
        "table.weight": (*places, words, hidden),
        "table.bias": (*places, words),
    }
    if plan.name in SLOPED:
        n_sloped = plan.passes[0].end_group
        shapes |= {"slope.weight": (n_sloped, hidden), "slope.bias": (n_sloped,)}
    return shapes


def check_tables(shape: LevelShape, plan: LevelPlan, tensors: Mapping[str, Tensor]) -> None:
    """Check the integer tables of a level as a weights file holds them.

    Args:
        shape, plan: of the level.
        tensors: its tables and its codewords [stages, K, channels].

    Raises:
        ModelError: if one is missing, too many, of another shape or type, or if word 0 is not zero.
    """
    books = plan.n_stages, plan.codebook_size, shape.n_channels
    expected = {**table_shapes(shape, plan), CODEWORDS: books}
    for name in sorted(expected.keys() ^ tensors.keys()):
        known = name in expected
        raise ModelError(f"{plan.name}: table {name} is {'missing' if known else 'unknown'}")
    for name, size in expected.items():
        wide = torch.int32 if name.endswith("bias") else torch.int8
        kind = torch.int16 if name == CODEWORDS else wide
        if tuple(tensors[name].shape) != size or tensors[name].dtype != kind:
            found = f"{tensors[name].dtype} {list(tensors[name].shape)}"
            raise ModelError(f"{plan.name}: table {name} is {found}, legal: {kind} {list(size)}")
    if tensors[CODEWORDS][:, 0].any():
        raise ModelError(f"{plan.name}: word 0 is not zero, which null codes need")


class ContextTwin(nn.Module):
    """Trainable context model of one level."""

    def __init__(self, shape: LevelShape, plan: LevelPlan) -> None:
        super().__init__()
        self.shape, self.plan = shape, plan
        spreads = {"head.weight": 0.02, "flag.weight": 0.3, "table.weight": 0.1}
        values = {}
        for name, size in table_shapes(shape, plan).items():
            spread = _he(size) if name.startswith("conv") else spreads.get(name, 0.0)
            random = name.endswith("weight") and spread
            values[name] = torch.randn(size) * spread if random else torch.zeros(size)
        if plan.name in SLOPED:
            values["slope.bias"].fill_(SLOPE_START)
        self.values = nn.ParameterDict(
            {name.replace(".", "_"): nn.Parameter(value) for name, value in values.items()}
        )
        self.names = list(values)

    @torch.no_grad()
    def start_from_static(self, vq: ResidualVQ) -> None:
        """Set the biases to the static tables and the tables to functions of the codewords."""
        probability = torch.exp2(-vq.bits).mean(0)
        null = probability[..., 0].clamp(1e-4, 1 - 1e-4)
        self.values["flag_bias"].copy_(torch.log2(null / (1.0 - null)))
        words = probability[..., 1:] / (1.0 - null)[..., None]
        self.values["table_bias"].copy_(torch.log2(words.clamp(min=2.0**-15)))
        table = self.values["table_weight"]
        for stage in range(self.plan.n_stages):
            for group in range(self.plan.n_groups):
                size = int((vq.slots[group] < vq.n_channels).sum())
                features = word_features(vq.codebooks[stage, group, 1:, :size])
                n = min(features.shape[1], table.shape[-1])
                table[stage, group, :, :n] = 0.4 * features[:, :n]

    def integers(self) -> dict[str, Tensor]:
        """Return all tensors rounded to whole numbers, gradients straight through."""
        return {
            name: self._integer(name, self.values[name.replace(".", "_")]) for name in self.names
        }

    @torch.no_grad()
    def start_from_integers(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over exported tables; rounding them again gives the same integers."""
        for name in self.names:
            self.values[name.replace(".", "_")].copy_(tensors[name].float() / _scale(name))

    @torch.no_grad()
    def start_from_stages(
        self, tensors: Mapping[str, Tensor], plan: LevelPlan, n_stages: int
    ) -> None:
        """Take over the trunk and the first stages of the exported tables of another plan.

        Later passes start from those of its last stage, later heads from the last of the first.
        """
        like = [
            plan.passes.index(replace(one, stages=(min(one.stages[0], plan.n_stages - 1),)))
            for one in self.plan.passes
        ]
        for name in self.names:
            value, exported = self.values[name.replace(".", "_")], tensors[name].float()
            exported = exported / _scale(name)
            if name.startswith("conv"):
                value.copy_(exported[like] if name == "conv1.bias" else exported)
                continue
            n = n_stages - 1 if name == "embedding" else n_stages
            value[:n].copy_(exported[:n])
            if name.startswith(("head", "flag")):
                value[n:].copy_(exported[n - 1])

    def _integer(self, name: str, value: Tensor) -> Tensor:
        scaled = value * _scale(name)
        return _round(scaled if name.endswith("bias") else scaled.clamp(-127, 127))


def _scale(name: str) -> float:
    """Return what one unit of a trained value is as an integer."""
    layer, _, kind = name.partition(".")
    if name == "embedding":
        return 1.0
    unit = LOGITS_PER_BIT if kind == "bias" and layer in ("flag", "table") else 1
    return float(unit << SHIFTS[layer])


def _he(size: tuple[int, ...]) -> float:
    return math.sqrt(2.0 / math.prod(size[1:]))


def _round(value: Tensor) -> Tensor:
    return value + (torch.floor(value.detach() + 0.5) - value.detach())


def word_features(words: Tensor) -> Tensor:
    """Return functions [K, n] of codewords [K, size] whose sums can shape a distribution."""
    scaled = words.sign() * torch.log2(1.0 + words.abs())
    scaled = scaled / scaled.abs().amax().clamp(min=1e-6)
    columns = [scaled, scaled.abs()]
    size = words.shape[1]
    if size <= 2:
        for k in range(1, (12, 5)[size - 1]):
            columns += [torch.cos(k * math.pi * scaled), torch.sin(k * math.pi * scaled)]
    features = torch.cat(columns, 1)
    features = features - features.mean(0)
    return features / features.std(0).clamp(min=1e-3)


@dataclass(frozen=True)
class LevelParts:
    """What the context model of a level is built on."""

    shape: LevelShape
    quantiser: ResidualVQ
    parent_order: Tensor | None = None


def speech_twins(
    model: SpeechModel, width: int | None = None, hidden: int | None = None
) -> ContextTwins:
    """Return the twins of a voice model, untrained, of new models' sizes by default."""
    plan = speech_plan_of(model.config)
    sizes = width or SPEECH_WIDTH, hidden or SPEECH_HIDDEN
    shape = LevelShape(model.config.n_channels, 0, *sizes, depth=True, kernel=LINE)
    return ContextTwins(plan, {plan[0].name: LevelParts(shape, model.vq)})


class ContextTwins(nn.Module):
    """The twins of all levels, and the integer data they share with the runtime."""

    def __init__(self, plan: tuple[LevelPlan, ...], parts: Mapping[str, LevelParts]) -> None:
        super().__init__()
        self.plan = plan
        self.levels = nn.ModuleDict()
        for one in plan:
            twin = ContextTwin(parts[one.name].shape, one)
            twin.start_from_static(parts[one.name].quantiser)
            self.levels[one.name] = twin
        self.fixed = {
            name: fixed_tables(part.quantiser, part.parent_order) for name, part in parts.items()
        }

    def twin(self, name: str) -> ContextTwin:
        """Return the twin of a level."""
        module = self.levels[name]
        if not isinstance(module, ContextTwin):
            raise AssertionError("not a twin")
        return module

    def runtime(self) -> Context:
        """Return the integer context model as the codec runs it."""
        return Context(self.plan, {plan.name: self.runtime_level(plan.name) for plan in self.plan})

    def runtime_level(self, name: str) -> ContextLevel:
        """Return the integer tables of a level as the runtime takes them."""
        twin, fixed = self.twin(name), self.fixed[name]
        with torch.no_grad():
            tensors = {key: value.detach().clone() for key, value in twin.integers().items()}
        return ContextLevel(twin.shape, tensors, fixed.codewords, fixed.slots, fixed.parent_order)

    def bits(
        self,
        name: str,
        codes: Mapping[str, Tensor],
        position: Tensor,
        index: int,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> dict[int, Tensor]:
        """Return the cost in bits of what one pass predicts, summed, by stage.

        Args:
            name: the level.
            codes: int64 [B, stages, groups, H, W] by level; those above must be there too.
            position: log-step [B], whole numbers −127 … 127.
            index: which pass.
            tensors: the level's `integers`, where several passes share them.
        """
        twin, one = self.twin(name), self.twin(name).plan.passes[index]
        tensors = twin.integers() if tensors is None else tensors
        own, parent = self._known(name, codes, index)
        height, width = own.shape[2:]
        place = torch.from_numpy(one.mask(height, width))
        mask = place[None, None].float().expand(len(own), -1, -1, -1)
        depth = None
        if twin.shape.depth:
            depth = depth_plane(codes[name] * known_mask(twin.plan, index, codes[name]))
        groups = slice(one.first_group, one.end_group)
        rows = codes[name][:, :, groups].permute(1, 0, 3, 4, 2)[:, :, place].flatten(1, 2)
        if twin.shape.of_lines:
            at = place.expand(len(own), -1, -1).flatten().nonzero()[:, 0]
            if one.stages[0] > 0:
                some = (rows[one.stages[0] - 1] != 0).any(1)
                at, rows = at[some], rows[:, some]
            features = line_features(own, mask, position, depth, tensors, index, at)
        else:
            inputs = level_inputs(own, parent, mask, position, depth)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            features = trunk(inputs, tensors, torch.full((len(own),), index))
            features = features.permute(0, 2, 3, 1)[:, place].flatten(0, 1)
        costs = {}
        for stage in one.stages:
            means = None
            if has_slopes(tensors, stage, one.first_group, index):
                known = known_mask(twin.plan, index, codes[name])[:, 0, :1].float()
                near = neighbour_means(own[:, groups], known).permute(0, 2, 3, 1)[:, place]
                means = near.flatten(0, 1), self.fixed[name].codewords[0, :, 1:, 0]
            costs[stage] = _stage_bits(features, tensors, (stage, groups), rows, means)
        return costs

    def _known(
        self, name: str, codes: Mapping[str, Tensor], index: int
    ) -> tuple[Tensor, Tensor | None]:
        parent: Tensor | None = None
        for plan in self.plan:
            fixed = self.fixed[plan.name]
            n_channels = self.twin(plan.name).shape.n_channels
            if plan.name == name:
                last = plan.passes[index].stages[0] + 1  # nothing of later stages is known
                known = codes[name][:, :last] * known_mask(plan, index, codes[name])[:, :last]
                own = codeword_sum(known, fixed.codewords[:last], fixed.slots, n_channels)
                return own, parent
            own = codeword_sum(codes[plan.name], fixed.codewords, fixed.slots, n_channels)
            merged = own if parent is None else torch.cat([parent, own], 1)
            below = self.plan[self.plan.index(plan) + 1].name
            order = self.fixed[below].parent_order
            parent = None if order is None else haar_inverse(merged[:, order])
        raise AssertionError(f"no level {name}")


@dataclass(frozen=True)
class FixedTables:
    """Integer data of a level that training the twin does not change."""

    codewords: Tensor
    slots: Tensor
    parent_order: Tensor | None


def fixed_tables(vq: ResidualVQ, parent_order: Tensor | None) -> FixedTables:
    """Round codewords to int16 in 1/16 step (held in float32)."""
    codewords = torch.floor(vq.codebooks * CODEWORD_SCALE + 0.5).clamp(-32768, 32767)
    return FixedTables(codewords, vq.slots, parent_order)


def known_mask(plan: LevelPlan, index: int, codes: Tensor) -> Tensor:
    """Where codes are known before a pass: int64 [1, stages, groups, H, W]."""
    height, width = codes.shape[-2:]
    known = torch.zeros(plan.n_stages, plan.n_groups, height, width, dtype=torch.int64)
    for one in plan.passes[:index]:
        place = torch.from_numpy(one.mask(height, width)).long()
        for stage in one.stages:
            known[stage, one.first_group : one.end_group] |= place
    return known[None]


def _stage_bits(
    features: Tensor,
    tensors: Mapping[str, Tensor],
    place: tuple[int, slice],
    rows: Tensor,
    means: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """Cross-entropy in bits of codes `rows` [stages, N, groups] at one stage of some groups."""
    stage, groups = place
    codes, previous = rows[stage], None
    if stage > 0:
        some = (rows[stage - 1] != 0).any(1)
        codes, previous, features = codes[some], rows[stage - 1][some], features[some]
    hidden = hidden_features(features, tensors, stage, groups, previous)
    alive = torch.ones_like(codes, dtype=torch.bool) if previous is None else previous != 0
    logits = flag_logits(hidden, tensors, stage, groups)
    slope = slopes(hidden, tensors, groups) if means is not None else None
    if means is not None and slope is not None:
        logits = logits - distance_cost(slope, means[0].abs())
    logits = logits[alive] * (math.log(2) / LOGITS_PER_BIT)
    null = (codes[alive] == 0).to(logits.dtype)
    total = nn.functional.binary_cross_entropy_with_logits(logits, null, reduction="sum")
    # Unbound once: the gradient of a slice of a large table is a table of zeros.
    weights, biases = (
        tensors[f"table.{part}"].unbind(0)[stage].unbind(0)[groups] for part in ("weight", "bias")
    )
    by_group = hidden.unbind(1)
    for group, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        chosen = torch.nonzero(codes[:, group])[:, 0]
        if len(chosen):
            words = code_logits(by_group[group][chosen], weight, bias)
            if means is not None and slope is not None:
                values = means[1][groups.start + group]
                distance = (values - means[0][chosen, group, None]).abs()
                words = words - distance_cost(slope[chosen, group, None], distance)
            words = words * (math.log(2) / LOGITS_PER_BIT)
            target = codes[chosen, group] - 1
            total = total + nn.functional.cross_entropy(words, target, reduction="sum")
    return total / math.log(2)
