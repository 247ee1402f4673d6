"""The benchmark of the context model: entropies, and the table for a tiny picture."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from luxvox.benchmarks import coding
from luxvox.tests.evaluate.miniature import scene


def test_static_tables_are_fitted_to_each_channel():
    histograms: list[dict[int, int]] = [{}, {}]
    coding.count(histograms, np.array([[[0, 0, 1, 1]], [[-5, -5, -5, -5]]], np.int16))
    assert coding.static_bits(histograms) == pytest.approx(4.0)
    coding.count(histograms, np.array([[[2, 2, 3, 3]], [[-5, -5, -5, -5]]], np.int16))
    assert coding.static_bits(histograms) == pytest.approx(16.0)


def test_table_of_a_tiny_picture(tmp_path):
    folder = tmp_path / "photographs"
    for path in (folder, tmp_path / "results"):
        path.mkdir()
    Image.fromarray(scene(70, 90, 1)).save(folder / "a.png")
    page = tmp_path / "results.md"
    page.write_text("Before\n<!-- coding:begin -->\n<!-- coding:end -->\n")
    words = [str(folder), "--quality", "50", "--docs", str(tmp_path)]
    ran = CliRunner().invoke(coding.main, words, catch_exceptions=False)
    assert ran.exit_code == 0
    assert "| 50 | apex |" in page.read_text()
    with (tmp_path / "results" / "coding.csv").open() as file:
        (row,) = csv.DictReader(file)
    cost, ideal = float(row["code_bytes"]), float(row["cross_entropy_bytes"])
    assert ideal < cost + 1 < 1.05 * ideal + 40
    assert int(row["file_bytes"]) > cost
