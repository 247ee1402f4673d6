"""Rows, their CSV files, and the curves made of them."""

from pathlib import Path

import pytest

from luxvox.benchmarks.measurements import (
    QUALITIES,
    Measurement,
    bd_rate_of_means,
    mean_curve,
    mean_of_bd_rates,
    monotonic_pictures,
    read_csv,
    write_csv,
)


def rows(bytes_factor: float = 1.0) -> list[Measurement]:
    """Two pictures of 10 × 80 pixels at three settings."""
    return [
        Measurement(picture, setting, 10, 80, int(size * bytes_factor), psnr, similarity)
        for picture, base in (("b.png", 100), ("a.png", 200))
        for setting, size, psnr, similarity in (
            (1.0, base, 25.0, 0.9),
            (20.0, 2 * base, 28.0 + base / 100, 0.96),
            (50.0, 4 * base, 34.5, 0.99),
        )
    ]


def test_csv_round_trip(tmp_path: Path) -> None:
    write_csv(tmp_path / "rows.csv", rows())
    assert read_csv(tmp_path / "rows.csv") == sorted(rows())


def test_mean_curve() -> None:
    low, middle, high = mean_curve(rows())
    assert (low.rate_bpp, middle.rate_bpp, high.rate_bpp) == pytest.approx((1.5, 3.0, 6.0))
    assert middle.psnr_db == pytest.approx(29.5)
    assert (low.ms_ssim_db, high.ms_ssim_db) == pytest.approx((10.0, 20.0))


@pytest.mark.parametrize("metric", QUALITIES)
def test_half_the_bytes_is_minus_fifty_percent(metric: str) -> None:
    quality = QUALITIES[metric]
    assert bd_rate_of_means(rows(), rows(0.5), quality) == pytest.approx(-50.0)
    assert mean_of_bd_rates(rows(), rows(0.5), quality) == pytest.approx(-50.0)


def test_monotonic_pictures_counts_curves_that_rise_at_every_step() -> None:
    flat = Measurement("a.png", 60.0, 10, 80, 800, 36.0, 0.995)
    assert monotonic_pictures(rows()) == 2
    assert monotonic_pictures([*rows(), flat]) == 1
