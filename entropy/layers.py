"""The integer layers of the context model: exact, on any machine.

All values are whole numbers held in float32; every accumulator stays below 2²⁴ in magnitude, so
float32 sums are exact in any order, with any number of threads, in any memory layout. Factors stay
within −127 … 127 wherever a library multiplies matrices, so that they are exact in half precision,
too, if a caller allows it to use that.

    Q-formats    codewords           int16, 1/16 step
                 inputs              int8, companded (`compand`)
                 weights             int8, real value · 2^shift of the layer
                 activations         0 … 127 (trunk), −127 … 127 (hidden)
                 logits              1/16 bit

A layer computes clamp(floor((Σ w·a + b) / 2^shift + 1/2)).  The same functions run the float twin
in training (`luxvox.models.context`), which feeds them rounded weights and lets gradients pass
the roundings straight through.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from luxvox.entropy import products
from luxvox.errors import ModelError

ACTIVATION_MAX = 127
ACCUMULATOR_LIMIT = 1 << 24
CODEWORD_SCALE = 16
SHIFTS = {
    **{"conv1": 8, "conv2": 7, "conv3": 8, "conv4": 7},
    **{"head": 7, "flag": 5, "table": 5, "slope": 5},
}
SLOPE_MAX = 96  # in 1/8 octave
SLOPE_SHIFT = 10
DISTANCE_MAX = 4095  # 256 steps
DEPTH_UNIT = 6  # what a coded stage counts in the plane of depths
N_GRADIENTS = 4  # parent channels whose horizontal and vertical differences are inputs


def _compand_table() -> NDArray[np.int16]:
    """The integer logarithm of 2v + 8 with three fraction bits, for v = 0 … 32767."""
    u = 2 * np.arange(32768, dtype=np.int64) + 8
    exponent = np.zeros_like(u)
    for shift in range(3, 18):
        exponent[u >> shift > 0] = shift
    return (8 * (exponent - 3) + ((u >> (exponent - 3)) & 7)).astype(np.int16)


_COMPAND = torch.from_numpy(_compand_table().astype(np.float32))


def compand(values: Tensor) -> Tensor:
    """Map latents in 1/16 step (whole numbers) to −104 … 104, about logarithmically."""
    magnitude = values.abs().clamp(max=32767).long()
    return _COMPAND.to(values.device)[magnitude] * values.sign()


def rescale(accumulator: Tensor, shift: int) -> Tensor:
    """Return floor(accumulator / 2^shift + 1/2); gradients pass straight through."""
    scaled = accumulator * 2.0**-shift
    rounded = torch.floor(scaled + 0.5)
    return scaled + (rounded - scaled).detach() if scaled.requires_grad else rounded


def haar_inverse(x: Tensor) -> Tensor:
    """Integer inverse Haar: [B, 4C, H, W] (coefficient × band) to [B, C, 2H, 2W].

    Each output is floor((±a ± b ± c ± d) / 2).
    """
    batch, channels, height, width = x.shape
    mean, horizontal, vertical, diagonal = x.reshape(batch, channels // 4, 4, height, width).unbind(
        2
    )
    pixels = torch.stack(
        [
            mean + horizontal + vertical + diagonal,
            mean - horizontal + vertical - diagonal,
            mean + horizontal - vertical - diagonal,
            mean - horizontal - vertical + diagonal,
        ],
        dim=2,
    )
    halves = torch.floor(pixels * 0.5).reshape(batch, channels, height, width)
    return F.pixel_shuffle(halves, 2)


@dataclass(frozen=True)
class LevelShape:
    """Sizes of a level's context network.

    Attributes:
        n_channels: latent channels of the level.
        n_parent: channels that the level above gives at this stride; 0 for the first level.
        width: channels of the trunk.
        hidden: features of each group that the logits are made of.
        depth: whether the number of stages coded so far is an input, too.
        kernel: of the first and the third layer, rows and columns.
    """

    n_channels: int
    n_parent: int
    width: int
    hidden: int
    depth: bool = False
    kernel: tuple[int, int] = (3, 3)

    @property
    def of_lines(self) -> bool:
        """Whether places depend on their own row only."""
        return self.kernel[0] == 1 and self.n_parent == 0

    @property
    def n_inputs(self) -> int:
        """Own latents, parent, its gradients, depth, where to predict, log-step, its square."""
        gradients = 2 * min(N_GRADIENTS, self.n_parent)
        return self.n_channels + self.n_parent + gradients + int(self.depth) + 3


Tensors = Mapping[str, Tensor]


def level_inputs(
    own: Tensor,
    parent: Tensor | None,
    mask: Tensor,
    position: Tensor,
    depth: Tensor | None = None,
) -> Tensor:
    """Stack the inputs of the trunk.

    Args:
        own: sums of known codewords [B, C, H, W] in 1/16 step.
        parent: the same of the level above at this stride [B, P, H, W], or None.
        mask: 1 where codes are about to be predicted [B, 1, H, W].
        position: log-step [B], whole numbers −127 … 127.
        depth: plane of depths [B, 1, H, W] (`depth_plane`), or None.
    """
    parts = [compand(own)]
    if parent is not None:
        first = parent[:, :N_GRADIENTS]
        across = F.pad(first, (1, 1, 0, 0), mode="replicate")
        down = F.pad(first, (0, 0, 1, 1), mode="replicate")
        parts += [
            compand(parent),
            compand(across[..., 2:] - across[..., :-2]),
            compand(down[:, :, 2:] - down[:, :, :-2]),
        ]
    if depth is not None:
        parts.append(depth)
    plane = torch.ones_like(mask) * position[:, None, None, None]
    parts += [mask * ACTIVATION_MAX, plane, torch.floor(plane * plane / 128.0)]
    return torch.cat(parts, 1)


def depth_plane(codes: Tensor) -> Tensor:
    """Count the stages that are not null of known codes [B, stages, groups, H, W]: [B, 1, H, W]."""
    counts = (codes != 0).sum(dim=(1, 2), dtype=torch.float32)
    return (counts * DEPTH_UNIT).clamp(max=ACTIVATION_MAX)[:, None]


def trunk(inputs: Tensor, tensors: Tensors, index: Tensor) -> Tensor:
    """Evaluate the shared part of a level's network: [B, n_inputs, H, W] → [B, width, H, W].

    Args:
        inputs: whole numbers −127 … 127.
        tensors: `conv1.weight` … `conv4.bias`; `conv1.bias` is [n_passes, width].
        index: the pass of each sample [B].
    """
    x = F.conv2d(inputs, tensors["conv1.weight"], padding=_same(tensors["conv1.weight"]))
    x = _activate(x + tensors["conv1.bias"][index][:, :, None, None], "conv1")
    x = _activate(F.conv2d(x, tensors["conv2.weight"], tensors["conv2.bias"]), "conv2")
    padding = _same(tensors["conv3.weight"])
    x = F.conv2d(x, tensors["conv3.weight"], tensors["conv3.bias"], padding=padding)
    x = _activate(x, "conv3")
    return _activate(F.conv2d(x, tensors["conv4.weight"], tensors["conv4.bias"]), "conv4")


@dataclass(frozen=True)
class LineTaps:
    """What the trunk looks at for some places of lines of frames.

    Attributes:
        columns: flat positions that are looked at, ascending [M].
        first: indices into `columns` for the first layer, M for silence beyond an end [L, taps].
        second: indices into those L results for the third layer, L beyond an end [N, taps].
    """

    columns: Tensor
    first: Tensor
    second: Tensor


def line_taps(rows: Tensor, n_lines: int, length: int, n_taps: int) -> LineTaps:
    """Find what the trunk looks at for flat positions `rows` [N] of `n_lines` lines."""
    middle, second = _neighbours(rows, n_lines, length, n_taps)
    columns, first = _neighbours(middle, n_lines, length, n_taps)
    return LineTaps(columns, first, second)


def _neighbours(rows: Tensor, n_lines: int, length: int, n_taps: int) -> tuple[Tensor, Tensor]:
    """Return the positions within reach of some [M], and where in them each tap is [N, taps]."""
    place = rows[:, None] + torch.arange(n_taps, device=rows.device) - n_taps // 2
    inside = place // length == rows[:, None] // length
    near = torch.zeros(n_lines * length, dtype=torch.bool, device=rows.device)
    near[place[inside]] = True
    number = torch.cumsum(near, 0) - 1
    n_near = int(near.sum())
    taps = torch.where(inside, number[place.clamp(0, n_lines * length - 1)], n_near)
    return near.nonzero()[:, 0], taps


def line_features(
    own: Tensor,
    mask: Tensor,
    position: Tensor,
    depth: Tensor | None,
    tensors: Tensors,
    index: int,
    rows: Tensor,
) -> Tensor:
    """Evaluate the trunk at some places of lines, by no more than they depend on.

    Args:
        own, mask, position, depth: as `level_inputs` takes them, of grids one row high.
        tensors: of the level.
        index: the pass.
        rows: flat places [N] of the grids [B, 1, W].

    Returns:
        What `trunk` gives at those places [N, width].
    """
    n_lines, length = own.shape[0], own.shape[3]
    taps = line_taps(rows, n_lines, length, tensors["conv1.weight"].shape[3])
    line, column = taps.columns // length, taps.columns % length

    def at(plane: Tensor) -> Tensor:
        return plane.expand(n_lines, -1, -1, -1)[line, :, 0, column][:, :, None, None]

    plane = None if depth is None else at(depth)
    inputs = level_inputs(at(own), None, at(mask), position[line], plane)
    return line_trunk(inputs.flatten(1), tensors, index, taps)


def line_trunk(inputs: Tensor, tensors: Tensors, index: int, taps: LineTaps) -> Tensor:
    """Evaluate the trunk at some places of lines only: what `trunk` gives there [N, width].

    Args:
        inputs: whole numbers −127 … 127 at `taps.columns` [M, n_inputs].
        tensors: `conv1.weight` … `conv4.bias`, for kernels of one row.
        index: the pass.
        taps: of the places.
    """
    x = _linear(_windows(inputs, taps.first), tensors["conv1.weight"], tensors["conv1.bias"][index])
    x = _activate(x, "conv1")
    x = _activate(_linear(x, tensors["conv2.weight"], tensors["conv2.bias"]), "conv2")
    x = _linear(_windows(x, taps.second), tensors["conv3.weight"], tensors["conv3.bias"])
    x = _activate(x, "conv3")
    return _activate(_linear(x, tensors["conv4.weight"], tensors["conv4.bias"]), "conv4")


def _windows(rows: Tensor, taps: Tensor) -> Tensor:
    """Return the rows of each window one after the other [N, taps · channels]; zeros beyond."""
    padded = F.pad(rows, (0, 0, 0, 1))
    windows = padded.index_select(0, taps.flatten())
    return windows.reshape(len(taps), taps.shape[1] * rows.shape[1])


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return products.linear(x, weight[:, :, 0].transpose(1, 2).flatten(1), bias)


def _same(weight: Tensor) -> tuple[int, int]:
    """Return the padding that keeps a grid's size: kernels are 3×3, or 1×3 on a line."""
    return weight.shape[2] // 2, weight.shape[3] // 2


def _activate(accumulator: Tensor, layer: str) -> Tensor:
    return rescale(accumulator, SHIFTS[layer]).clamp(0, ACTIVATION_MAX)


def hidden_features(
    features: Tensor, tensors: Tensors, stage: int, groups: slice, previous: Tensor | None
) -> Tensor:
    """Turn trunk features [N, width] into hidden vectors [N, groups, hidden].

    Args:
        features: whole numbers 0 … 127.
        tensors: `head.weight` [stages, G, hidden, width], `head.bias` [stages, G, hidden],
            `embedding` [stages − 1, G, K, hidden].
        stage: which stage is predicted.
        groups: which groups are.
        previous: codes of the stage before [N, groups] (int64), None in the first stage.
    """
    weight = tensors["head.weight"][stage, groups]
    n_groups, hidden, width = weight.shape
    bias = tensors["head.bias"][stage, groups].reshape(-1)
    x = rescale(products.linear(features, weight.reshape(-1, width), bias), SHIFTS["head"])
    x = x.reshape(-1, n_groups, hidden)
    if previous is not None:
        table = tensors["embedding"][stage - 1, groups]
        x = x + table[torch.arange(n_groups, device=x.device)[None], previous]
    return x.clamp(-ACTIVATION_MAX, ACTIVATION_MAX)


def flag_logits(hidden: Tensor, tensors: Tensors, stage: int, groups: slice) -> Tensor:
    """Return the logit of null against not null [N, groups] in 1/16 bit."""
    accumulator = (hidden * tensors["flag.weight"][stage, groups]).sum(-1)
    return rescale(accumulator + tensors["flag.bias"][stage, groups], SHIFTS["flag"])


def code_logits(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return logits [n, K − 1] in 1/16 bit of the words that are not null.

    Args:
        hidden: [n, hidden] of one group.
        weight, bias: that group's part of `table.weight` [K − 1, hidden], `table.bias` [K − 1].
    """
    return rescale(F.linear(hidden, weight, bias), SHIFTS["table"])


def has_slopes(tensors: Tensors, stage: int, first_group: int, index: int) -> bool:
    """Return whether a prediction leans on the mean of known neighbours.

    It does in a level with `slope.weight`, in the first stage, for its first groups (each of one
    channel), in all passes but the first, which has no known neighbours.
    """
    return "slope.weight" in tensors and stage == 0 and first_group == 0 and index > 0


def neighbour_means(own: Tensor, known: Tensor) -> Tensor:
    """Return means of the known neighbours of each place: [B, C, H, W] in 1/16 step.

    Args:
        own: sums of known codewords [B, C, H, W] in 1/16 step; zero where unknown.
        known: 1 where they are known [B or 1, 1, H, W].

    Neighbours count 2 beside and above, 1 across a corner; the quotient is rounded half up.
    """
    rows = [[1.0, 2.0, 1.0], [2.0, 0.0, 2.0], [1.0, 2.0, 1.0]]
    kernel = torch.tensor(rows, dtype=torch.float64, device=own.device)  # for factors above 127
    channels = own.shape[1]
    total = F.conv2d(own.double(), kernel.expand(channels, 1, 3, 3), padding=1, groups=channels)
    weight = F.conv2d(known.double(), kernel.expand(1, 1, 3, 3), padding=1).clamp(min=1.0)
    return torch.floor(total / weight + 0.5).to(own.dtype)


def slopes(hidden: Tensor, tensors: Tensors, groups: slice) -> Tensor:
    """Return slopes [N, groups]: what a distance of one step costs, in 1/64 of 1/16 bit.

    Whole numbers (SLOPE_BASE[s mod 8] << (s div 8)) >> 8, about 2^(s/8); gradients pass the
    rounding straight through.
    """
    accumulator = (hidden * tensors["slope.weight"][groups]).sum(-1) + tensors["slope.bias"][groups]
    s = rescale(accumulator, SHIFTS["slope"]).clamp(0, SLOPE_MAX)
    smooth = torch.exp2(s / 8.0)
    exact = _SLOPES.to(s.device)[s.detach().long()]
    return smooth + (exact - smooth).detach() if s.requires_grad else exact


# round(2^(8 + r/8)) for r = 0 … 7
SLOPE_BASE = (256, 279, 304, 332, 362, 395, 431, 470)
_SLOPES = torch.tensor(
    [(SLOPE_BASE[s % 8] << (s // 8)) >> 8 for s in range(SLOPE_MAX + 1)],
    dtype=torch.float32,
    device="cpu",
)


def distance_cost(slope: Tensor, distance: Tensor) -> Tensor:
    """Return what distances (whole numbers ≥ 0, in 1/16 step) take off a logit, in 1/16 bit."""
    return rescale(slope * distance.clamp(max=DISTANCE_MAX), SLOPE_SHIFT)


def codeword_sum(codes: Tensor, codewords: Tensor, slots: Tensor, n_channels: int) -> Tensor:
    """Sum the codewords of given codes of some stages.

    Args:
        codes: int64 [B, stages, groups, H, W].
        codewords: [stages, groups, K, 8], whole numbers in 1/16 step.
        slots: channel of each component [groups, 8]; padding is `n_channels`.
        n_channels: channels of the level.

    Returns:
        [B, n_channels, H, W] in 1/16 step.
    """
    batch, stages, groups, height, width = codes.shape
    n_words, size = codewords.shape[2:]
    books = torch.arange(stages * groups, device=codes.device).reshape(stages, groups, 1, 1)
    index = codes + books * n_words
    bags = index.permute(2, 0, 3, 4, 1).reshape(-1, stages)
    vectors = F.embedding_bag(bags, codewords.reshape(-1, size), mode="sum")
    vectors = vectors.reshape(groups, -1, size)
    flat = vectors.new_zeros(n_channels + 1, vectors.shape[1])
    flat[slots.reshape(-1)] = vectors.transpose(1, 2).reshape(-1, vectors.shape[1])
    return flat[:n_channels].reshape(-1, batch, height, width).transpose(0, 1)


def check_accumulators(name: str, tensors: Tensors) -> None:
    """Check that no input can bring a sum of any layer to 2²⁴.

    Raises:
        ModelError: naming the layer.
    """
    for layer in SHIFTS:
        if layer == "slope" and "slope.weight" not in tensors:
            continue
        weight = tensors[f"{layer}.weight"].double().abs()
        bias = tensors[f"{layer}.bias"].double().abs()
        if layer.startswith("conv"):
            worst = weight.sum(dim=(1, 2, 3)) * ACTIVATION_MAX + bias
        else:
            worst = weight.sum(-1) * ACTIVATION_MAX + bias
        if float(worst.max()) >= ACCUMULATOR_LIMIT:
            raise ModelError(f"{name}: sums of {layer} may reach {worst.max():.0f}, limit 2^24")
