"""The benchmark of training: a few steps of tiny batches, and its table."""

from PIL import Image

from luxvox.benchmarks import training_speed
from luxvox.models.training.picture import crops, data
from luxvox.tests.evaluate.miniature import scene


def test_a_phase_is_measured(tmp_path, monkeypatch):
    phase = "joint"
    for seed in range(2):
        Image.fromarray(scene(256, 256, seed)).save(tmp_path / f"{seed}.png")
    tiny = crops.PhaseSettings(bfloat16=False, crop=64, batch=1)
    monkeypatch.setattr(crops, "PhaseSettings", lambda **_: tiny)
    monkeypatch.setattr(data, "N_DRAWINGS", 1)
    row = training_speed.measure(tmp_path, phase, "float32", 0.0)
    assert (row["phase"], row["precision"], row["steps"]) == (phase, "float32", 1)
    assert row["pixels_per_core_second"] > 0
    assert 5.0 < row["kmac_per_pixel"] < 60.0


def test_speeds_are_relative_to_the_first_row(tmp_path, capsys):
    rows = [
        {"phase": phase, "precision": "float32", "pixels_per_core_second": n, "kmac_per_pixel": k}
        for phase, n, k in (("old", 1000, 10.0), ("joint", 3000, 20.0))
    ]
    page = tmp_path / "page.md"
    page.write_text("<!-- training-speed:begin -->\n<!-- training-speed:end -->\n")
    record = {"command": "python x", "machine": "m", "packages": "torch", "rows": rows}
    training_speed.report(record, page)
    assert "| joint | float32 | 3,000 | 20.0 | 3.00× | 6.00× |" in page.read_text()
    assert "| old | float32 | 1,000 | 10.0 | 1.00× | 1.00× |" in capsys.readouterr().out
