"""The benchmark of held-back pictures: which ones they are, labels, and its table."""

import dataclasses
import json

from click.testing import CliRunner
from PIL import Image

from luxvox.benchmarks import held_back
from luxvox.evaluate.picture.peers import AVIF
from luxvox.tests.evaluate.miniature import scene


def write_pictures(folder, names, side=256):
    folder.mkdir()
    for seed, name in enumerate(names):
        Image.fromarray(scene(side, side, seed)).save(folder / name)
    return folder


def test_every_fiftieth_path_of_all_folders_is_held_back(tmp_path, monkeypatch):
    first = write_pictures(tmp_path / "one", ("c.png", "a.png"))
    write_pictures(first / "below", ("b.png",))
    second = write_pictures(tmp_path / "two", ("d.png", "e.png"))
    write_pictures(second / "small", ("c.png",), side=255)
    monkeypatch.setattr(held_back, "N_TH", 2)
    paths = held_back.list_held_back([second, first])
    assert [path.name for path in paths] == ["a.png", "c.png", "e.png"]
    assert [path.name for path in held_back.list_held_back([second, first], 2)] == [
        "a.png",
        "c.png",
    ]


def test_labels_name_what_differs():
    variants = held_back.variants(["runs/a", "new=runs/b"], (5,), ("eye", "psnr"))
    assert [variant.label for variant in variants] == ["a, eye", "a, psnr", "new, eye", "new, psnr"]
    assert [variant.label for variant in held_back.variants([], (1, 5), ("eye",))] == [
        "shipped, effort 1",
        "shipped, effort 5",
    ]


def test_table_of_a_picture(tmp_path, monkeypatch):
    folder = write_pictures(tmp_path / "pictures", ("a.png",))
    monkeypatch.setattr(held_back, "AVIF", dataclasses.replace(AVIF, points=(10, 50, 90)))
    page = tmp_path / "page.md"
    page.write_text("<!-- held-back:begin -->\n<!-- held-back:end -->\n")
    words = [str(folder), "--effort", "1", "--quality", "20", "--quality", "70", "--cache"]
    words += [str(tmp_path / "cache"), "--out", str(tmp_path / "out.json"), "--page", str(page)]
    ran = CliRunner().invoke(held_back.main, words, catch_exceptions=False)
    assert ran.exit_code == 0
    assert "| shipped |" in page.read_text()
    points = json.loads((tmp_path / "out.json").read_text())["points"]
    assert {label: len(pictures[0]) for label, pictures in points.items()} == {
        "avif": 3,
        "shipped": 2,
    }
    for pictures in points.values():
        assert pictures[0][0]["bpp"] < pictures[0][-1]["bpp"]
        assert pictures[0][0]["psnr_db"] < pictures[0][-1]["psnr_db"]
