"""The benchmark of speed: a cold start, and the page."""

import numpy as np

from luxvox.benchmarks.speed import ColdStart, Timing, markdown, start_cold


def test_a_cold_start_is_a_whole_command():
    source = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    cold = start_cold(source, 20.0, runs=1)
    assert cold.file_bytes > 100
    assert cold.decompress_s > 0 and cold.import_torch_s > 0


def test_the_page_names_both_commands():
    timing = Timing("compress", 96, 64, 50.0, 2, 1200, 0.5, 0.25, 1, 300)
    page = markdown([timing], ColdStart(1.5, 1.25, 600, 7), "how it was measured")
    assert "of 600 bytes takes 1.50 s" in " ".join(page.split())
    assert "| compress | 96×64 | 0.0 | 1,200 | 0.50 | 0.25 | 300 |" in page
