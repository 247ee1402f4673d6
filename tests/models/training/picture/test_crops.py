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


def test_weights_for_the_eye_learn_what_the_finest_qualities_need():
    """A quarter of the crops have tunings in between, and steps as fine as files with these."""
    config = PictureConfig(tunings=("eye",))
    for seed in range(20):
        steps, tunes = draw_settings(8, config, torch.Generator().manual_seed(seed))
        assert (tunes[2:] == 1.0).all()
        for step, tune in zip(steps[:2].tolist(), tunes[:2].tolist(), strict=True):
            assert 0.0 < tune < 1.0
            fine = setting_of(100.0 - 15.0 * tune, True, config).step
            assert step == pytest.approx(max(fine, TRAINED_STEPS[0]), rel=1e-5)
