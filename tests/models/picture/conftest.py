"""Picture models small enough for a test: a linear start, a lively one, random weights."""

import dataclasses
import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from luxvox.entropy.picture.lattice import picture_levels
from luxvox.entropy.picture.tables import start_tables
from luxvox.models.picture.conditions import PictureConfig
from luxvox.models.picture.networks import Block, PictureModel
from luxvox.models.picture.step_maps import StepMap
from luxvox.models.picture.weights import pack_picture
from luxvox.models.training.picture.initialise import untrained_model
from luxvox.models.training.picture.twin import ContextTwin
from luxvox.models.weights import fingerprint

# Just enough features for all coefficients: 192, of which 7 go on to 28, 3 of those to 12, …
COMPLETE = PictureConfig(
    channels=(12, 9, 25, 185),
    passed=(3, 3, 7),
    widths=(12, 12, 28, 192),
    analysis_blocks=(1, 1, 1, 1),
    synthesis_blocks=(1, 1, 1, 1),
    analysis_hidden=(4, 4, 4, 4),
    synthesis_hidden=(4, 4, 4, 4),
)
TINY = dataclasses.replace(
    COMPLETE, channels=(18, 17, 25, 17), widths=(6, 5, 4, 3), analysis_blocks=(1, 0, 1, 1)
)


def units(picture):
    """Pixels uint8 [H, W, 3] as [3, H, W] in units."""
    return (torch.from_numpy(picture).permute(2, 0, 1).float() - 128.0) / 8.0


@pytest.fixture(scope="session")
def linear(picture_of):
    """The linear start with all its coefficients."""
    pictures = [units(picture_of(128, 192, seed)) for seed in range(3)]
    return untrained_model(pictures, COMPLETE).eval().requires_grad_(False)


def with_random_weights(like, kind, layer, seed):
    """A copy of a model whose parts of one kind have random weights in one layer."""
    model = PictureModel(COMPLETE)
    model.load_state_dict(like.state_dict())
    generator = torch.Generator().manual_seed(seed)
    for part in model.modules():
        if isinstance(part, kind):
            with torch.no_grad():
                weight = getattr(part, layer).weight
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def lively(linear):
    """The same with blocks that change every pixel around them."""
    return with_random_weights(linear, Block, "project", seed=1)


@pytest.fixture(scope="session")
def uneven(lively):
    """The same with steps that differ from place to place."""
    return with_random_weights(lively, StepMap, "maps", seed=2)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory):
    """The path of a model card, with random weights next to it."""
    torch.manual_seed(5)
    tables = ContextTwin(picture_levels(TINY.channels)).integers()
    tensors = pack_picture(PictureModel(TINY), tables, start_tables())
    path = tmp_path_factory.mktemp("weights") / "picture-7.json"
    weights = path.with_suffix(".safetensors")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, weights)
    record = {
        "id": "picture-7",
        "number": 7,
        "kind": "picture",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "fingerprint": fingerprint(tensors).hex(),
        "licence": "MIT",
        "config": dataclasses.asdict(TINY),
    }
    path.write_text(json.dumps(record))
    return path
