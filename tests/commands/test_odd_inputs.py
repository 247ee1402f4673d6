"""Inputs that are empty, cut, unreadable or oddly named, and outputs that keep nothing."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox import cli
from luxvox.commands.console import json_text
from luxvox.commands.sources import Search, find_sources
from luxvox.errors import SystemFailure, UsageError
from luxvox.tests.commands.conftest import names, pipe_in, python, run, save_noise

posix = pytest.mark.skipif(os.name == "nt", reason="files of POSIX")


@posix
@pytest.mark.parametrize("output", ["-", "/dev/null"])
def test_an_input_is_kept_if_its_output_is_stored_nowhere(folder, output, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    assert run("photo.png", "--rm", "-o", output) == 0
    assert names(folder) == ["photo.png"]


def test_an_input_is_kept_if_part_of_it_is_missing(folder, capsys):
    save_noise("noise.png", (400, 400))  # large enough for several sections
    data = luxvox.compress_image(np.asarray(Image.open("noise.png")), quality=30)
    (folder / "noise.png").unlink()
    (folder / "cut.lvx").write_bytes(data[:-1])
    assert cli.run(["decompress", "cut.lvx", "--rm"]) == 0
    assert (
        "cut.lvx: note: not removed: its output does not hold all of it" in capsys.readouterr().err
    )
    assert names(folder) == ["cut.lvx", "cut.png", "photo.png"]


@pytest.mark.parametrize("words", [["--sections", "1"], ["--scale", "1/8"], ["--crop", "0,0,9,9"]])
def test_an_input_is_kept_if_only_a_part_is_requested(folder, words, capsys):
    assert run("photo.png") == 0
    capsys.readouterr()
    assert run("cli", "decompress", "photo.lvx", *words, "--rm", "-o", "part.png") == 2
    assert "--rm would delete" in capsys.readouterr().err
    assert names(folder) == ["photo.lvx", "photo.png"]


def test_a_file_and_json_are_not_mixed(folder, capsysbinary):
    assert run("photo.png", "-o", "-", "--json") == 2
    captured = capsysbinary.readouterr()
    assert not captured.out and b"cannot both go to standard output" in captured.err


def test_empty_inputs_are_refused_once_read(folder, monkeypatch, capsys):
    (folder / "empty.png").touch()
    (folder / "-").write_bytes((folder / "photo.png").read_bytes())
    assert run("empty.png", "--bpp", "1") == 3
    pipe_in(monkeypatch, b"")
    assert run("-", "-o", "out.lvx") == 3
    assert capsys.readouterr().err.count("the file is empty") == 2
    assert not (folder / "out.lvx").exists()


@posix
def test_a_pipe_that_stays_empty_is_opened_once(folder):
    os.mkfifo("pipe")
    script = "(: > pipe) & exec timeout 40 $0 -m luxvox decompress pipe -o out.png"
    ended = python("-c", f"import os, sys; os.execlp('sh', 'sh', '-c', {script!r}, sys.executable)")
    assert ended.returncode == 3
    assert len(ended.stderr.splitlines()) == 1


@posix
def test_a_named_folder_that_cannot_be_read(folder, monkeypatch, capsys):
    (folder / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert run("closed", "photo.png", "-o", "out", "-q", "1") == 1
    assert "luxvox: closed: cannot be read" in capsys.readouterr().err
    assert (folder / "out" / "photo.lvx").exists()


def find(data, monkeypatch):
    pipe_in(monkeypatch, data)
    search = Search(False, lambda name: True)
    return [source.path for source in find_sources((), "-", search)]


def test_lists_are_cut_at_line_feeds_alone(folder, monkeypatch):
    listed = "a\fb.png\r\n\n\u2028c.png\n".encode()
    assert find(listed, monkeypatch) == ["a\fb.png", "\u2028c.png"]


@pytest.mark.parametrize(
    ("data", "message"), [(b"a\0b\n", "it has null bytes"), (b"\xff.png\n", "in UTF-8")]
)
def test_bad_lists_are_refused(folder, monkeypatch, data, message):
    with pytest.raises(UsageError, match=message):
        find(data, monkeypatch)


@pytest.mark.parametrize("ending", ["a/b", "..", "", "p ng"])
def test_bad_endings_are_refused(folder, capsys, ending):
    assert cli.run(["decompress", "photo.lvx", "--format", ending]) == 2
    assert "is not a file ending" in capsys.readouterr().err


def test_a_folder_is_not_a_finished_output(folder, capsys):
    (folder / "photo.lvx").mkdir()
    assert run("photo.png", "--skip-existing") == 2
    assert "photo.lvx is a folder" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_undecodable_names_do_not_stop_the_others(folder):
    name = os.fsencode(folder) + b"/\xff.png"
    with open(name, "wb") as file:
        Image.new("RGB", (8, 8)).save(file, "PNG")

    strict = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    words = ["-m", "luxvox", "compress", name, "photo.png", "-o", "out", "--jobs", "1"]
    plan = python(*words, "--dry-run", env=strict)
    done = python(*words, "--json", "-q", "1", env=strict)
    assert (plan.returncode, done.returncode) == (0, 0), (plan.stderr, done.stderr)
    assert len(plan.stdout.splitlines()) == 2
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    assert os.fsencode(facts[0]["source"]) == name
    assert len(list((folder / "out").iterdir())) == 2


def test_json_escapes_undecodable_bytes():
    text = json_text({"file": "\udcff é"})
    assert text == '{"file": "\\udcff é"}'
    assert json.loads(text) == {"file": "\udcff é"}


def test_inputs_kept_only_in_part_are_not_removed(folder, capsys):
    pages = [Image.new("RGB", (24, 16), colour) for colour in ("red", "green", "blue")]
    pages[0].save("three.tif", save_all=True, append_images=pages[1:])
    assert run("three.tif", "--rm") == 0
    assert Path("three.tif").exists() and Path("three.lvx").exists()
    lines = capsys.readouterr().err
    assert "three.tif: note: only page 1 of 3 is kept" in lines
    assert "three.tif: note: not removed: its output does not hold all of it" in lines


def test_inputs_that_grow_are_not_removed(folder, capsys):
    Path("tiny.pgm").write_bytes(b"P5 1 1 255\n\x07")
    assert run("tiny.pgm", "--rm") == 0
    assert Path("tiny.pgm").exists()
    assert "tiny.pgm: note: not removed: its output is larger" in capsys.readouterr().err


def test_an_input_named_twice_is_one_input(folder, capsys):
    Path("list.txt").write_text("\ufeffphoto.png\nphoto.png\n", encoding="utf-8")
    assert run("photo.png", "./photo.png", "--files-from", "list.txt", "-o", "out/") == 0
    assert names(folder / "out") == ["photo.lvx"]


def test_an_input_at_a_file_url_is_not_replaced(folder, capsys):
    pytest.importorskip("fsspec")
    before = Path("photo.png").read_bytes()
    url = f"file://{folder}/photo.png"
    assert run(url, "-o", str(folder / "photo.png"), "-f") == 2
    assert "is also an input" in capsys.readouterr().err
    assert Path("photo.png").read_bytes() == before


def test_plans_are_printed_in_any_encoding(folder):
    command = [sys.executable, "-m", "luxvox", "compress", "photo.png", "-o", "b.lvx", "--dry-run"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    ended = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert ended.stdout.strip() == rb"photo.png \u2192 b.lvx"


def test_an_empty_name_of_an_output_is_refused(folder, capsys):
    assert cli.run(["compress", "photo.png", "-o", ""]) == UsageError.exit_code
    assert "the name of the output is empty" in capsys.readouterr().err


@posix
def test_a_current_folder_that_is_deleted(folder):
    """MKL would end the process as soon as torch used it."""
    (folder / "gone").mkdir()
    code = "import os, sys; os.rmdir('../gone'); from luxvox.cli import run; sys.exit(run())"
    words = [sys.executable, "-c", code, "compress", str(folder / "photo.png")]
    words += ["-o", str(folder / "made.lvx")]
    ran = subprocess.run(words, cwd=folder / "gone", capture_output=True, check=False)
    assert ran.returncode == SystemFailure.exit_code
    assert b"the current folder has been deleted" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
