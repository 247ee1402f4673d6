"""FORMAT.md, Pixels: codes to a picture, in floats of 64 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luxvox.tests.second_decoder.arithmetic import Integers, Tensors

Floats = NDArray[np.float64]
LEVELS = ("apex", "top", "base", "detail")


def draw(
    codes: Mapping[str, Integers],
    tensors: Tensors,
    config: Mapping[str, Any],
    quality: int,
    tune: int,
) -> Floats:
    """Return pixels [3, h, w] of the padded picture, neither clipped nor rounded.

    Args:
        codes: by level.
        tensors: of the weights file.
        config: of the model card.
        quality: in hundredths.
        tune: of the header; 1 for the eye, 0 for the least squared error.
    """
    coarsest, finest = config["coarsest_step"], config["finest_step"]
    step = coarsest * (finest / coarsest) ** ((quality / 100 - 1) / 99)
    position = 2 * np.log(step / finest) / np.log(coarsest / finest) - 1
    for_eye = tune * min((100 - quality / 100) / 15, 1)
    network = Synthesis(tensors, position, step / 8, for_eye)
    x = np.zeros((0, 0, 0))
    for number, level in enumerate(LEVELS):
        offset, slope = tensors[f"gains.{level}"].astype(np.float64)
        latents = codes[level] * (step / 8 * np.exp(offset + position * slope))[:, None, None]
        if number:
            latents = latents * network.factors(f"step_maps.{number - 1}", x)
        own = network.layer(f"from_latents.{number}", latents)
        x = own if number == 0 else own + shuffle(network.layer(f"up.{number - 1}", x), 2)
        for block in range(config["synthesis_blocks"][number]):
            x = network.block(f"blocks.{number}.{block}", x)
    return 8 * network.back(x) + 128


class Synthesis:
    """The layers of the network, by their names without `synthesis.`."""

    def __init__(self, tensors: Tensors, position: float, gain: float, tune: float) -> None:
        self._tensors = {
            name.removeprefix("synthesis."): values.astype(np.float64)
            for name, values in tensors.items()
            if name.startswith("synthesis.")
        }
        self._position, self._gain, self._tune = position, gain, tune

    def factors(self, name: str, x: Floats) -> Floats:
        """Return the factors on the steps of the next level."""
        energy = self.layer(f"{name}.probe", x / self._gain) ** 2
        _, rows, columns = energy.shape
        padded = np.pad(energy, ((0, 0), (1, 1), (1, 1)))
        inside = np.pad(np.ones((1, rows, columns)), ((0, 0), (1, 1), (1, 1)))
        total, n = np.zeros_like(energy), np.zeros((1, rows, columns))
        for r, s in np.ndindex(3, 3):
            total += padded[:, r : r + rows, s : s + columns]
            n += inside[:, r : r + rows, s : s + columns]
        maps = shuffle(self.layer(f"{name}.maps", np.log1p(total / n)), 2)
        logarithm = np.tensordot(self._tensors[f"{name}.mix"][:, :, 0, 0], maps, 1)
        return np.exp(self._tune * np.clip(logarithm, -1.5, 1.5))

    def layer(self, name: str, x: Floats) -> Floats:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return np.tensordot(weight[:, :, 0, 0], x, 1) + bias[:, None, None]

    def block(self, name: str, x: Floats) -> Floats:
        scale = self._tensors[f"{name}.scale"]
        scale = scale * np.exp(self._tensors[f"{name}.scale_slope"] * self._position)
        hidden = self.layer(f"{name}.expand", self.depthwise(name, x * scale[:, None, None]))
        offset = self._tensors[f"{name}.expand_slope"] * self._position
        offset = offset + self._tensors[f"{name}.tune_slope"] * self._tune
        hidden += offset[:, None, None]
        a, b = np.split(hidden, 2)
        b = np.minimum(b, 6)
        product = np.clip(a, -6, 6) * b * np.clip(b + 3, 0, 6) / 6
        return x + self._gain * self.layer(f"{name}.project", product)

    def depthwise(self, name: str, x: Floats) -> Floats:
        weight = self._tensors[f"{name}.depthwise.weight"][:, 0]
        _, rows, columns = x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        total = np.broadcast_to(
            self._tensors[f"{name}.depthwise.bias"][:, None, None], x.shape
        ).copy()
        for r, s in np.ndindex(3, 3):
            total += weight[:, r, s, None, None] * padded[:, r : r + rows, s : s + columns]
        return total

    def back(self, x: Floats) -> Floats:
        signs = self._tensors["row_signs"][:, None, None]
        x = np.concatenate([x[:, :1] * signs, x, x[:, -1:] * signs], 1)
        signs = self._tensors["column_signs"][:, None, None]
        x = np.concatenate([x[:, :, :1] * signs, x, x[:, :, -1:] * signs], 2)
        _, rows, columns = (n - 1 for n in x.shape)
        weight = self._tensors["back.weight"]
        total = self._tensors["back.bias"][:, None, None]
        for r, s in np.ndindex(2, 2):
            total = total + np.tensordot(weight[..., r, s], x[:, r : r + rows, s : s + columns], 1)
        return shuffle(total, 8)[:, 4:-4, 4:-4]


def shuffle(x: Floats, n: int) -> Floats:
    channels, rows, columns = x.shape
    parts = x.reshape(channels // n**2, n, n, rows, columns).transpose(0, 3, 1, 4, 2)
    return parts.reshape(-1, n * rows, n * columns)
