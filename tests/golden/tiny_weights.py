"""Weights with networks as small as the format allows, random except for what it requires of them.

Golden files made with them keep the format in place whatever becomes of the shipped weights, and
fuzzing decodes thousands of files a minute with them. They were written once, by

    python tests/golden/tiny_weights.py picture voice

and stay as they are: files name them by number 0, which is for experiments, and by fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from luxvox.models.weights import fingerprint

TINY = Path(__file__).resolve().parent / "weights"


def write(kind: str, folder: Path) -> None:
    """Write weights and their card."""
    torch.manual_seed(20)
    config, tensors = make(kind)
    data = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    card = {
        "id": f"{kind}-0",
        "number": 0,
        "kind": kind,
        "sha256": hashlib.sha256(data).hexdigest(),
        "fingerprint": fingerprint(tensors).hex(),
        "licence": "MIT",
        "config": config,
    }
    (folder / f"{kind}-0.safetensors").write_bytes(data)
    text = json.dumps(card, ensure_ascii=False)
    (folder / f"{kind}-0.json").write_text(text + "\n", encoding="utf-8")


def make(kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return configuration and tensors of a kind."""
    if kind == "picture":
        from luxvox.tests.golden.tiny_pictures import picture_weights

        return picture_weights()
    from luxvox.tests.golden.tiny_voices import voice_weights

    return voice_weights()


if __name__ == "__main__":
    for kind in sys.argv[1:]:
        write(kind, TINY)
