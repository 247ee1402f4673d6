"""`luxvox decompress`: limits, cuts, damage, scale and crop."""

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox import cautions
from luxvox.codec import container, pictures
from luxvox.codec.quality import Quality
from luxvox.errors import DamageWarning, TruncatedWarning
from luxvox.tests.commands.conftest import names, run, save_noise


def test_truncation_is_a_warning(folder, monkeypatch, capsys):
    run("photo.png")
    decompress = pictures.decompress_raster

    def warn(*arguments, **options):
        cautions.warn(TruncatedWarning("2 of 5 sections are missing"))
        return decompress(*arguments, **options)

    monkeypatch.setattr(pictures, "decompress_raster", warn)
    assert run("cli", "decompress", "photo.lvx", "-o", "back.png") == 0
    expected = "luxvox: photo.lvx: warning: 2 of 5 sections are missing"
    assert expected in capsys.readouterr().err.splitlines()


def test_limits_are_options(folder, capsys):
    run("photo.png")
    assert run("cli", "decompress", "photo.lvx", "-o", "a.png", "--max-pixels", "384") == 0
    assert run("cli", "decompress", "photo.lvx", "-o", "b.png", "--max-pixels", "383") == 3
    assert "24×16 pixels are over the limit of 383" in capsys.readouterr().err
    header = container.VoiceHeader(1, bytes(4), 32_000, 16_000, False, 128, Quality(5000), 1)
    parts = [container.Section(n, b"") for n in (1, 2)]
    (folder / "voice.lvx").write_bytes(container.write(header, parts))
    assert run("cli", "decompress", "voice.lvx", "--max-seconds", "1.5") == 3
    assert "2.0 s of sound are over the limit of 1.5 s" in capsys.readouterr().err
    for words in (["--max-pixels", "0"], ["--max-seconds", "nan"], ["--max-seconds", "-1"]):
        assert run("cli", "decompress", "photo.lvx", *words) == 2
    assert names(folder) == ["a.png", "photo.lvx", "photo.png", "voice.lvx"]


def test_strict_refuses_cut_files(folder, capsys):
    save_noise("photo.png", (150, 100))
    run("photo.png")
    (folder / "cut.lvx").write_bytes((folder / "photo.lvx").read_bytes()[:-1])
    capsys.readouterr()
    assert run("cli", "decompress", "cut.lvx", "-o", "back.png", "--strict") == 3
    assert capsys.readouterr().err == "luxvox: cut.lvx: the file is cut\n"
    assert run("cli", "decompress", "cut.lvx", "-o", "back.png") == 0
    assert "luxvox: cut.lvx: warning: the file is cut" in capsys.readouterr().err


def test_conceal_on_the_command_line(folder, capsys):
    save_noise("photo.png", (150, 100))
    run("photo.png")
    damaged = bytearray((folder / "photo.lvx").read_bytes())
    damaged[-1] ^= 1
    (folder / "bad.lvx").write_bytes(damaged)
    capsys.readouterr()
    assert run("cli", "decompress", "bad.lvx", "-o", "back.png") == 3
    assert "checksum" in capsys.readouterr().err
    assert run("cli", "decompress", "bad.lvx", "-o", "back.png", "--conceal") == 0
    assert "luxvox: bad.lvx: warning: 1 parts of the file are altered" in capsys.readouterr().err


def test_scale_and_crop_on_the_command_line(folder, capsys):
    save_noise("photo.png", (150, 100))
    run("photo.png")
    for words, size in (
        (["--scale", "1/2"], (75, 50)),
        (["--scale", "1/8"], (19, 13)),
        (["--crop", "3,50,140,20"], (140, 20)),
    ):
        assert run("cli", "decompress", "photo.lvx", "-o", "part.png", "-f", *words) == 0
        with Image.open("part.png") as image:
            assert image.size == size
    capsys.readouterr()
    for words in (["--scale", "1/3"], ["--crop", "1,2,3"], ["--crop", "1,2,-3,4"]):
        assert run("cli", "decompress", "photo.lvx", "-o", "x.png", *words) == 2
    assert run("cli", "decompress", "photo.lvx", "-o", "x.png", "--crop", "0,0,151,1") == 2
    assert "is not inside the picture of 150×100 pixels" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_does_not_stop_the_others(folder, capsys):
    assert run("photo.png") == 0
    assert run("cli", "decompress", "none.lvx", "photo.lvx", "-o", "back/", "--jobs", "1") == 1
    assert "luxvox: none.lvx: cannot be read: No such file" in capsys.readouterr().err
    assert names(folder / "back") == ["photo.png"]


def test_the_rate_of_the_whole_is_not_shown_for_a_view(folder, capsys):
    run("photo.png")
    capsys.readouterr()
    assert run("cli", "decompress", "photo.lvx", "-o", "small.png", "--scale", "1/2") == 0
    line = capsys.readouterr().err
    assert "12×8" in line and "bpp" not in line


def test_a_damaged_header_of_a_voice(folder, capsys):
    """It is no reason to take the file for a picture."""
    seconds = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    data = bytearray(luxvox.compress_speech(seconds, 16_000))
    data[21] ^= 1
    (folder / "voice.lvx").write_bytes(data)
    assert run("cli", "decompress", "voice.lvx", "-o", "back.wav") == 3
    assert "header" in capsys.readouterr().err
    assert run("cli", "decompress", "voice.lvx", "-o", "back.wav", "--conceal") == 0
    assert "is put right" in capsys.readouterr().err
    with pytest.warns(DamageWarning, match="is put right"):
        samples, _ = luxvox.decompress_speech(bytes(data), conceal=True)
    assert len(samples) == 16_000


def test_other_files_are_called_not_lvx(folder, capsys):
    (folder / "other.lvx").write_bytes(b"RIFF, but not one of ours")
    assert run("cli", "decompress", "other.lvx", "-o", "back.flac") == 3
    assert "not a luxvox file" in capsys.readouterr().err


def test_grey_formats_lose_colours(folder, capsys):
    run("photo.png")
    capsys.readouterr()
    assert run("cli", "decompress", "photo.lvx", "-o", "back.pgm") == 0
    assert "note: .pgm is written without its colours" in capsys.readouterr().err
    assert (folder / "back.pgm").read_bytes().startswith(b"P5")
    assert run("cli", "decompress", "photo.lvx", "-o", "back.ppm") == 0
    assert (folder / "back.ppm").read_bytes().startswith(b"P6")
