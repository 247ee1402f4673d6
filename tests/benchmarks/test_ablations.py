"""What the ablations leave out, and how variants are compared."""

import pytest
import torch

from luxvox.benchmarks import ablations
from luxvox.models.picture import transform
from luxvox.models.picture.conditions import PictureConfig
from luxvox.models.picture.networks import PictureModel
from luxvox.models.training.picture import initialise, joint

WHOLE = {
    "psnr_bpp_20": "1.6",
    "psnr_psnr_20": "37.5",
    "psnr_bpp_60": "0.5",
    "psnr_psnr_60": "31.5",
    "eye_bpp_20": "0.8",
    "eye_structure_20": "0.04",
    "eye_bpp_60": "0.25",
    "eye_structure_60": "0.13",
}


@pytest.mark.parametrize(("factor", "expected"), [(1.01, "+1.0 %"), (0.9, "−10.0 %")])
def test_bits_at_equal_quality_are_compared(factor, expected):
    row = {n: str(factor * float(v)) if "bpp" in n else v for n, v in WHOLE.items()}
    for tuned, kind in (("psnr", "psnr"), ("eye", "structure")):
        assert ablations._difference(WHOLE, row, tuned, kind) == expected


def test_better_quality_at_equal_bits_is_fewer_bits():
    better = {**WHOLE, "psnr_psnr_20": "37.6", "psnr_psnr_60": "31.6"}
    assert ablations._difference(WHOLE, better, "psnr", "psnr").startswith("−1.9")


def test_a_plain_dct_sees_its_own_block_only():
    with ablations._without_overlap():
        analysis, synthesis = transform.lapped_kernels()
        assert vars(initialise)["lapped_kernels"] is transform.lapped_kernels
    assert not analysis[:, :4].any() and not analysis[:, 12:].any()
    identity = torch.eye(8, dtype=torch.float64)
    assert torch.allclose(analysis @ synthesis.T, identity)
    assert transform.lapped_kernels()[0][:, :4].any()


def test_patches_end_with_the_variant():
    model = PictureModel(PictureConfig())
    at = model.conditions(torch.tensor([20.0]), torch.tensor([1.0]))
    features = torch.full((1, 192, 2, 2), 5.0)
    with ablations._without_step_maps():
        assert model.synthesis.step_factors(1, features, at).shape == (1, 1, 1, 1)
    assert model.synthesis.step_factors(1, features, at).shape == (1, 24, 4, 4)
    share = joint.STRUCTURE_SHARE
    with ablations.VARIANTS[-1].patch():
        assert joint.STRUCTURE_SHARE == 0.0
    assert share == joint.STRUCTURE_SHARE > 0.0
