"""The picture networks before training: an exact lapped transform with Haar steps."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from luxvox.models.picture.conditions import LEVELS, STRIDES, PictureConfig
from luxvox.models.picture.networks import Block, PictureModel, blocks_of
from luxvox.models.picture.transform import (
    ChannelStatistics,
    colour_matrix,
    frequency_signs,
    haar_matrix,
    lapped_kernels,
    lapped_matrix,
    measure_channels,
)

N_MEASURED = 120  # pictures that the order of channels is measured on


def untrained_model(pictures: list[Tensor], config: PictureConfig) -> PictureModel:
    """Return a model whose networks are linear transforms.

    Args:
        pictures: [3, H, W] in units, sides of at least 64.
        config: of the networks.
    """
    # Mean powers need only a few pictures, taken from the whole list.
    passed = dict(zip((32, 16, 8), config.passed, strict=True))
    every = max(1, len(pictures) // N_MEASURED)
    statistics = measure_channels(pictures[::every], passed)

    model = PictureModel(config)
    with torch.no_grad():
        _set_outer_layers(model, statistics)
        _set_haar_steps(model, statistics)
        _set_latents(model)

        for network in (model.analysis, model.synthesis):
            for number, level in enumerate(LEVELS):
                for block in blocks_of(network, number):
                    _scale_inputs(block, statistics.powers[STRIDES[level]])
    return model


def deepen(model: PictureModel, config: PictureConfig) -> PictureModel:
    """Return a model with the blocks of a configuration; new blocks change nothing yet.

    Args:
        model: may have fewer blocks than `config`, and keeps them.
        config: only its numbers of blocks are used.
    """
    old = model.config
    deep = PictureModel(
        dataclasses.replace(
            old,
            analysis_blocks=tuple(map(max, old.analysis_blocks, config.analysis_blocks)),
            synthesis_blocks=tuple(map(max, old.synthesis_blocks, config.synthesis_blocks)),
        )
    )

    # A new block is the identity, but expects features with the power seen by the last old one.
    deep.load_state_dict({**deep.state_dict(), **model.state_dict()})
    with torch.no_grad():
        for new, kept in ((deep.analysis, model.analysis), (deep.synthesis, model.synthesis)):
            for number in range(len(LEVELS)):
                old_blocks = blocks_of(kept, number)
                added = blocks_of(new, number)[len(old_blocks) :]
                for block in added if old_blocks else []:
                    block.scale.copy_(old_blocks[-1].scale)
                    block.scale_slope.copy_(old_blocks[-1].scale_slope)
    return deep


def _set_outer_layers(model: PictureModel, statistics: ChannelStatistics) -> None:
    """Set the lapped transform; coefficients become channels in order of power."""
    order = statistics.orders[8]
    forward, backward = (lapped_matrix(k, colour_matrix()) for k in lapped_kernels())
    _fill(model.analysis.front, forward[order])

    # A block of samples is the sum over the four shifted blocks around it.
    # [coefficients, samples, 2, 2] -> [samples, coefficients, 2, 2]
    transposed = backward.flip(2, 3).transpose(0, 1)
    _fill(model.synthesis.back, transposed[:, order])

    # The signs of the mirrored borders follow the coefficients.
    rows, columns = frequency_signs()
    model.synthesis.row_signs[:192].copy_(rows[order])
    model.synthesis.column_signs[:192].copy_(columns[order])


def _set_haar_steps(model: PictureModel, statistics: ChannelStatistics) -> None:
    """Set the Haar steps between grids for the features passed on; the others start small."""
    config = model.config
    generator = torch.Generator().manual_seed(1)
    for number in range(len(LEVELS) - 1):
        stride = STRIDES[LEVELS[number]]
        n_passed = config.passed[number]

        # [n, 4 · n_passed]: rows in order of power, columns in the order channel × (row, column).
        haar = torch.kron(torch.eye(n_passed), haar_matrix())[statistics.orders[stride]]
        n = len(haar)  # 4 · n_passed

        # [n, 4 · n_passed] -> [n, n_passed, 2, 2]; the features past n are not part of the
        # transform, and start small.
        down = _convolution(model.analysis.down[number])
        weight = torch.zeros(down.weight.shape)
        weight[n:] = 0.02 * torch.randn(weight[n:].shape, generator=generator)
        weight[:n, :n_passed] = haar.reshape(n, n_passed, 2, 2)
        _fill(down, weight)

        # The matrix is orthonormal, so its transpose is its inverse.
        up = _convolution(model.synthesis.up[number])
        weight = torch.zeros(up.weight.shape)
        weight[: 4 * n_passed, :n, 0, 0] = haar.T
        _fill(up, weight)


def _set_latents(model: PictureModel) -> None:
    """Let the latents be the features that are not passed on to a coarser grid."""
    config = model.config
    for number, n_channels in enumerate(config.channels):
        # Features are in order of power, and the first ones are passed on, except from the coarsest
        # grid.
        first = 0 if number == 0 else config.passed[number - 1]
        matrix = torch.zeros(n_channels, config.widths[number])
        index = torch.arange(n_channels)
        matrix[index, first + index] = 1.0

        # [n_channels, width] -> [n_channels, width, 1, 1], and transposed.
        _fill(model.analysis.to_latents[number], matrix[:, :, None, None])
        _fill(model.synthesis.from_latents[number], matrix.T[:, :, None, None])


def _scale_inputs(block: Block, power: Tensor) -> None:
    """Scale the input of a block to about unit power, so large coefficients do not dominate."""
    n = min(len(power), len(block.scale))
    block.scale[:n] = torch.rsqrt(1.0 + power[:n])


def _fill(layer: nn.Module, weight: Tensor) -> None:
    convolution = _convolution(layer)
    convolution.weight.copy_(weight)
    if convolution.bias is not None:
        convolution.bias.zero_()


def _convolution(layer: nn.Module) -> nn.Conv2d:
    if not isinstance(layer, nn.Conv2d):
        raise AssertionError("not a convolution")
    return layer
