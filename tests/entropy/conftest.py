"""A small integer context model of random tables, and codes for it."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from luxvox.entropy.context import Context, ContextLevel
from luxvox.entropy.layers import LevelShape
from luxvox.entropy.walk import picture_plan

GROUPS = {"top": (1, 1, 1, 1), "base": (1, 1, 1, 2, 2, 4, 4), "detail": (2, 3, 8)}
PARENTS = {"top": 0, "base": 1, "detail": 4}  # a quarter of what the level above has in all
N_STAGES = 3
CODEBOOK_SIZE = 12
WIDTH, HIDDEN = 16, 8


@dataclass(frozen=True)
class Small:
    """A context model and what is needed to make codes for it."""

    context: Context
    shapes: dict

    def random_codes(self, seed, null_share=0.6):
        """Codes by level: random, and null for good after the first null of a place."""
        generator = np.random.default_rng(seed)
        return {
            plan.name: ended_by_null(
                generator.integers(
                    1, CODEBOOK_SIZE, (N_STAGES, plan.n_groups, *self.shapes[plan.name])
                )
                * (generator.random((N_STAGES, plan.n_groups, 1, 1)) > null_share / 2)
                * (
                    generator.random((N_STAGES, plan.n_groups, *self.shapes[plan.name]))
                    > null_share
                )
            )
            for plan in self.context.plan
        }


def ended_by_null(codes):
    return (codes * np.cumprod(codes != 0, axis=0)).astype(np.uint8)


def slots_of(sizes):
    slots = torch.full((len(sizes), 8), sum(sizes))
    for group, size in enumerate(sizes):
        start = sum(sizes[:group])
        slots[group, :size] = torch.arange(start, start + size)
    return slots


def random_tensors(shape, n_passes, n_groups, seed, reach=40):
    """Whole-number tables of a level, small enough for its accumulators."""
    generator = torch.Generator().manual_seed(seed)

    def whole(limit, *size):
        return torch.randint(-limit, limit + 1, size, generator=generator).float()

    width, hidden, n_words = shape.width, shape.hidden, CODEBOOK_SIZE - 1
    return {
        "conv1.weight": whole(reach, width, shape.n_inputs, 3, 3),
        "conv1.bias": whole(9000, n_passes, width),
        "conv2.weight": whole(reach, width, width, 1, 1),
        "conv2.bias": whole(3000, width),
        "conv3.weight": whole(reach, width, width, 3, 3),
        "conv3.bias": whole(3000, width),
        "conv4.weight": whole(reach, width, width, 1, 1),
        "conv4.bias": whole(3000, width),
        "head.weight": whole(reach, N_STAGES, n_groups, hidden, width),
        "head.bias": whole(3000, N_STAGES, n_groups, hidden),
        "embedding": whole(60, N_STAGES - 1, n_groups, CODEBOOK_SIZE, hidden),
        "flag.weight": whole(8, N_STAGES, n_groups, hidden),
        "flag.bias": whole(500, N_STAGES, n_groups),
        "table.weight": whole(8, N_STAGES, n_groups, n_words, hidden),
        "table.bias": whole(500, N_STAGES, n_groups, n_words),
    }


def random_level(plan, seed):
    generator = torch.Generator().manual_seed(seed)
    sizes, parent = GROUPS[plan.name], PARENTS[plan.name]
    shape = LevelShape(sum(sizes), parent, WIDTH, HIDDEN)
    words = torch.randint(-100, 101, (N_STAGES, len(sizes), CODEBOOK_SIZE, 8), generator=generator)
    words[:, :, 0] = 0
    order = torch.randperm(4 * parent, generator=generator) if parent else None
    tensors = random_tensors(shape, len(plan.passes), plan.n_groups, seed)
    if plan.name == "top":
        n_sloped = plan.passes[0].end_group
        tensors["slope.weight"] = torch.randint(
            -8, 9, (n_sloped, HIDDEN), generator=generator
        ).float()
        tensors["slope.bias"] = torch.full((n_sloped,), 1500.0)
    return ContextLevel(shape, tensors, words.float(), slots_of(sizes), order)


@pytest.fixture(scope="session")
def small():
    plan = picture_plan(
        {name: len(sizes) for name, sizes in GROUPS.items()}, N_STAGES, CODEBOOK_SIZE
    )
    levels = {one.name: random_level(one, seed) for seed, one in enumerate(plan)}
    return Small(Context(plan, levels), {"top": (2, 3), "base": (4, 6), "detail": (8, 12)})
