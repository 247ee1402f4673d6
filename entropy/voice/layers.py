"""The integer layers of the context model of voices: exact, on any machine.

All values are whole numbers, held in float32 or int32; every accumulator stays below 2²⁴ in
magnitude, so sums are exact in any order, with any number of threads, in any memory layout. Factors
stay within −127 … 127 wherever a library multiplies matrices, so that they are exact even in half
precision, if a caller allows that.

    Q-formats    codewords           int16, 1/16 step
                 inputs              int8, companded (`compand`)
                 weights             int8, real value · 2^shift of the layer
                 activations         0 … 127 (trunk), −127 … 127 (hidden)
                 logits              1/16 bit

A layer computes clamp(floor((Σ w·a + b) / 2^shift + 1/2)).  The same functions run the float twin
in training (`luxvox.models.training.voice.twin`), which feeds them rounded weights and lets
gradients pass the roundings straight through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from luxvox.entropy import int8
from luxvox.entropy.fixed_point import ACCUMULATOR_LIMIT, ACTIVATION_MAX, compand, rescale
from luxvox.errors import ModelError

CODEWORD_SCALE = 16
SHIFTS = {"conv1": 8, "conv2": 7, "conv3": 8, "conv4": 7, "head": 7, "flag": 5, "table": 5}
DEPTH_UNIT = 6  # added to the depth input for each coded stage


@dataclass(frozen=True)
class LevelShape:
    """Sizes of the context network.

    Attributes:
        n_channels: latent channels.
        width: channels of the trunk.
        hidden: features from which the logits are computed.
        first_taps, third_taps: number of taps of the first and the third layer, odd.
    """

    n_channels: int
    width: int
    hidden: int
    first_taps: int = 3
    third_taps: int = 3

    @property
    def n_inputs(self) -> int:
        """Number of inputs: own latents, depth, mask of the pass, log-step, its square."""
        return self.n_channels + 4


Tensors = Mapping[str, Tensor]


def depth_input(is_coded: Tensor) -> Tensor:
    """Return the input that counts the stages of each frame: [..., stages, F] to [..., F].

    Args:
        is_coded: where a code is known and not null.
    """
    return (is_coded.sum(-2, dtype=torch.float32) * DEPTH_UNIT).clamp(max=ACTIVATION_MAX)


@dataclass(frozen=True)
class Lines:
    """Lines of frames as they are known before a pass.

    Attributes:
        own: sums of known codewords [lines · F, channels] in 1/16 step.
        depth: `depth_input` of the frames [lines · F].
        mask: 1 where the pass predicts [F].
        log_step_int: log-step [lines], whole numbers −127 … 127.
    """

    own: Tensor
    depth: Tensor
    mask: Tensor
    log_step_int: Tensor

    def inputs(self, frames: Tensor) -> Tensor:
        """Return the inputs of the trunk [M, n_inputs] at some frames of all lines [M]."""
        length = len(self.mask)
        log_step_int = self.log_step_int[frames // length]
        mask = self.mask[frames % length] * ACTIVATION_MAX

        # Four planes besides the latents: depth, where codes are predicted, log-step, its square.
        columns = [
            self.depth[frames],
            mask,
            log_step_int,
            torch.floor(log_step_int * log_step_int / 128.0),
        ]
        # [M, n_channels], 4 · [M] -> [M, n_channels + 4]
        return torch.cat([compand(self.own[frames]), torch.stack(columns, 1)], 1)


@dataclass(frozen=True)
class LineTaps:
    """The inputs that the trunk needs for some frames of the lines.

    Attributes:
        frames: flat positions of the inputs, ascending [M].
        first: indices into `frames` for the first layer, M for silence beyond an end [L, taps].
        third: indices into those L results for the third layer, L beyond an end [N, taps].
    """

    frames: Tensor
    first: Tensor
    third: Tensor


def line_taps(positions: Tensor, n_lines: int, length: int, n_taps: tuple[int, int]) -> LineTaps:
    """Find the inputs that the trunk needs at flat positions [N] of `n_lines` lines.

    Args:
        positions: flat, of frames.
        n_lines, length: of the lines.
        n_taps: of the first and the third layer.
    """
    # The trunk has two layers with taps, so its inputs are found from the output backwards.
    middle, third = _neighbours(positions, n_lines, length, n_taps[1])
    frames, first = _neighbours(middle, n_lines, length, n_taps[0])
    return LineTaps(frames, first, third)


def _neighbours(positions: Tensor, n_lines: int, length: int, n_taps: int) -> tuple[Tensor, Tensor]:
    """Return the positions within reach [M], and the index of each tap among them [N, taps]."""
    # [N] -> [N, taps]: the flat position of each tap; taps beyond an end are outside.
    cell = positions[:, None] + torch.arange(n_taps, device=positions.device) - n_taps // 2
    inside = cell // length == positions[:, None] // length

    # Each position is computed once, however many taps look at it.
    near = torch.zeros(n_lines * length, dtype=torch.bool, device=positions.device)
    near[cell[inside]] = True

    # Taps as indices into those positions; the one after the last stands for silence.
    number = torch.cumsum(near, 0) - 1
    n_near = int(near.sum())
    taps = torch.where(inside, number[cell.clamp(0, n_lines * length - 1)], n_near)

    return near.nonzero()[:, 0], taps


def line_features(lines: Lines, tensors: Tensors, index: int, positions: Tensor) -> Tensor:
    """Evaluate the trunk at some frames of lines, using only the frames that they depend on.

    Args:
        lines: as they are known before the pass.
        tensors: `conv1.weight` … `conv4.bias`; `conv1.bias` is [n_passes, width].
        index: the pass.
        positions: flat positions [N].

    Returns:
        Features [N, width], whole numbers 0 … 127, int32 if int8 units multiplied, else float.
    """
    n_taps = tensors["conv1.weight"].shape[3], tensors["conv3.weight"].shape[3]
    taps = line_taps(positions, len(lines.log_step_int), len(lines.mask), n_taps)

    # [M, n_inputs] -> [L, taps · n_inputs] -> [L, width]
    x = _windows(lines.inputs(taps.frames), taps.first)
    x = _layer(x, tensors["conv1.weight"], tensors["conv1.bias"][index], "conv1")
    x = _layer(x, tensors["conv2.weight"], tensors["conv2.bias"], "conv2")

    # [L, width] -> [N, taps · width] -> [N, width]
    x = _windows(x, taps.third)
    x = _layer(x, tensors["conv3.weight"], tensors["conv3.bias"], "conv3")
    return _layer(x, tensors["conv4.weight"], tensors["conv4.bias"], "conv4")


def _windows(positions: Tensor, taps: Tensor) -> Tensor:
    """Return the rows of each window side by side [N, taps · channels]; zeros beyond the ends."""
    # A row of zeros at the end stands for what lies beyond the ends of a line.
    padded = F.pad(positions, (0, 0, 0, 1))

    # [N + 1, channels] -> [N · taps, channels] -> [N, taps · channels]
    windows = padded.index_select(0, taps.flatten())
    return windows.reshape(len(taps), taps.shape[1] * positions.shape[1])


def _layer(x: Tensor, weight: Tensor, bias: Tensor, name: str) -> Tensor:
    """Apply a kernel [width, channels, 1, taps] to windows [N, taps · channels], 0 … 127."""
    # [width, channels, 1, taps] -> [width, taps · channels], as windows are laid out.
    matrix = weight[:, :, 0].transpose(1, 2).flatten(1)
    return int8.rescaled_linear(x, matrix, bias, SHIFTS[name]).clamp(0, ACTIVATION_MAX)


def hidden_features(
    features: Tensor, tensors: Tensors, stage: int, previous: Tensor | None
) -> Tensor:
    """Turn trunk features [N, width] into hidden vectors [N, hidden].

    Args:
        features: whole numbers 0 … 127.
        tensors: `head.weight` [stages, 1, hidden, width], `head.bias` [stages, 1, hidden],
            `embedding` [stages − 1, 1, K, hidden].
        stage: which stage is predicted.
        previous: codes of the stage before [N] (int64), None in the first stage.
    """
    # [N, width] -> [N, hidden]
    weight, bias = tensors["head.weight"][stage, 0], tensors["head.bias"][stage, 0]
    x = int8.rescaled_linear(features, weight, bias, SHIFTS["head"]).to(weight.dtype)

    # The code of the previous stage is a strong hint for this one.
    if previous is not None:
        x = x + tensors["embedding"][stage - 1, 0][previous]

    return x.clamp(-ACTIVATION_MAX, ACTIVATION_MAX)


def flag_logits(hidden: Tensor, tensors: Tensors, stage: int) -> Tensor:
    """Return the logit of null against not null [N] in 1/16 bit."""
    # [N, hidden] -> [N]
    accumulator = (hidden * tensors["flag.weight"][stage, 0]).sum(-1)
    return rescale(accumulator + tensors["flag.bias"][stage, 0], SHIFTS["flag"])


def code_logits(hidden: Tensor, tensors: Tensors, stage: int) -> Tensor:
    """Return logits [N, K − 1] in 1/16 bit of all codewords except null."""
    # [N, hidden] -> [N, K − 1]
    weight, bias = tensors["table.weight"][stage, 0], tensors["table.bias"][stage, 0]
    return rescale(F.linear(hidden, weight, bias), SHIFTS["table"])


def codeword_sum(codes: Tensor, codewords: Tensor) -> Tensor:
    """Sum the codewords of codes over stages.

    Args:
        codes: int64 [N, stages].
        codewords: [stages, K, channels], whole numbers in 1/16 step.

    Returns:
        [N, channels] in 1/16 step.
    """
    stages, n_codewords, n_channels = codewords.shape

    # Codebooks are stored one after another, so one gather covers all stages.
    index = codes + torch.arange(stages, device=codes.device) * n_codewords
    return F.embedding_bag(index, codewords.reshape(-1, n_channels), mode="sum")


def check_accumulators(name: str, tensors: Tensors) -> None:
    """Check that no input can bring a sum of any layer to 2²⁴.

    Raises:
        ModelError: the message names the layer.
    """
    for layer in SHIFTS:
        # The bound is the sum of all magnitudes, with every input at its largest.
        weight = tensors[f"{layer}.weight"].double().abs()
        bias = tensors[f"{layer}.bias"].double().abs()
        if layer.startswith("conv"):
            worst = weight.sum(dim=(1, 2, 3)) * ACTIVATION_MAX + bias
        else:
            worst = weight.sum(-1) * ACTIVATION_MAX + bias

        if float(worst.max()) >= ACCUMULATOR_LIMIT:
            raise ModelError(f"{name}: sums of {layer} may reach {worst.max():.0f}, limit 2^24")
