"""BD-rate: known answers, symmetry and refusals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.evaluate.bd import Curve, NoComparison, bd_quality, bd_rate_percent

RATES = (0.1, 0.25, 0.5, 1.0, 2.0)
QUALITIES_DB = (24.0, 27.5, 30.0, 33.0, 37.0)
CURVE = Curve(RATES, QUALITIES_DB)


def test_identical_curves_differ_by_nothing() -> None:
    assert bd_rate_percent(CURVE, CURVE) == pytest.approx(0.0, abs=1e-9)


def test_half_the_rate_is_minus_fifty_percent() -> None:
    half = Curve(tuple(rate / 2 for rate in RATES), QUALITIES_DB)
    assert bd_rate_percent(CURVE, half) == pytest.approx(-50.0)
    assert bd_rate_percent(half, CURVE) == pytest.approx(100.0)


@given(factor=st.floats(0.05, 20.0))
def test_a_constant_factor_of_rate_is_found(factor: float) -> None:
    scaled = Curve(tuple(rate * factor for rate in RATES), QUALITIES_DB)
    assert bd_rate_percent(CURVE, scaled) == pytest.approx(100.0 * (factor - 1.0), abs=1e-6)


def test_straight_lines_shifted_in_quality_have_a_closed_answer() -> None:
    # At 6 dB for each doubling of rate, 3 dB better means 2 ** -0.5 of the rate.
    qualities = tuple(30.0 + 6.0 * math.log2(rate) for rate in RATES)
    better = Curve(RATES, tuple(quality + 3.0 for quality in qualities))
    assert bd_rate_percent(Curve(RATES, qualities), better) == pytest.approx(
        100.0 * (2.0**-0.5 - 1.0)
    )


def test_only_the_common_range_counts() -> None:
    part = Curve(RATES[1:4], QUALITIES_DB[1:4])
    longer = Curve((*RATES, 50.0), (*QUALITIES_DB, 37.5))
    assert bd_rate_percent(part, longer) == pytest.approx(0.0, abs=2.0)


def test_order_of_points_and_useless_points_do_not_matter() -> None:
    shuffled = Curve((2.0, 0.1, 1.0, 0.6, 0.25, 0.5), (37.0, 24.0, 33.0, 29.0, 27.5, 30.0))
    assert bd_rate_percent(CURVE, shuffled) == pytest.approx(0.0, abs=1e-9)


def test_curves_without_common_quality_are_refused() -> None:
    with pytest.raises(ValueError, match="share no quality"):
        bd_rate_percent(CURVE, Curve((1.0, 2.0), (50.0, 60.0)))


def test_a_curve_of_one_point_is_refused() -> None:
    with pytest.raises(ValueError, match="two points"):
        bd_rate_percent(CURVE, Curve((1.0, 1.0), (30.0, 30.0)))


# CompressAI's published means over Kodak, in bits per pixel and dB of PSNR.
BPG = Curve(
    (0.0678, 0.161, 0.3516, 0.6847, 1.1997, 1.9297, 3.0579, 4.7031),
    (26.1951, 28.6815, 31.5947, 34.8575, 38.2599, 41.4789, 44.7031, 47.6325),
)
VTM = Curve(
    (0.0482, 0.1125, 0.2458, 0.4905, 0.8748, 1.4308, 2.3246, 3.6326),
    (26.1448, 28.493, 31.1999, 34.2615, 37.4198, 40.4244, 43.5058, 46.5918),
)


def test_a_published_pair_agrees_with_another_implementation() -> None:
    # The figures come from the package bjontegaard 1.3.0, which follows the sheet of the JVET.
    assert bd_rate_percent(BPG, VTM) == pytest.approx(-18.0311870849, abs=1e-8)
    assert bd_quality(BPG, VTM) == pytest.approx(0.9777616419, abs=1e-8)
    anchor = Curve((85.95, 157.11, 309.58, 686.76), (31.42, 34.24, 37.18, 40.28))
    test = Curve((112.75, 204.93, 407.8, 893.34), (31.24, 34.17, 37.21, 40.39))
    assert bd_rate_percent(anchor, test) == pytest.approx(31.3798782024, abs=1e-8)
    assert bd_quality(anchor, test) == pytest.approx(-1.1834724046, abs=1e-8)


def test_quality_gained_everywhere_is_found() -> None:
    better = Curve(RATES, tuple(quality + 1.25 for quality in QUALITIES_DB))
    assert bd_quality(CURVE, better) == pytest.approx(1.25)
    assert bd_quality(better, CURVE) == pytest.approx(-1.25)


def test_curves_without_common_rate_have_no_difference_of_quality() -> None:
    with pytest.raises(NoComparison, match="share no rate: 0.1 to 2 and 3 to 4"):
        bd_quality(CURVE, Curve((3.0, 4.0), (24.0, 37.0)))
