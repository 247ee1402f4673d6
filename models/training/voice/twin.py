"""The float twin of the context model, which learns the tables of `luxvox.entropy.voice.context`.

Weights are kept as floats and rounded to the integers' grid in every forward pass; gradients pass
the rounding straight through (Bengio et al., 2013).  The arithmetic is the runtime's own code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from luxvox.entropy.pmf import LOGITS_PER_BIT
from luxvox.entropy.voice.context import Context, ContextLevel
from luxvox.entropy.voice.layers import (
    CODEWORD_SCALE,
    SHIFTS,
    LevelShape,
    Lines,
    code_logits,
    codeword_sum,
    depth_input,
    flag_logits,
    hidden_features,
    line_features,
)
from luxvox.entropy.voice.plan import LevelPlan
from luxvox.models.voice.networks import LEVEL, SpeechModel
from luxvox.models.voice.rvq import ResidualVQ
from luxvox.models.voice.tables import speech_plan_of, table_shapes

WIDTH, HIDDEN = 256, 48
FIRST_TAPS, THIRD_TAPS = 3, 9


class ContextTwin(nn.Module):
    """Trainable context model of one level."""

    def __init__(self, shape: LevelShape, plan: LevelPlan) -> None:
        super().__init__()
        self.shape = shape
        self.plan = plan

        # Biases start at zero, and so does the embedding.
        spreads = {"head.weight": 0.02, "flag.weight": 0.3, "table.weight": 0.1}
        values = {}
        for name, size in table_shapes(shape, plan).items():
            spread = _he(size) if name.startswith("conv") else spreads.get(name, 0.0)
            random = name.endswith("weight") and spread
            values[name] = torch.randn(size) * spread if random else torch.zeros(size)

        # Parameter names must not contain dots.
        self.values = nn.ParameterDict(
            {name.replace(".", "_"): nn.Parameter(value) for name, value in values.items()}
        )
        self.names = list(values)

    @torch.no_grad()
    def start_from_static(self, vq: ResidualVQ) -> None:
        """Set the biases to the static tables and the tables to functions of the codewords."""
        # [bins, stages, 1, K] -> [stages, 1, K] -> [stages, 1]
        probability = torch.exp2(-vq.bits).mean(0)
        null = probability[..., 0].clamp(1e-4, 1 - 1e-4)
        self.values["flag_bias"].copy_(torch.log2(null / (1.0 - null)))

        # Codewords [stages, 1, K − 1] are coded only if the flag says that the code is not null.
        codewords = probability[..., 1:] / (1.0 - null)[..., None]
        self.values["table_bias"].copy_(torch.log2(codewords.clamp(min=2.0**-15)))

        # [K − 1, size] -> [K − 1, 2 · size], of which the first `hidden` are used.
        table = self.values["table_weight"]  # [stages, 1, K − 1, hidden]
        for stage in range(self.plan.n_stages):
            features = codeword_features(vq.codebooks[stage, 0, 1:, : vq.n_channels])
            n = min(features.shape[1], table.shape[-1])
            table[stage, 0, :, :n] = 0.4 * features[:, :n]

    def integers(self) -> dict[str, Tensor]:
        """Return all tensors rounded to whole numbers, gradients straight through."""
        return {
            name: self._integer(name, self.values[name.replace(".", "_")]) for name in self.names
        }

    @torch.no_grad()
    def start_from_integers(self, tensors: Mapping[str, Tensor]) -> None:
        """Start from exported tables; rounding them again gives the same integers.

        Additional taps start at zero, and change nothing.
        """
        for name in self.names:
            value, exported = self.values[name.replace(".", "_")], tensors[name]
            if name.startswith("conv") and name.endswith("weight"):
                more = (value.shape[3] - exported.shape[3]) // 2
                exported = nn.functional.pad(exported, (more, more))
            value.copy_(exported.float() / _scale(name))

    @torch.no_grad()
    def start_from_stages(
        self, tensors: Mapping[str, Tensor], plan: LevelPlan, n_stages: int
    ) -> None:
        """Copy the trunk and the first stages from the exported tables of another plan.

        Later passes start from the passes of its last stage, later heads from the last copied one.
        """
        # For each pass, the pass of the other plan that it starts from.
        origins = [
            plan.passes.index(replace(pass_, stage=min(pass_.stage, plan.n_stages - 1)))
            for pass_ in self.plan.passes
        ]

        for name in self.names:
            value = self.values[name.replace(".", "_")]
            exported = tensors[name].float() / _scale(name)
            if name.startswith("conv"):
                value.copy_(exported[origins] if name == "conv1.bias" else exported)
                continue

            # The embedding has no entry for the last stage, since none follows it. Tables belong to
            # codewords, so those of later stages do not change.
            n = n_stages - 1 if name == "embedding" else n_stages
            value[:n].copy_(exported[:n])
            if name.startswith(("head", "flag")):
                value[n:].copy_(exported[n - 1])

    def _integer(self, name: str, value: Tensor) -> Tensor:
        """Return a value as whole numbers; weights are int8, biases as wide as accumulators."""
        scaled = value * _scale(name)
        return _round(scaled if name.endswith("bias") else scaled.clamp(-127, 127))


def _scale(name: str) -> float:
    """Return the integer value of one unit of a trained value."""
    layer, _, kind = name.partition(".")
    if name == "embedding":
        return 1.0

    # Biases of the last layers are learnt in bits, as the static tables are.
    unit = LOGITS_PER_BIT if kind == "bias" and layer in ("flag", "table") else 1
    return float(unit << SHIFTS[layer])


def _he(size: tuple[int, ...]) -> float:
    return math.sqrt(2.0 / math.prod(size[1:]))


def _round(value: Tensor) -> Tensor:
    """Round half up; gradients pass straight through."""
    error = torch.floor(value.detach() + 0.5) - value.detach()
    return value + error


def codeword_features(codewords: Tensor) -> Tensor:
    """Return features [K, n] of codewords [K, size] whose sums can shape a distribution."""
    # Logarithms keep small numbers apart that would be lost next to large ones.
    scaled = codewords.sign() * torch.log2(1.0 + codewords.abs())
    scaled = scaled / scaled.abs().amax().clamp(min=1e-6)

    # [K, size] -> [K, 2 · size]: signs shift a distribution, magnitudes widen it.
    features = torch.cat([scaled, scaled.abs()], 1)
    features = features - features.mean(0)
    return features / features.std(0).clamp(min=1e-3)


@dataclass(frozen=True)
class LevelParts:
    """The ingredients of a level's context model."""

    shape: LevelShape
    quantiser: ResidualVQ


def speech_twins(model: SpeechModel, shape: LevelShape | None = None) -> ContextTwins:
    """Return untrained twins of a voice model, by default with the sizes of new models."""
    plan = speech_plan_of(model.config)
    shape = shape or LevelShape(model.config.n_channels, WIDTH, HIDDEN, FIRST_TAPS, THIRD_TAPS)
    return ContextTwins(plan, {plan[0].name: LevelParts(shape, model.vq)})


def with_new_taps(twins: ContextTwins, model: SpeechModel) -> ContextTwins:
    """Return twins with as many taps as new models; the additional taps change nothing yet."""
    level = twins.runtime_level(LEVEL)
    taps = {
        "first_taps": max(level.shape.first_taps, FIRST_TAPS),
        "third_taps": max(level.shape.third_taps, THIRD_TAPS),
    }
    wider = speech_twins(model, replace(level.shape, **taps))
    wider.twin(LEVEL).start_from_integers(level.tensors)
    return wider


class ContextTwins(nn.Module):
    """The twin of each level of a walk, and the codewords it shares with the runtime."""

    def __init__(self, plan: tuple[LevelPlan, ...], parts: Mapping[str, LevelParts]) -> None:
        super().__init__()
        self.plan = plan
        self.levels = nn.ModuleDict()
        for level in plan:
            twin = ContextTwin(parts[level.name].shape, level)
            twin.start_from_static(parts[level.name].quantiser)
            self.levels[level.name] = twin
        self.codewords = {name: integer_codewords(part.quantiser) for name, part in parts.items()}

    def twin(self, name: str) -> ContextTwin:
        """Return the twin of a level."""
        module = self.levels[name]
        if not isinstance(module, ContextTwin):
            raise AssertionError("not a twin")
        return module

    def runtime(self) -> Context:
        """Return the integer context model that the codec runs."""
        return Context(self.plan, {plan.name: self.runtime_level(plan.name) for plan in self.plan})

    def runtime_level(self, name: str) -> ContextLevel:
        """Return the integer tables of a level for the runtime."""
        twin = self.twin(name)
        with torch.no_grad():
            tensors = {key: value.detach().clone() for key, value in twin.integers().items()}
        return ContextLevel(twin.shape, tensors, self.codewords[name])

    def bits(
        self,
        name: str,
        codes: Mapping[str, Tensor],
        log_step_int: Tensor,
        index: int,
        tensors: Mapping[str, Tensor] | None = None,
    ) -> dict[int, Tensor]:
        """Return the summed cost in bits of the codes that one pass predicts, by stage.

        Args:
            name: the level.
            codes: int64 [B, stages, 1, 1, F] by level.
            log_step_int: log-step [B], whole numbers −127 … 127.
            index: which pass.
            tensors: the level's `integers`, if several passes share them.
        """
        twin = self.twin(name)
        tensors = twin.integers() if tensors is None else tensors
        stage = twin.plan.passes[index].stage
        frame_codes = codes[name][:, :, 0, 0]  # [B, stages, 1, 1, F] -> [B, stages, F]
        lines = self._known_lines(name, frame_codes, log_step_int, index)

        # Flat positions that are predicted [N], and their codes [stages, N].
        positions = lines.mask.expand(len(frame_codes), -1).flatten().nonzero()[:, 0]
        codewords = frame_codes.transpose(0, 1).flatten(1)[:, positions]

        # After a null nothing is coded: [N] -> the frames that are alive [n].
        previous: Tensor | None = None
        if stage > 0:
            alive = codewords[stage - 1] != 0
            positions = positions[alive]
            codewords = codewords[:, alive]
            previous = codewords[stage - 1]

        # [n] -> [n, width] -> [n, hidden]
        features = line_features(lines, tensors, index, positions)
        hidden = hidden_features(features, tensors, stage, previous)
        return {stage: _stage_bits(hidden, tensors, stage, codewords[stage])}

    def _known_lines(self, name: str, codes: Tensor, log_step_int: Tensor, index: int) -> Lines:
        """Return the inputs that are known of codes [B, stages, F] before a pass."""
        plan = self.twin(name).plan
        length = codes.shape[2]
        pass_ = plan.passes[index]
        known = codes * known_mask(plan, index, length)

        # [B, stages, F] -> [B · F, stages] -> [B · F, channels]; later stages are unknown
        n = pass_.stage + 1
        codewords = known[:, :n].transpose(1, 2).flatten(0, 1)
        own = codeword_sum(codewords, self.codewords[name][:n, 0])

        # [B, stages, F] -> [B, F] -> [B · F]
        depth = depth_input(known != 0).flatten()
        mask = torch.from_numpy(pass_.mask(length)).float()
        return Lines(own, depth, mask, log_step_int)


def integer_codewords(vq: ResidualVQ) -> Tensor:
    """Round codewords to int16 in 1/16 step (held in float32)."""
    return torch.floor(vq.codebooks * CODEWORD_SCALE + 0.5).clamp(-32768, 32767)


def known_mask(plan: LevelPlan, index: int, n_frames: int) -> Tensor:
    """Return where codes are known before a pass, int64 [stages, F]."""
    known = torch.zeros(plan.n_stages, n_frames, dtype=torch.int64)
    for pass_ in plan.passes[:index]:
        known[pass_.stage] |= torch.from_numpy(pass_.mask(n_frames)).long()
    return known


def _stage_bits(hidden: Tensor, tensors: Mapping[str, Tensor], stage: int, codes: Tensor) -> Tensor:
    """Return the cross-entropy in bits of codes [N] of one stage under hidden vectors."""
    # torch takes natural logits instead of 1/16 bits.
    unit = math.log(2) / LOGITS_PER_BIT
    logits = flag_logits(hidden, tensors, stage) * unit
    null = (codes == 0).to(logits.dtype)
    total = nn.functional.binary_cross_entropy_with_logits(logits, null, reduction="sum")

    # Where the code is not null its codeword is coded, too: [N, hidden] -> [n, K − 1].
    chosen = torch.nonzero(codes)[:, 0]
    if len(chosen):
        codewords = code_logits(hidden[chosen], tensors, stage) * unit
        total = total + nn.functional.cross_entropy(codewords, codes[chosen] - 1, reduction="sum")
    return total / math.log(2)
