"""What the steps of a phase draw."""

import pytest
import torch

from luxvox.models.training.picture.crops import TRAINED_STEPS, draw_settings


@pytest.mark.parametrize(
    ("tunings", "n_for_eye"), [(("eye", "psnr"), 4), (("eye",), 8), (("psnr",), 0)]
)
def test_tunings_are_drawn_equally_often(tunings, n_for_eye):
    step, tune = draw_settings(8, tunings, torch.Generator().manual_seed(0))
    assert sorted(tune.tolist()) == [0.0] * (8 - n_for_eye) + [1.0] * n_for_eye
    low, high = TRAINED_STEPS
    assert step.min() >= low and step.max() <= high
