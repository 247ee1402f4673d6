"""The random settings of training steps."""

import pytest
import torch

from luxvox.models.picture.conditions import PictureConfig, setting_of
from luxvox.models.training.picture.crops import TRAINED_STEPS, draw_settings


@pytest.mark.parametrize(("tunings", "n_for_eye"), [(("eye", "psnr"), 4), (("psnr",), 0)])
def test_tunings_are_drawn_equally_often(tunings, n_for_eye):
    step, tune = draw_settings(8, PictureConfig(tunings=tunings), torch.Generator().manual_seed(0))
    assert sorted(tune.tolist()) == [0.0] * (8 - n_for_eye) + [1.0] * n_for_eye
    low, high = TRAINED_STEPS
    assert step.min() >= low and step.max() <= high


def test_weights_for_the_eye_learn_what_the_finest_qualities_ask_for():
    """One of the crops has a tuning between both, and a step as fine as files with that tuning."""
    config = PictureConfig(tunings=("eye",))
    for seed in range(20):
        step, tune = draw_settings(8, config, torch.Generator().manual_seed(seed))
        assert (tune[1:] == 1.0).all() and 0.0 < tune[0] < 1.0
        setting = setting_of(100.0 - 15.0 * float(tune[0]), True, config)
        assert float(step[0]) == pytest.approx(max(setting.step, TRAINED_STEPS[0]), rel=1e-5)
