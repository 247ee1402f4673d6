"""The trainable twin of the context model of pictures.

It computes in floats what the codec computes in integers (`luxvox.entropy.picture.layers`):
weights and activations are rounded to the integers' grid in every forward pass, and gradients
pass the rounding straight through (Bengio et al., 2013).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luxvox.entropy.picture.lattice import LatticeLevel, LatticePass, phase_mask
from luxvox.entropy.picture.layers import N_SCALES, N_STEP_INPUTS, SHIFTS, known_taps
from luxvox.models.training.picture.context_start import normal, start_of_pass
from luxvox.models.training.picture.integers import (
    activate,
    at_positions,
    compand_codes,
    logistic_bits,
    round_half_up,
)

WEIGHT_MAX = 127.0
# The learnt value of one unit of a layer's integer weights; it sets the pace of learning.
UNITS = {
    "state": 256.0,
    "own": 256.0,
    "mid": 128.0,
    "out": 64.0,
    "spread": 256.0,
    "grow": 128.0,
    "line": 128.0,
}
BFLOAT16_LEVELS = ("base", "detail")  # levels that may be computed in bfloat16


class LevelTwin(nn.Module):
    """Trainable context network of one level."""

    def __init__(self, level: LatticeLevel, n_next: int) -> None:
        super().__init__()
        self.level = level
        values: dict[str, Tensor] = {}
        for number, hidden in enumerate(level.pass_hidden):
            start = start_of_pass(level, level.passes[number], hidden)
            values |= {f"p{number}_{name}": value for name, value in start.items()}

        # The finest level passes no state on.
        if level.n_up:
            n_inputs = level.n_channels + level.n_state + N_STEP_INPUTS
            values["spread"] = normal(level.n_up, n_inputs, 3, 3)
            values["spreadbias"] = torch.zeros(level.n_up)
            values["grow"] = normal(4 * n_next, level.n_up, 1, 1)
            values["growbias"] = torch.zeros(4 * n_next)

        self.values = nn.ParameterDict({k: nn.Parameter(v) for k, v in values.items()})

    def whole(self, name: str) -> Tensor:
        """Return a weight as whole numbers −127 … 127."""
        # Beyond the range of int8 there is no gradient, so no weight runs away.
        unit = UNITS[name.rpartition("_")[2]]
        return round_half_up(F.hardtanh(self.values[name] * unit, -WEIGHT_MAX, WEIGHT_MAX))

    def bias(self, name: str, layer: str) -> Tensor:
        """Return a bias as whole numbers in the unit of the accumulator."""
        return round_half_up(self.values[name] * 2.0 ** SHIFTS[layer])

    def next_state(self, companded: Tensor, state: Tensor | None, step: Tensor) -> Tensor:
        """Return the state of the next finer level, made from this and all coarser ones.

        Args:
            companded: codes [B, C, H, W], companded.
            state: [B, n_state, H, W], or None.
            step: planes of the log-step [B, 2, H, W].
        """
        # [B, C + n_state + 2, H, W] -> [B, n_up, H, W]
        parts = [companded, step] if state is None else [companded, state, step]
        x = F.conv2d(_channels_last(torch.cat(parts, 1)), self.whole("spread"), padding=1)
        x = activate(x, self.bias("spreadbias", "spread"), "spread")

        # [B, n_up, H, W] -> [B, 4 · n_next, H, W] -> [B, n_next, 2 H, 2 W]
        x = F.conv2d(x, self.whole("grow"))
        x = activate(x, self.bias("growbias", "grow"), "grow")
        return F.pixel_shuffle(x, 2)

    def predict(self, number: int, inputs: _Inputs, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return means in eighths of a step and scale indices of a pass [B, end − first, n, 1].

        Args:
            number: of the pass.
            inputs: this method leaves out codes that the pass does not know.
            positions: numbers of the positions to predict [n], at least one.
        """
        pass_ = self.level.passes[number]
        own, companded = inputs.own, inputs.companded
        state, step = inputs.state, inputs.step

        # [B, n_state + 2, H, W] and [B, n_known, H, W] -> [B, hidden, H, W]
        planes = step if state is None else torch.cat([state, step], 1)
        x = F.conv2d(_channels_last(planes), self.whole(f"p{number}_state"))
        if pass_.n_known:
            x = x + F.conv2d(
                _channels_last(_known_codes(pass_, companded)),
                self.whole(f"p{number}_own"),
                padding=1,
            )

        # From here on only where the pass predicts: [B, hidden, H, W] -> [B, hidden, n, 1].
        x = at_positions(x, positions)
        x = activate(x, self.bias(f"p{number}_bias", "own"), "own")

        x = F.conv2d(x, self.whole(f"p{number}_mid"))
        x = activate(x, self.bias(f"p{number}_midbias", "mid"), "mid")

        # [B, hidden, n, 1] -> [B, 2 · (end − first), n, 1] -> twice half of the channels; means may
        # be larger than bfloat16 tells apart, so they are in float32 from here on.
        x = F.conv2d(x, self.whole(f"p{number}_out")).float()
        x = x + self.bias(f"p{number}_outbias", "out")[:, None, None]
        mean, scale = round_half_up(x * 2.0 ** -SHIFTS["out"]).chunk(2, 1)

        # Companding makes large codes nearly equal, so the first channels also use plain codes.
        if pass_.known:
            mean = mean + at_positions(self._lean(pass_, number, own), positions)
        return mean, scale

    def _lean(self, pass_: LatticePass, number: int, own: Tensor) -> Tensor:
        """Return the part of the first channels' means that depends on their own neighbours."""
        taps = self.whole(f"p{number}_line")
        n = len(taps)

        # [B, C, H, W] -> [B, n, H, W]; a 3×3 kernel per channel, [n, 9] -> [n, 1, 3, 3].
        known = own[:, pass_.first : pass_.first + n] * _mask(pass_.known, own)
        kernels = taps.reshape(n, 1, 3, 3)
        with torch.autocast(own.device.type, enabled=False):
            lean = F.conv2d(known, kernels, padding=1, groups=n)
        lean = round_half_up(lean * 2.0 ** -SHIFTS["line"])

        # [B, n, H, W] -> [B, end − first, H, W]; the other channels get nothing.
        return F.pad(lean, (0, 0, 0, 0, 0, pass_.end - pass_.first - n))

    @torch.no_grad()
    def integers(self) -> dict[str, Tensor]:
        """Return the tables of the integer network, by its names."""
        tables = {}
        for name in self.values:
            prefix, layer, kind = self._table_name(name)
            if kind == "bias":
                tables[f"{prefix}{layer}.bias"] = self.bias(name, layer)
                continue

            # Taps on codes that are never known saw only zeros, and have learnt nothing.
            weight = self.whole(name)
            if layer == "own":
                pass_ = self.level.passes[int(name.partition("_")[0][1:])]
                unknown = sorted(set(range(9)) - set(known_taps(pass_)))
                weight.flatten(2)[:, pass_.first :, unknown] = 0.0

            # 1×1 kernels are matrices there: [out, in, 1, 1] -> [out, in].
            shape = weight.shape[:2] if layer in ("state", "mid", "out", "grow") else weight.shape
            tables[f"{prefix}{layer}.weight"] = weight.reshape(shape)
        return tables

    @staticmethod
    def _table_name(name: str) -> tuple[str, str, str]:
        """Return the prefix, the layer and the kind (bias, weight) of the table of a value."""
        head, _, layer_name = name.rpartition("_")
        prefix = f"pass{head[1:]}." if head else ""

        # The first layer of a pass has two weights and one bias, named after `own`.
        layer = layer_name.removesuffix("bias") or "own"
        return prefix, layer, "bias" if layer_name.endswith("bias") else "weight"

    @torch.no_grad()
    def start_from_integers(self, tables: Mapping[str, Tensor]) -> None:
        """Start from exported tables; rounding them again gives the same integers."""
        for name, value in self.values.items():
            prefix, layer, kind = self._table_name(name)
            unit = 2.0 ** SHIFTS[layer] if kind == "bias" else UNITS[layer]

            # [out, in] -> [out, in, 1, 1] where a kernel is 1×1.
            learnt = tables[f"{prefix}{layer}.{kind}"].float() / unit
            value.copy_(learnt.reshape(value.shape))


class ContextTwin(nn.Module):
    """Trainable context model of all levels."""

    def __init__(self, levels: tuple[LatticeLevel, ...]) -> None:
        super().__init__()
        self.plan = levels

        # A level makes the state of the next one, so it needs to know its width.
        states = [level.n_state for level in levels[1:]] + [0]
        self.levels = nn.ModuleDict(
            {level.name: LevelTwin(level, n) for level, n in zip(levels, states, strict=True)}
        )

    def integers(self) -> dict[str, dict[str, Tensor]]:
        """Return the tables of the integer network by level and name."""
        tables = {}
        for level in self.plan:
            twin = self.levels[level.name]
            assert isinstance(twin, LevelTwin)
            tables[level.name] = twin.integers()
        return tables

    def start_from_integers(self, tables: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Start from exported tables by level and name."""
        for level in self.plan:
            twin = self.levels[level.name]
            assert isinstance(twin, LevelTwin)
            twin.start_from_integers(tables[level.name])

    def level_bits(
        self,
        codes: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        log_step: Tensor,
        sampled: Mapping[str, int] | None = None,
    ) -> dict[str, Tensor]:
        """Estimate the bits of each sample and level, [B].

        Args:
            codes: whole numbers [B, C, H, W] by level (gradients may pass).
            values: whose bits are counted: the codes themselves, or latents with noise.
            log_step: log-step [B], −1 … 1.
            sampled: which of the two passes of each slice to compute, by level; drawn at random,
                it gives an unbiased estimate. Levels that are missing get all passes.
        """
        state: Tensor | None = None
        bits = {}
        for plan in self.plan:
            twin = self.levels[plan.name]
            assert isinstance(twin, LevelTwin)
            own = codes[plan.name]
            level_values = values[plan.name]
            companded = compand_codes(own)
            step = step_planes(log_step, own)

            # The state is passed on in float32: the next level may not accept bfloat16.
            with torch.autocast(own.device.type, enabled=_in_bfloat16(plan.name, own)):
                inputs = _Inputs(own, companded, state, step)
                bits[plan.name] = self._bits(twin, inputs, level_values, sampled)
                if plan.n_up:
                    state = twin.next_state(companded, state, step).float()
        return bits

    def predictions(
        self, codes: Mapping[str, Tensor], log_step: Tensor
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Return means in eighths of a step and scale indices of all codes, [B, C, H, W] by level.

        Args:
            codes: whole numbers [B, C, H, W] by level; each is predicted from those known before.
            log_step: log-step [B], −1 … 1.
        """
        state: Tensor | None = None
        predicted = {}
        for plan in self.plan:
            twin = self.levels[plan.name]
            assert isinstance(twin, LevelTwin)
            own = codes[plan.name]
            companded = compand_codes(own)
            step = step_planes(log_step, own)
            inputs = _Inputs(own, companded, state, step)
            means = torch.zeros_like(own)
            scales = torch.zeros_like(own)

            with torch.autocast(own.device.type, enabled=_in_bfloat16(plan.name, own)):
                # Every code belongs to one pass: [B, end − first, n, 1] -> [B, end − first, n].
                for number, pass_ in enumerate(plan.passes):
                    positions = _positions(pass_.phases, own)
                    if not len(positions):
                        continue
                    mean, scale = twin.predict(number, inputs, positions)
                    for whole, part in ((means, mean), (scales, scale.clamp(0, N_SCALES - 1))):
                        whole.flatten(2)[:, pass_.first : pass_.end, positions] = part[..., 0]
                if plan.n_up:
                    state = twin.next_state(companded, state, step).float()
            predicted[plan.name] = means, scales
        return predicted

    def _bits(
        self, twin: LevelTwin, inputs: _Inputs, values: Tensor, sampled: Mapping[str, int] | None
    ) -> Tensor:
        """Return the bits [B] of a level, or their estimate from one pass of each slice."""
        level = twin.level
        own = inputs.own
        chosen = None if sampled is None else sampled.get(level.name)

        total = own.new_zeros(len(own))
        number = 0
        for order in level.orders:
            # A single pass represents all passes of its slice.
            n_represented = 1 if chosen is None else len(order)
            for index, _ in enumerate(order):
                pass_ = level.passes[number]
                positions = _positions(pass_.phases, own)
                if chosen in (None, index) and len(positions):
                    mean, scale = twin.predict(number, inputs, positions)

                    # [B, end − first, H, W] -> [B, end − first, n, 1] -> [B]
                    part = at_positions(values[:, pass_.first : pass_.end], positions)
                    cost = logistic_bits(part, mean, scale)
                    total = total + cost.sum((1, 2, 3)) * n_represented
                number += 1
        return total


@dataclass(frozen=True)
class _Inputs:
    """The inputs of a level's twin.

    Attributes:
        own, companded: its codes [B, C, H, W], and these companded.
        state: of the coarser levels [B, n_state, H, W]; None at the coarsest.
        step: `step_planes` of the log-step.
    """

    own: Tensor
    companded: Tensor
    state: Tensor | None
    step: Tensor


def step_planes(log_step: Tensor, like: Tensor) -> Tensor:
    """Return planes of the log-step and its square, whole numbers, [B, 2, H, W]."""
    # [B] -> [B, 2] -> [B, 2, H, W]
    whole = torch.floor(log_step * 127.0 + 0.5)
    planes = torch.stack([whole, torch.floor(whole * whole / 128.0)], 1)
    return planes[:, :, None, None].expand(-1, -1, *like.shape[2:])


def _in_bfloat16(level: str, like: Tensor) -> bool:
    """Allow bfloat16 only for fine levels; coarse ones are small, with large numbers."""
    return level in BFLOAT16_LEVELS and torch.is_autocast_enabled(like.device.type)


def _known_codes(pass_: LatticePass, codes: Tensor) -> Tensor:
    """Return those codes [B, C, H, W] of a level that a pass knows, [B, n_known, H, W]."""
    before = codes[:, : pass_.first]
    if not pass_.known:
        return before

    # Earlier slices are known everywhere, its own slice at the positions of earlier passes.
    own = codes[:, pass_.first : pass_.end] * _mask(pass_.known, codes)
    return torch.cat([before, own], 1)


def _mask(phases: tuple[tuple[int, int], ...], like: Tensor) -> Tensor:
    """Return 1 at the positions of phases, and 0 elsewhere, [1, 1, H, W]."""
    mask = torch.from_numpy(phase_mask(phases, *like.shape[2:]))
    return mask.to(like.device, like.dtype)[None, None]


def _positions(phases: tuple[tuple[int, int], ...], like: Tensor) -> Tensor:
    """Return the positions of phases, numbered in row order, int64 [n]."""
    mask = torch.from_numpy(phase_mask(phases, *like.shape[2:]))
    return mask.flatten().nonzero()[:, 0].to(like.device)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
