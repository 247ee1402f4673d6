"""`luxvox truncate`: previews, sizes and refusals."""

import os

import pytest

from luxvox.tests.commands.conftest import names, run, save_noise


def test_truncate(folder, capsys):
    save_noise("photo.png", (150, 100))
    assert run("photo.png") == 0
    assert run("cli", "truncate", "photo.lvx", "--sections", "1", "-o", "small.lvx") == 0
    assert run("cli", "truncate", "photo.lvx", "--bytes", "2kB", "-o", "tiny.lvx") == 0
    capsys.readouterr()
    assert os.path.getsize("tiny.lvx") <= 2000
    assert run("cli", "decompress", "small.lvx", "--strict", "-o", "small.png") == 0
    assert run("cli", "decompress", "photo.lvx", "--sections", "1", "-o", "back.png") == 0
    assert (folder / "small.png").read_bytes() == (folder / "back.png").read_bytes()
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--sections", "1"],
        ["--sections", "1", "-o", "photo.lvx", "-f"],
        ["-o", "x.lvx"],
        ["-o", "x.lvx", "--bytes", "many"],
        ["-o", "x.lvx", "--bytes", "20"],
        ["-o", "x.lvx", "--sections", "0"],
        ["-o", "x.lvx", "--sections", "1", "--bytes", "9kB"],
        ["-o", "x.lvx", "--sections", "1", "--rm"],
    ],
)
def test_bad_truncations(folder, words, capsys):
    run("photo.png")
    before = (folder / "photo.lvx").read_bytes()
    capsys.readouterr()
    assert run("cli", "truncate", "photo.lvx", *words) == 2
    assert names(folder) == ["photo.lvx", "photo.png"]
    assert (folder / "photo.lvx").read_bytes() == before
    assert "Traceback" not in capsys.readouterr().err
