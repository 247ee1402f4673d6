"""Learned picture codecs of CompressAI as baselines, with its weights or with your own.

Its weights come over the network when they are first used. With `--checkpoint NAME=FILE`, given
once for each point, no network is needed.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luxvox.errors import ModelError
from luxvox.evaluate.inputs import PICTURES, Kind
from luxvox.rounding import round_to_uint8

Pixels = NDArray[np.uint8]

_HEAD = struct.Struct("<BHHHHB")  # point, height, width, latent height, latent width, strings
_LENGTH = struct.Struct("<I")
_MULTIPLE = 64


@dataclass(frozen=True)
class CompressAiPeer:
    """An architecture of CompressAI; a point is a quality of its zoo, or counts checkpoints.

    Attributes:
        architecture: class in `compressai.models`.
        zoo: function in `compressai.zoo`.
        checkpoints: files of weights in place of the zoo's, by point.
    """

    name: str
    label: str
    architecture: str
    zoo: str
    points: tuple[float, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    checkpoints: tuple[str, ...] = ()
    install: str = "pip install 'luxvox[compressai]'; offline --checkpoint NAME=FILE"
    kind: Kind = PICTURES

    def with_checkpoints(self, paths: Sequence[str]) -> CompressAiPeer:
        """Return the same architecture with weights of your own, one file per point."""
        points = tuple(float(point) for point in range(1, len(paths) + 1))
        label = f"{self.label}, own weights"
        return replace(self, label=label, points=points, checkpoints=tuple(paths))

    def version(self) -> str:
        """Name CompressAI, and the weights; the first are fetched if they are not here."""
        importlib.import_module("compressai")
        self._network(self.points[0])
        # Weights of one architecture all have one size.
        weights = [f"{Path(p).name} {_digest(p)}" for p in self.checkpoints]
        return ", ".join(
            [f"compressai {version('compressai')}", *(weights or ["its weights, MSE"])]
        )

    def encode(self, original: Pixels, point: float) -> bytes:
        """Return a head and the strings of the entropy coder."""
        import torch
        from torch.nn.functional import pad

        ops = importlib.import_module("compressai.ops")
        height, width, _ = original.shape
        padding, _ = ops.compute_padding(height, width, min_div=_MULTIPLE)
        batch = torch.from_numpy(original.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
        with torch.no_grad():
            coded = self._network(point).compress(pad(batch, padding))
        strings = [string for (string,) in coded["strings"]]
        head = _HEAD.pack(int(point), height, width, *coded["shape"], len(strings))
        lengths = b"".join(_LENGTH.pack(len(string)) for string in strings)
        return head + lengths + b"".join(strings)

    def decode(self, data: bytes) -> Pixels:
        """Return the pixels of what `encode` wrote."""
        import torch
        from torch.nn.functional import pad

        ops = importlib.import_module("compressai.ops")
        point, height, width, rows, columns, n_strings = _HEAD.unpack_from(data)
        offset = _HEAD.size + n_strings * _LENGTH.size
        strings = []
        for (length,) in _LENGTH.iter_unpack(data[_HEAD.size : offset]):
            strings.append([data[offset : offset + length]])
            offset += length
        _, unpadding = ops.compute_padding(height, width, min_div=_MULTIPLE)
        with torch.no_grad():
            decoded = self._network(point).decompress(strings, (rows, columns))["x_hat"]
        unpadded = pad(decoded, unpadding)[0].permute(1, 2, 0)  # [H, W, C]
        return round_to_uint8(unpadded.numpy() * 255.0)

    def payload_bytes(self, data: bytes) -> int:
        """Count everything."""
        return len(data)

    def _network(self, point: float) -> Any:
        checkpoint = self.checkpoints[int(point) - 1] if self.checkpoints else None
        return _network(self.architecture, self.zoo, int(point), checkpoint)


def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]


@functools.lru_cache(maxsize=16)
def _network(architecture: str, zoo: str, point: int, checkpoint: str | None) -> Any:
    if checkpoint is None:
        make = getattr(importlib.import_module("compressai.zoo"), zoo)
        return make(point, metric="mse", pretrained=True).eval()
    import torch

    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model = getattr(importlib.import_module("compressai.models"), architecture)
        network = model.from_state_dict(state.get("state_dict", state))
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(f"{checkpoint}: not weights of {architecture}: {error}") from error
    network.update()
    return network.eval()


FACTORIZED = CompressAiPeer(
    "bmshj2018-factorized",
    "bmshj2018-factorized (CompressAI)",
    "FactorizedPrior",
    "bmshj2018_factorized",
)
MEAN_SCALE = CompressAiPeer(
    "mbt2018-mean",
    "mbt2018-mean, MeanScaleHyperprior (CompressAI)",
    "MeanScaleHyperprior",
    "mbt2018_mean",
)
