"""The benchmark of damaged sections: what it damages, and its tables for a few tiny files."""

import csv

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

import luxvox
from luxvox.benchmarks import loss
from luxvox.benchmarks.damage import DamagedFile, draw_damage, with_damage, with_null_codes
from luxvox.codec import container
from luxvox.tests.evaluate.miniature import scene, speech


def test_draws_are_nested_and_have_the_given_probability():
    rare, frequent = (draw_damage(7, probability, 2000, 3) for probability in (0.05, 0.2))
    assert all(fewer <= more for fewer, more in zip(rare, frequent, strict=True))
    assert np.mean([len(damaged) for damaged in rare]) / 7 == pytest.approx(0.05, abs=0.01)
    assert np.mean([len(more) for more in frequent]) / 7 == pytest.approx(0.2, abs=0.01)
    assert frequent == draw_damage(7, 0.2, 2000, 3)


@pytest.fixture(scope="module")
def damaged_file():
    pixels = scene(144, 80, 0)

    def decode(data, conceal):
        return luxvox.decompress_image(data, conceal=conceal)

    def score(original, decoded):
        return (float(np.abs(original.astype(int) - decoded).mean()),)

    data = luxvox.compress_image(pixels, 70, effort=1)
    return DamagedFile("it", pixels, data, decode, score)


def test_only_the_named_sections_are_damaged(damaged_file):
    hurt = with_damage(damaged_file.data, {1, 2})
    assert [entry.crc_ok for entry in container.list_sections(hurt).entries[:3]] == [
        True,
        False,
        False,
    ]
    files = damaged_file.data, with_null_codes(damaged_file.data, 1)
    codes, null = (luxvox.codes(data) for data in files)
    assert isinstance(codes, dict) and isinstance(null, dict)
    assert (null["apex"] == codes["apex"]).all()
    assert not null["detail"].any() and codes["detail"].any()


def test_worse_damage_is_worse(damaged_file):
    all_of_it = set(range(damaged_file.n_sections))
    assert (
        damaged_file.measure_whole()
        == damaged_file.measure_concealed(())
        == damaged_file.measure_nulled(())
    )
    assert (
        damaged_file.measure_whole()
        < damaged_file.measure_concealed({1})
        < damaged_file.measure_nulled({0})
    )
    assert damaged_file.measure_concealed(all_of_it) == damaged_file.measure_nulled(
        {0}
    )  # nothing is known of it


def test_tables_of_tiny_files(tmp_path, monkeypatch):
    photographs, voices = tmp_path / "photographs", tmp_path / "voices"
    for folder in (photographs, voices, tmp_path / "results"):
        folder.mkdir()
    Image.fromarray(scene(48, 40, 1)).save(photographs / "a.png")
    for name in ("a", "b"):
        soundfile.write(voices / f"{name}.flac", speech(8000), 16_000)
    page = tmp_path / "results.md"
    page.write_text("Before\n<!-- loss:begin -->\nold\n<!-- loss:end -->\nafter\n")
    monkeypatch.setattr(loss, "CLIPS", 2)
    words = [str(photographs), str(voices), "--crop", "32", "--draws", "4", "--docs", str(tmp_path)]
    ran = CliRunner().invoke(loss.main, words, catch_exceptions=False)
    assert ran.exit_code == 0
    text = page.read_text()
    assert "\nold\n" not in text and text.startswith("Before") and text.endswith("after\n")
    for share in ("5 %", "10 %", "20 %"):
        assert text.count(f"\n| {share} |") == 2
    with (tmp_path / "results" / "loss_voices.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 4
    for row in rows:
        states = [
            value for key, value in row.items() if key.split("_")[0] in ("whole", "concealed")
        ]
        assert bool(row["damaged"]) or states[: len(states) // 2] == states[len(states) // 2 :]
