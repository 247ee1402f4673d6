"""The factors on the steps of latents, which follow from the codes of coarser levels."""

from __future__ import annotations

import torch
from torch import Tensor

from luxvox.models.picture.conditions import FINEST, Setting
from luxvox.models.picture.drawing import FoldedSynthesis
from luxvox.models.picture.networks import PictureModel
from luxvox.models.picture.tiling import coarse_strips


class Placement:
    """The factors on the steps of a picture, level by level as its codes become known.

    Features are drawn as a decoder draws them (`luxvox.models.picture.drawing`).

    Args:
        model: on the device the work is to be done on.
        setting: step and tuning.
    """

    def __init__(self, model: PictureModel, setting: Setting) -> None:
        self._model = model
        self._at = model.conditions_at(setting)
        self._network = FoldedSynthesis(model, setting)
        self._features: Tensor | None = None  # of the finest level whose codes are known
        self._maps: Tensor | None = None  # all that the factors of the next level depend on
        self._number = 0  # of the next level

    @torch.inference_mode()
    def factors(self, rows: slice = slice(None)) -> Tensor:
        """Return the factors of the next level, [1, channels, h, w], or some rows of them.

        Where all of them are 1 they come in a shape that broadcasts.
        """
        if self._maps is None:
            return torch.ones_like(self._at.gain).cpu()
        step_map = self._model.synthesis.step_map(self._number)
        return step_map.factors(self._maps[:, :, rows], self._at).cpu()

    def place(self, latents: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return latents of the next level in the steps of their places.

        Args:
            latents: [1, channels, h, w], or some rows of them.
            rows: which ones.
        """
        return latents / self.factors(rows)

    @torch.inference_mode()
    def know(self, codes: Tensor) -> None:
        """Add the codes [1, channels, h, w] of the next level to what is known."""
        number = self._number
        self._number += 1
        if number == FINEST or self._network.has_uniform_steps:
            return

        # A block sees one row to each side, energies of features are averaged over one, and the
        # level's own factors see one of the coarser grid, which is two.
        features, maps = [], []
        step_map = self._model.synthesis.step_map(number + 1)
        reach = len(self._network.blocks[number]) + 3
        for strip in coarse_strips(codes.shape[2], codes.shape[3], reach):
            below = None if self._features is None else self._features[:, :, strip.rows(2)]
            own = codes[:, :, strip.rows(1)].to(self._model.device).float()
            part = self._network.level(number, own, below)
            seen, inner = step_map.look(part, self._at), strip.inner(1)
            maps.append(seen[:, :, 2 * inner.start : 2 * inner.stop])
            if number + 1 < FINEST:
                features.append(part[:, :, inner])
        self._features = torch.cat(features, 2) if features else None
        self._maps = torch.cat(maps, 2)
