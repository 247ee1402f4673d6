"""The factors on the steps of latents, which follow from the codes of coarser levels."""

from __future__ import annotations

import torch
from torch import Tensor

from luxvox.models.picture.conditions import FINEST, LEVELS, STRIDES, Setting
from luxvox.models.picture.drawing import FoldedSynthesis
from luxvox.models.picture.networks import PictureModel
from luxvox.models.picture.windows import rows_at_once, windows


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
        """Return latents of the next level in their local steps.

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

        def latents(rows: slice) -> Tensor:
            return codes[:, :, rows].to(self._model.device).float()

        if self._features is None:
            chunks = iter([self._network.level(number, latents(slice(None)), None)])
        else:
            stride = STRIDES[LEVELS[number - 1]]
            width = stride * self._features.shape[3]
            n_rows = rows_at_once(width, stride, self._model.device)
            coarser = iter(torch.split(self._features, n_rows, 2))
            chunks = self._network.level_in_chunks(number, coarser, latents)

        # Energies of features are averaged over the rows next to them, too.
        features, maps = [], []
        step_map = self._model.synthesis.step_map(number + 1)
        for window in windows(chunks):
            maps.append(window.inner(step_map.look(window.rows, self._at), 2))
            if number + 1 < FINEST:
                features.append(window.chunk)
        self._features = torch.cat(features, 2) if features else None
        self._maps = torch.cat(maps, 2)
