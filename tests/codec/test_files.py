"""Files are written whole or not at all, and outputs get the names a user expects."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.codec import files
from luxvox.errors import SystemFailure, UsageError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 1000])
def test_round_trip(tmp_path, data):
    target = str(tmp_path / "out.lvx")
    files.write(target, data)
    assert files.read(target) == data
    assert names(tmp_path) == ["out.lvx"]


def test_new_file_has_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    files.write(str(tmp_path / "ours"), b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_existing_file_is_kept_unless_forced(tmp_path):
    target = tmp_path / "out.lvx"
    target.write_bytes(b"old")
    with pytest.raises(UsageError, match="-f"):
        files.write(str(target), b"new")
    assert target.read_bytes() == b"old"
    files.write(str(target), b"new", overwrite=True)
    assert target.read_bytes() == b"new"


def test_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    files.write(str(tmp_path / "link"), b"new", overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_failed_write_leaves_nothing_and_keeps_the_old(tmp_path, monkeypatch, failure):
    target = tmp_path / "out.lvx"
    target.write_bytes(b"old")

    def fail(descriptor):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((SystemFailure, KeyboardInterrupt)):
        files.write(str(target), b"new", overwrite=True)
    assert names(tmp_path) == ["out.lvx"]
    assert target.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_written_to_directly():
    files.write("/dev/null", b"x")
    with pytest.raises(SystemFailure, match="No space left"):
        files.write("/dev/full", b"x")
    assert Path("/dev/full").is_char_device()


def test_refusals_say_why(tmp_path):
    with pytest.raises(SystemFailure, match="No such file"):
        files.read(str(tmp_path / "nothing"))
    with pytest.raises(SystemFailure, match="Is a directory"):
        files.read(str(tmp_path))
    with pytest.raises(SystemFailure, match="there is no folder"):
        files.write(str(tmp_path / "nowhere" / "out.lvx"), b"")
    with pytest.raises(UsageError, match="is a folder"):
        files.write(str(tmp_path), b"")


def test_pipes(monkeypatch, capsysbinary):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\x00in")))
    assert files.read("-") == b"\xff\x00in"
    files.write("-", b"\xff\x00out")
    assert capsysbinary.readouterr().out == b"\xff\x00out"


def test_terminals_are_refused(monkeypatch):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="terminal"):
        files.read("-")
    with pytest.raises(UsageError, match="terminal"):
        files.write("-", b"", overwrite=True)


@pytest.mark.parametrize(
    ("source", "ending", "target"),
    [
        ("photo.png", ".lvx", "photo.lvx"),
        ("a.b/photo.tar.png", ".lvx", "a.b/photo.tar.lvx"),
        ("photo", ".lvx", "photo.lvx"),
        ("photo.lvx", ".png", "photo.png"),
        ("photo.lvx", ".jpg", "photo.jpg"),
        ("photo.bak", ".png", "photo.bak.png"),
        (".hidden", ".lvx", ".hidden.lvx"),
        ("-", ".lvx", "-"),
    ],
)
def test_output_stands_beside_its_input(source, ending, target):
    assert files.name_outputs([source], None, [ending]) == [target]


def test_output_as_named(tmp_path):
    folder = str(tmp_path)
    assert files.name_outputs(["a.png"], "b.x", [".lvx"]) == ["b.x"]
    assert files.name_outputs(["a.png"], "-", [".lvx"]) == ["-"]
    expected = [f"{folder}/a.lvx", f"{folder}/b.lvx"]
    assert files.name_outputs(["x/a.png", "b.png"], folder, [".lvx"] * 2) == expected
    assert files.name_outputs(["x/a.png"], "new/", [".lvx"]) == ["new/a.lvx"]
    with pytest.raises(UsageError, match="2 inputs need a folder"):
        files.name_outputs(["a.png", "b.png"], "c.lvx", [".lvx"] * 2)
    with pytest.raises(UsageError, match="no name to keep"):
        files.name_outputs(["-"], folder, [".lvx"])


def test_clashes_are_found():
    clashes = files.find_clashes(
        ["a.png", "a.jpg", "b.lvx", "-"], ["a.lvx", "./a.lvx", "b.lvx", "-"]
    )
    assert sorted(clashes) == [1, 2]
    assert "already the output of a.png" in clashes[1]
    assert "inputs are kept" in clashes[2]


@given(st.lists(st.text("ab.", min_size=1, max_size=3), unique=True, min_size=1, max_size=5))
def test_without_clashes_every_output_is_another_file(stems):
    sources = [f"{stem}.png" for stem in stems]
    targets = files.name_outputs(sources, None, [".lvx"] * len(sources))
    clashes = files.find_clashes(sources, targets)
    kept = [target for position, target in enumerate(targets) if position not in clashes]
    assert len({os.path.realpath(target) for target in kept}) == len(kept)
