"""Means, intervals and comparisons of made-up studies whose answers are known."""

from pathlib import Path

import numpy as np
import pytest

from luxvox.evaluate.against import Foreign
from luxvox.evaluate.inputs import TestFile
from luxvox.evaluate.measure import Row
from luxvox.evaluate.metrics import Metric
from luxvox.evaluate.peers import Codec, PeerSpec
from luxvox.evaluate.study import Study, scales
from luxvox.evaluate.summary import compare, mean_curve, mean_with_interval

POINTS = (1.0, 2.0, 3.0)
PSNR = Metric("psnr", "PSNR", "dB", True, 2, False, "1")
LPIPS = Metric("lpips", "LPIPS", "", False, 4, False, "1")
MS_SSIM = Metric("ms_ssim", "MS-SSIM", "", True, 4, False, "1")


def study(metric, figure, factors=(1.0, 0.5), n_files=4):
    """Return a study of codecs `c0`, `c1` ... whose rates are multiples of the rates of `c0`."""
    codecs = tuple(
        Codec(PeerSpec(f"c{k}"), f"c{k}", f"C{k}", "pictures", POINTS, "1")
        for k in range(len(factors))
    )
    files = [f"{place}.png" for place in range(n_files)]
    rows = tuple(
        Row(file, f"c{k}", point, 1, factor * (1 + 0.1 * place) * 2**point, {metric.name: value})
        for place, file in enumerate(files)
        for k, factor in enumerate(factors)
        for point in POINTS
        for value in [figure(place, point)]
    )
    test_files = tuple(TestFile(Path(file), file, "pictures", "0" * 64) for file in files)
    return Study("pictures", test_files, {}, codecs, (metric,), rows)


def compare_pair(measured, reference, codec, foreign=(), scale=0):
    on = scales(measured.metrics)[scale]
    return next(
        c for c in compare(measured, on, foreign) if (c.reference, c.codec) == (reference, codec)
    )


def test_half_the_rate_is_minus_fifty_percent_with_no_spread():
    comparison = compare_pair(study(PSNR, lambda place, point: 30 + point + place), "c0", "c1")
    assert comparison.rate.value == pytest.approx(-50.0)
    assert comparison.rate.interval == pytest.approx((-50.0, -50.0))
    assert (comparison.rate.mean_over_files, comparison.rate.files) == (pytest.approx(-50.0), 4)
    # A point more is twice the rate and 1 dB.
    assert comparison.quality.value == pytest.approx(1.0)


def test_both_directions_agree():
    pair = study(PSNR, lambda place, point: 30 + point + place)
    back = compare_pair(pair, "c1", "c0")
    assert back.rate.value == pytest.approx(100.0)
    assert back.quality.value == pytest.approx(-1.0)


def test_less_is_better_where_the_metric_says_so():
    comparison = compare_pair(study(LPIPS, lambda place, point: 0.5 - 0.1 * point), "c0", "c1")
    assert comparison.rate.value == pytest.approx(-50.0)
    assert comparison.quality.value == pytest.approx(-0.1)


def test_no_overlap_is_refused_with_a_reason():
    apart = study(PSNR, lambda place, point: 30 + point, factors=(1.0, 1000.0))
    comparison = compare_pair(apart, "c0", "c1")
    assert comparison.rate.value == pytest.approx(99_900.0)
    assert comparison.quality.value is None
    assert "the curves share no rate" in str(comparison.quality.refused)


def test_one_file_has_no_interval():
    comparison = compare_pair(study(PSNR, lambda place, point: 30 + point, n_files=1), "c0", "c1")
    assert (comparison.rate.value, comparison.rate.interval) == (pytest.approx(-50.0), None)


def test_intervals_hold_the_mean_and_shrink_with_files():
    values = np.random.default_rng(4).normal(10.0, 1.0, (400, 1))
    mean, ends = mean_with_interval(values)
    assert ends is not None
    # 1.96 standard errors to each side, by the central limit theorem.
    assert ends[:, 0] - mean[0] == pytest.approx([-0.098, 0.098], rel=0.25)
    _, wide = mean_with_interval(values[:25])
    assert wide is not None
    assert float(np.ptp(wide)) > 2 * float(np.ptp(ends))


def test_ms_ssim_is_averaged_before_it_goes_to_decibels():
    similarities = study(MS_SSIM, lambda place, point: 0.9 + 0.02 * point + 0.002 * place)
    plain, decibels = scales(similarities.metrics)
    assert (plain.is_compared, decibels.is_compared) == (False, True)
    curve = mean_curve(similarities, decibels, "c0")
    assert curve is not None
    assert curve.figures[0] == pytest.approx(-10 * np.log10(1 - 0.923))


def test_a_file_without_a_figure_counts_for_no_codec():
    incomplete = study(
        PSNR, lambda place, point: None if (place, point) == (3, 2.0) else 30 + point
    )
    assert incomplete.is_counted("psnr").tolist() == [True, True, True, False]
    curve = mean_curve(incomplete, scales(incomplete.metrics)[0], "c0")
    assert curve is not None
    assert curve.rates[0] == pytest.approx(2 * 1.1)


def test_curves_from_elsewhere_are_compared_with_ours():
    measured = study(PSNR, lambda place, point: 30 + point, n_files=1)
    pairs = tuple((2 * 2**point, 30 + point) for point in POINTS)
    elsewhere = Foreign("paper", "pictures", "a paper", {"psnr": pairs})
    assert compare_pair(measured, "c0", "paper", [elsewhere]).rate.value == pytest.approx(100.0)
    assert compare_pair(measured, "paper", "c0", [elsewhere]).rate.value == pytest.approx(-50.0)
