"""All parts of the picture codec that learn, and their files in a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from luxvox.entropy.picture.lattice import picture_levels
from luxvox.entropy.picture.tables import start_tables
from luxvox.models.picture.networks import PictureModel
from luxvox.models.picture.weights import config_from_json, load_picture_codec
from luxvox.models.training.checkpoints import save_atomically
from luxvox.models.training.picture.twin import ContextTwin

PARTS_FILE = "parts.safetensors"


class PictureParts(nn.Module):
    """The model, the twin of its context model, and the tables of counts.

    Attributes:
        counts: int64 [N_TABLES, 64].
    """

    counts: Tensor

    def __init__(self, model: PictureModel) -> None:
        super().__init__()
        self.model = model
        self.context = ContextTwin(picture_levels(model.config.channels))
        self.register_buffer("counts", torch.from_numpy(start_tables()))


def save_parts(parts: PictureParts, run: Path) -> None:
    """Write the parts into a run folder."""
    save_atomically(dict(parts.state_dict()), run / PARTS_FILE)


def parts_of_weights(path: Path) -> PictureParts:
    """Return the parts of a model card's weights."""
    # Weights are loaded for inference; here they are trained again.
    codec = load_picture_codec(path.with_suffix(".json"))
    parts = PictureParts(codec.model.requires_grad_(True))
    parts.context.start_from_integers(codec.context.tensors)
    parts.counts.copy_(torch.from_numpy(codec.context.counts))
    return parts


def load_parts(run: Path) -> PictureParts:
    """Read the parts of a run folder."""
    # The run's configuration tells which networks the tensors belong to.
    config = json.loads((run / "run.json").read_text())["config"]
    parts = PictureParts(PictureModel(config_from_json(config)))
    parts.load_state_dict(load_file(run / PARTS_FILE))
    return parts
