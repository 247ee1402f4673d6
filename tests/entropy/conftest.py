"""Small integer context models of random tables, and codes for them."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from luxvox.entropy.picture.lattice import EVEN, HALVES, ODD, QUARTERS, LatticeLevel
from luxvox.entropy.picture.layers import CODE_MAX
from luxvox.entropy.picture.layers import table_shapes as lattice_shapes
from luxvox.entropy.picture.tables import start_tables
from luxvox.entropy.picture.walk import LatticeContext
from luxvox.entropy.voice.context import Context, ContextLevel
from luxvox.entropy.voice.layers import LevelShape
from luxvox.entropy.voice.plan import voice_plan
from luxvox.models.voice.tables import table_shapes

VOICE_SHAPE = LevelShape(n_channels=6, width=16, hidden=8, third_taps=5)
LEVELS = (
    LatticeLevel("apex", 5, 0, (8, 12), (2, 5), (QUARTERS, HALVES), 12, (1, 1)),
    LatticeLevel("top", 4, 6, (9, 8), (3, 4), (HALVES, (EVEN, ODD)), 10, (1, 1)),
    LatticeLevel("base", 6, 5, (8, 8), (2, 6), (HALVES, HALVES), 7, (2, 2)),
    LatticeLevel("detail", 40, 4, (8, 10), (4, 40), (HALVES, HALVES), 0, (3, 4)),
)
GRIDS = {"apex": (1, 2), "top": (2, 4), "base": (4, 8), "detail": (8, 16)}


def random_integers(generator, limit, size):
    """Draw whole numbers from −limit to limit, as float32."""
    return torch.randint(-limit, limit + 1, size, generator=generator).float()


@dataclass(frozen=True)
class SmallVoice:
    """A context model of voices, and codes for it."""

    context: Context
    n_frames: int

    @property
    def shapes(self):
        return {"frames": (1, self.n_frames)}

    def random_codes(self, seed, null_share=0.4):
        """Draw codes by level; after the first null of a frame all its codes are null."""
        plan = self.context.plan[0]
        generator = np.random.default_rng(seed)
        size = (plan.n_stages, self.n_frames)
        codes = generator.integers(1, plan.codebook_size, size)
        codes *= generator.random(size) > null_share
        codes = codes * np.cumprod(codes != 0, axis=0)
        return {"frames": codes.astype(np.uint8)[:, None, None]}


@pytest.fixture(scope="session")
def small_voice():
    plan = voice_plan(n_stages=4, first_stages=2, codebook_size=12)
    generator = torch.Generator().manual_seed(1)
    limits = {"flag": 8, "table": 8, "embedding": 60}
    biases = {"conv1": 9000, "flag": 500, "table": 500}
    tensors = {}
    for name, size in table_shapes(VOICE_SHAPE, plan[0]).items():
        layer, _, kind = name.partition(".")
        limit = biases.get(layer, 3000) if kind == "bias" else limits.get(layer, 40)
        tensors[name] = random_integers(generator, limit, size)
    codewords = random_integers(generator, 100, (4, 1, 12, VOICE_SHAPE.n_channels))
    codewords[:, :, 0] = 0.0
    level = ContextLevel(VOICE_SHAPE, tensors, codewords)
    return SmallVoice(Context(plan, {"frames": level}), 37)


def draw_codes(seed, spread=3.0):
    """Return a source of codes around the predicted means, a few of them far away."""
    generator = np.random.default_rng(seed)

    def source(prediction):
        mean = (prediction.mean + 4) >> 3
        noise = spread * generator.standard_cauchy(mean.shape)
        noise[generator.random(mean.shape) < 0.02] = 2 * CODE_MAX
        codes = np.clip(np.rint(mean + noise), -CODE_MAX, CODE_MAX).astype(np.int32)
        return np.where(prediction.coding.silent, prediction.coding.base, codes)

    return source


def random_tables(level, n_next, seed):
    """Draw integer tables of a level of pictures that give all scale indices and far means."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, size in lattice_shapes(level, n_next).items():
        tensors[name] = random_integers(generator, 3000 if name.endswith("bias") else 60, size)
        if name.endswith("out.bias"):
            n = size[0] // 2
            tensors[name][n:] = torch.randint(-3000, 32_000, (n,), generator=generator).float()
    return tensors


@pytest.fixture(scope="session")
def small_picture():
    following = [level.n_state for level in LEVELS[1:]] + [0]
    tensors = {
        level.name: random_tables(level, n, seed)
        for seed, (level, n) in enumerate(zip(LEVELS, following, strict=True))
    }
    return LatticeContext(LEVELS, tensors, start_tables())
