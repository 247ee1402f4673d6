"""The command line: its outputs, its messages, and its exit codes."""

import dataclasses
import errno
import io
import itertools
import json
import os
import re
import sys
import types
from pathlib import Path

import pytest
from PIL import Image

import luxvox
from luxvox.codec import pictures
from luxvox.commands import console
from luxvox.commands.progress_bar import ProgressBar
from luxvox.errors import FormatError
from luxvox.models.cards import find_card
from luxvox.models.training import run as training_run
from luxvox.tests.commands.conftest import names, pipe_in, raising, run, save_noise, save_picture


def test_there_and_back(folder, capsys):
    assert run("photo.png", "-q", "62.5") == 0
    assert run("cli", "decompress", "photo.lvx", "-o", "back.png") == 0
    assert names(folder) == ["back.png", "photo.lvx", "photo.png"]
    with Image.open("back.png") as back:
        assert (back.size, back.mode) == ((24, 16), "RGB")
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 2
    n_bytes = os.path.getsize("photo.lvx")
    assert lines[0].startswith("photo.png → photo.lvx: ")
    assert f" → {n_bytes:,} bytes, {8 * n_bytes / (24 * 16):.3f} bpp, " in lines[0]
    assert lines[0].endswith(" s")


@pytest.mark.parametrize("ending", ["jpg", "webp", "tiff"])
def test_output_ending_chooses_the_format(folder, ending):
    run("photo.png")
    assert run("cli", "decompress", "photo.lvx", "-o", f"back.{ending}") == 0
    assert run("cli", "decompress", "photo.lvx", "--format", f".{ending.upper()}") == 0
    for name in (f"back.{ending}", f"photo.{ending}"):
        with Image.open(name) as back:
            assert back.size == (24, 16)


def test_pipes(folder, monkeypatch, capsysbinary):
    pipe_in(monkeypatch, (folder / "photo.png").read_bytes())
    assert run("-") == 0
    compressed, err = capsysbinary.readouterr()
    assert "standard input → standard output".encode() in err
    pipe_in(monkeypatch, compressed)
    assert run("cli", "decompress", "-") == 0
    with Image.open(io.BytesIO(capsysbinary.readouterr().out)) as back:
        assert (back.format, back.size) == ("PNG", (24, 16))


def test_several_inputs_into_a_folder(folder):
    save_picture("other.bmp")
    (folder / "out").mkdir()
    assert run("photo.png", "other.bmp", "-o", "out") == 0
    assert names(folder / "out") == ["other.lvx", "photo.lvx"]


def test_one_bad_file_does_not_stop_the_others(folder, capsys):
    (folder / "bad.png").write_text("no picture")
    save_picture("good.png")
    assert run("missing.png", "bad.png", "good.png") == 3
    assert (folder / "good.lvx").exists()
    assert not (folder / "bad.lvx").exists()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "luxvox: missing.png: cannot be read: No such file or directory"
    assert lines[1].startswith("luxvox: bad.png: not a picture")
    assert lines[2].startswith("good.png → good.lvx")
    before, after = os.path.getsize("good.png"), os.path.getsize("good.lvx")
    assert lines[3:] == [
        f"3 files: 1 done, 2 refused, {before:,} → {after:,} bytes, "
        f"{before - after:,} bytes saved ({(before - after) / before:.1%})"
    ]


def test_the_closing_line():
    assert console.closing_line(2, 0, []) == "2 files: 0 done, 2 refused"
    assert console.closing_line(1, 1, []) == "1 file: 1 done, 0 refused"
    assert console.closing_line(2, 2, [(1000, 300), (1000, 200)]) == (
        "2 files: 2 done, 0 refused, 2,000 → 500 bytes, 1,500 bytes saved (75.0%)"
    )
    grown = console.closing_line(2, 2, [(1, 3), (1, 3)])
    assert grown.endswith("2 → 6 bytes, 4 bytes more")


def test_control_characters_in_names_are_escaped():
    assert console.printable("日本.png", "") == "日本.png"
    assert console.printable("a\x1b[2J\nb.png", "") == r"a\x1b[2J\nb.png"
    assert console.printable(os.fsdecode(b"caf\xe9.png"), "") == r"caf\udce9.png"


def test_existing_output_is_kept_unless_forced(folder, capsys):
    (folder / "photo.lvx").write_bytes(b"old")
    assert run("photo.png") == 2
    assert (folder / "photo.lvx").read_bytes() == b"old"
    assert "photo.lvx exists" in capsys.readouterr().err
    assert run("photo.png", "-f") == 0
    assert (folder / "photo.lvx").read_bytes() != b"old"


@pytest.mark.parametrize("words", [["photo.png", "-o", "photo.png", "-f"], ["a.lvx", "-f"]])
def test_inputs_are_never_replaced(folder, words):
    (folder / "a.lvx").write_bytes((folder / "photo.png").read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert run(*words) == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "words",
    [
        ["photo.png", "-q", "0"],
        ["photo.png", "-q", "100.5"],
        ["photo.png", "-q", "nan"],
        ["photo.png", "-q", "high"],
        ["photo.png", "--no-such-option"],
        ["photo.png", "-q", "50", "--size", "20kB"],
        ["photo.png", "--bpp", "1", "--psnr", "30"],
        ["photo.png", "-q", "50", "-b", "3"],
        ["photo.png", "-b", "3"],
        ["photo.png", "--size", "big"],
        ["photo.png", "--bpp", "0"],
        ["photo.png", "--effort", "10"],
        ["photo.png", "other.png", "-o", "one.lvx"],
        ["cli", "compress"],
        ["cli", "decompress", "photo.png", "--sections", "0"],
        ["cli", "decompress", "photo.png", "-o", "back.xyz"],
        ["cli", "decompress", "photo.png", "-o", "back"],
        ["cli", "nonsense"],
    ],
)
def test_usage_errors(folder, words, capsys):
    assert run(*words) == 2
    assert names(folder) == ["photo.png"]
    assert "Traceback" not in capsys.readouterr().err


def test_binary_is_not_written_to_a_terminal(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("photo.png", "-o", "-") == 2
    assert "terminal" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["decompress", "info"])
def test_junk_is_refused(folder, command, capsys):
    (folder / "junk.lvx").write_bytes(b"junk")
    assert run("cli", command, "junk.lvx") == 3
    assert names(folder) == ["junk.lvx", "photo.png"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("luxvox: junk.lvx: ")


@pytest.mark.parametrize(
    ("error", "exit_code", "words"),
    [
        (MemoryError(), 1, "not enough memory"),
        (ModuleNotFoundError("No module named 'torchac'"), 1, "torchac"),
        (OSError(errno.EIO, "Input/output error"), 1, "Input/output error"),
        (FormatError("section 3 at offset 50:\nwrong"), 3, "section 3 at offset 50: wrong"),
        (ZeroDivisionError("oh"), 4, "internal error: ZeroDivisionError: oh"),
    ],
)
def test_failures_are_one_line(folder, monkeypatch, capsys, error, exit_code, words):
    monkeypatch.setattr(pictures, "compress_image", raising(error))
    assert run("photo.png") == exit_code
    err = capsys.readouterr().err
    assert err.startswith("luxvox: photo.png: ")
    assert words in err
    assert err.count("\n") == 1
    assert names(folder) == ["photo.png"]


def test_debug_variable_shows_where(folder, monkeypatch, capsys):
    monkeypatch.setenv("LUXVOX_DEBUG", "1")
    monkeypatch.setattr(pictures, "compress_image", raising(ZeroDivisionError("oh")))
    assert run("photo.png") == 4
    assert "Traceback" in capsys.readouterr().err


def test_full_disk(folder, monkeypatch, capsys):
    monkeypatch.setattr(os, "fsync", raising(OSError(errno.ENOSPC, "No space left on device")))
    assert run("photo.png") == 1
    assert names(folder) == ["photo.png"]
    assert capsys.readouterr().err == (
        "luxvox: photo.png: photo.lvx cannot be written: No space left on device\n"
    )


def test_interruption_leaves_nothing(folder, monkeypatch, capsys):
    monkeypatch.setattr(os, "fsync", raising(KeyboardInterrupt()))
    assert run("photo.png") == 130
    assert names(folder) == ["photo.png"]
    assert capsys.readouterr().err.strip() == "luxvox: interrupted"


def test_long_jobs_get_a_progress_bar(folder, monkeypatch, capsys):
    def hurry(label, stream):
        return ProgressBar(label, stream, itertools.count(step=2).__next__)

    monkeypatch.setattr(console, "ProgressBar", hurry)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("photo.png") == 0
    assert "\r\x1b[Kcompressing photo.png [" in capsys.readouterr().err


def test_options_reach_the_codec(folder, monkeypatch):
    passed: dict[str, object] = {}
    compress, decompress = pictures.compress_image, pictures.decompress_raster

    def note_compress(raster, **options):
        passed.update(options)
        return compress(raster, **options)

    def note_decompress(data, reading):
        passed.update(vars(reading))
        return decompress(data, reading)

    monkeypatch.setattr(pictures, "compress_image", note_compress)
    monkeypatch.setattr(pictures, "decompress_raster", note_decompress)
    assert run("photo.png", "-q", "12.5", "--strip", "--effort", "1") == 0
    assert passed["effort"] == 1
    assert run("cli", "decompress", "photo.lvx", "--sections", "1", "-o", "back.png") == 0
    assert (passed["quality"], passed["strip"], passed["device"]) == (12.5, True, "cpu")
    assert passed["sections"] == 1


def test_own_weights(folder, monkeypatch, capsys):
    """The folder is searched first, for this command only, and its weights are verified."""
    shipped = find_card("picture").path
    own = folder / "own"
    own.mkdir()
    record = json.loads(shipped.read_text(encoding="utf-8"))
    (own / "mine.json").write_text(json.dumps({**record, "id": "mine", "number": 40}))
    (own / "mine.safetensors").symlink_to(shipped.with_suffix(".safetensors"))
    assert run("photo.png", "--weights", "own") == 0
    assert run("cli", "decompress", "photo.lvx", "-o", "a.png") == 3
    assert "picture model 40 is not among the installed" in capsys.readouterr().err
    assert run("cli", "decompress", "photo.lvx", "-o", "a.png", "--weights", "own") == 0
    assert run("cli", "info", "photo.lvx") == 0
    assert re.search(r"weights +\n", capsys.readouterr().out)
    monkeypatch.setenv("LUXVOX_WEIGHTS", "own")
    assert run("cli", "info", "photo.lvx") == 0
    assert re.search(r"weights +mine\n", capsys.readouterr().out)
    assert run("cli", "decompress", "photo.lvx", "-o", "b.png") == 0
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    (own / "mine.safetensors").unlink()
    (own / "mine.safetensors").write_bytes(b"\0" * 100)
    (own / "mine.json").write_text(json.dumps({**record, "number": 40, "sha256": "1" * 64}))
    assert run("cli", "decompress", "photo.lvx", "-o", "c.png") == 1
    assert "SHA-256" in capsys.readouterr().err
    monkeypatch.setenv("LUXVOX_WEIGHTS", "")
    assert run("photo.png", "-f", "--weights", "nowhere") == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


def test_info_as_text_and_json(folder, capsys):
    run("photo.png")
    capsys.readouterr()
    assert run("cli", "info", "photo.lvx") == 0
    assert "width" in capsys.readouterr().out
    assert run("cli", "info", "photo.lvx", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert set(facts) == {field.name for field in dataclasses.fields(luxvox.FileInfo)}


def test_training_commands_call_the_trainer(folder, monkeypatch, capsys):
    passed: dict[str, object] = {}

    def train_model(recipe, job):
        passed.update(dataclasses.asdict(job), command=recipe.command)

    monkeypatch.setattr(training_run, "train_model", train_model)
    export = types.SimpleNamespace(export_run=lambda *_, **__: "weights/x.safetensors")
    monkeypatch.setitem(sys.modules, "luxvox.models.training.export", export)
    words = ["--data", ".", "--out", "run", "--minutes", "2.5", "--device", "cpu"]
    assert run("cli", "train", "image", *words) == 0
    assert (passed["minutes"], passed["resume"], passed["init"]) == (2.5, False, None)
    assert (passed["data"], passed["run"], passed["device"]) == ((Path("."),), Path("run"), "cpu")
    assert passed["command"] == "image"
    assert run("cli", "train", "speech", *words[:-2], "--bfloat16") == 0
    assert (passed["command"], passed["bfloat16"], passed["device"]) == ("speech", True, "cpu")
    assert run("cli", "train", "export", ".") == 0
    assert "wrote weights/x.safetensors" in capsys.readouterr().err


def test_public_names_are_announced():
    assert luxvox.__version__ == "0.1.0"
    assert set(luxvox.__all__) <= set(dir(luxvox))
    assert issubclass(luxvox.LuxvoxError, Exception)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = luxvox.nonsense


def test_size_on_the_command_line(folder, capsys):
    save_noise("photo.png")
    assert run("photo.png", "--size", "0.9kB", "--effort", "1") == 0
    assert 882 <= os.path.getsize("photo.lvx") <= 900
    capsys.readouterr()
    assert run("photo.png", "--size", "9MB", "--effort", "1", "-f") == 0
    note = "warning: 9000000 bytes are more than this picture takes: "
    assert note in capsys.readouterr().err
    assert run("photo.png", "-q", "100", "--effort", "1", "-o", "best.lvx") == 0
    assert os.path.getsize("photo.lvx") >= os.path.getsize("best.lvx")
    assert luxvox.inspect((folder / "photo.lvx").read_bytes()).quality == 100.0


def test_growth_and_losses_are_noted_once(folder, capsys):
    frames = [Image.new("1", (64, 64), colour) for colour in (0, 1)]
    frames[0].save("two.tif", save_all=True, append_images=frames[1:], compression="group4")
    Image.new("1", (64, 64), 1).save("bilevel.png")
    assert run("two.tif", "bilevel.png", "-q", "100") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines.count("luxvox: two.tif: note: only page 1 of 2 is kept") == 1
    growth = [line for line in lines if "the result is larger than the file" in line]
    is_larger = os.path.getsize("bilevel.lvx") > os.path.getsize("bilevel.png")
    assert any("bilevel.png" in line for line in growth) == is_larger
    save_picture("photo.png", (300, 200))
    assert run("photo.png", "-q", "1", "-f") == 0
    assert "larger" not in capsys.readouterr().err
