"""The tiny weights of pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from luxvox.entropy.picture.lattice import LatticeLevel, picture_levels
from luxvox.entropy.picture.layers import N_SCALES, SHIFTS, check_sums, known_taps, table_shapes
from luxvox.entropy.picture.tables import start_tables
from luxvox.models.picture.conditions import PictureConfig
from luxvox.models.picture.networks import PictureModel, blocks_of
from luxvox.models.picture.step_maps import StepMap
from luxvox.models.picture.weights import pack_picture, state_sizes

PICTURE = PictureConfig(
    channels=(9, 9, 26, 18),
    passed=(1, 1, 1),
    widths=(4, 4, 4, 4),
    analysis_blocks=(0, 0, 0, 0),
    synthesis_blocks=(1, 0, 0, 1),
    analysis_hidden=(2, 2, 2, 2),
    synthesis_hidden=(2, 2, 2, 2),
)


@torch.no_grad()
def picture_weights() -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return configuration and tensors of a picture model."""
    model = PictureModel(PICTURE)
    synthesis = model.synthesis
    for signs in (synthesis.row_signs, synthesis.column_signs):
        signs.copy_(torch.randint(0, 2, signs.shape) * 2.0 - 1.0)
    for block in (blocks_of(synthesis, 0)[0], blocks_of(synthesis, 3)[0]):
        block.project.weight.normal_(0.0, 0.1)
        block.tune_slope.normal_(0.0, 0.5)
    for part in synthesis.modules():
        if isinstance(part, StepMap):
            part.maps.weight.normal_(0.0, 0.1)
    for gains in model.gains.values():
        gains.normal_(0.0, 0.2)
    generator = torch.Generator().manual_seed(21)
    levels = picture_levels(PICTURE.channels)
    following = state_sizes(levels)
    tables = {
        level.name: random_tables(level, following[level.name], generator) for level in levels
    }
    for level in levels:
        check_sums(level, tables[level.name])
    return dataclasses.asdict(PICTURE), pack_picture(model, tables, start_tables())


def random_tables(
    level: LatticeLevel, n_next: int, generator: torch.Generator, line_reach: int = 2
) -> dict[str, Tensor]:
    """Return the tables of the context network of a level, such that all scales turn up.

    Args:
        level: sizes of the level.
        n_next: features of the state of the next level.
        generator: of random numbers.
        line_reach: largest tap of the linear predictors; 5 and more let means run away.
    """
    tables = {}
    for name, shape in table_shapes(level, n_next).items():
        layer = name.split(".")[-2]
        if name.endswith("weight"):
            reach = line_reach if layer == "line" else 90
            values = torch.randint(-reach, reach + 1, shape, generator=generator)
            if layer != "line":
                values *= torch.rand(shape, generator=generator) < _SHARES[layer]
        else:
            reach = 24 << SHIFTS[layer]
            values = torch.randint(-reach, reach + 1, shape, generator=generator)
        if layer == "out" and name.endswith("bias"):
            n = shape[0] // 2
            values[n:] = torch.randint(0, N_SCALES << SHIFTS["out"], (n,), generator=generator)
        tables[name] = values.float()
    _clear_unknown(level, tables)
    return tables


# Few weights differ from zero, so that the file takes little room in an archive.
_SHARES = {"state": 0.04, "own": 0.03, "mid": 0.02, "out": 0.1, "spread": 0.006, "grow": 0.01}


def _clear_unknown(level: LatticeLevel, tables: dict[str, Tensor]) -> None:
    """Set the weights to zero that no known code ever meets, as training does."""
    for number, one in enumerate(level.passes):
        if one.n_known:
            unknown = sorted(set(range(9)) - set(known_taps(one)))
            tables[f"pass{number}.own.weight"].flatten(2)[:, one.first :, unknown] = 0.0
