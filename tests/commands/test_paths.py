"""Outputs get the names that a user expects, and never the name of an input."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luxvox.commands import paths
from luxvox.commands.paths import find_clashes
from luxvox.commands.sources import Source
from luxvox.errors import UsageError


def name_outputs(sources, output, endings):
    return paths.name_outputs([Source(path) for path in sources], output, endings)


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
        ("scan.2023", ".lvx", "scan.2023.lvx"),
        ("scan.2023.png", ".lvx", "scan.2023.lvx"),
        ("scan.2023.lvx", ".png", "scan.2023.png"),
        ("scan.2023", ".png", "scan.2023.png"),
        ("mr. smith", ".lvx", "mr. smith.lvx"),
        ("v1.0", ".lvx", "v1.0.lvx"),
        ("PHOTO.JPG", ".lvx", "PHOTO.lvx"),
        ("PHOTO.LVX", ".png", "PHOTO.png"),
        ("voice.m4a", ".lvx", "voice.lvx"),
        ("ends.", ".lvx", "ends..lvx"),
        ("/dev/fd/63", ".lvx", "-"),
        ("-", ".lvx", "-"),
    ],
)
def test_output_goes_next_to_its_input(source, ending, target):
    assert name_outputs([source], None, [ending]) == [target]


def test_output_as_named(tmp_path):
    folder = str(tmp_path)
    assert name_outputs(["a.png"], "b.x", [".lvx"]) == ["b.x"]
    assert name_outputs(["a.png"], "-", [".lvx"]) == ["-"]
    expected = [f"{folder}/a.lvx", f"{folder}/b.lvx"]
    assert name_outputs(["x/a.png", "b.png"], folder, [".lvx"] * 2) == expected
    assert name_outputs(["x/a.png"], "new/", [".lvx"]) == ["new/a.lvx"]
    with pytest.raises(UsageError, match="2 inputs need a folder"):
        name_outputs(["a.png", "b.png"], "c.lvx", [".lvx"] * 2)
    with pytest.raises(UsageError, match="no name to keep"):
        name_outputs(["-"], folder, [".lvx"])


def test_folders_are_mirrored():
    sources = [Source("in/a/x.png", "in"), Source("in/x.png", "in")]
    assert paths.name_outputs(sources, "new", [".lvx"] * 2) == ["new/a/x.lvx", "new/x.lvx"]
    assert paths.name_outputs(sources, None, [".lvx"] * 2) == ["in/a/x.lvx", "in/x.lvx"]


def test_inputs_that_would_share_a_name_keep_their_endings():
    assert name_outputs(["a.jpg", "a.png", "b.png"], None, [".lvx"] * 3) == [
        "a.jpg.lvx",
        "a.png.lvx",
        "b.lvx",
    ]
    assert name_outputs(["a.jpg.lvx"], None, [".png"]) == ["a.jpg.png"]


def test_clashes_are_found():
    clashes = find_clashes(["a.png", "a.jpg", "b.lvx", "-"], ["a.lvx", "./a.lvx", "b.lvx", "-"])
    assert sorted(clashes) == [1, 2]
    assert "already the output of a.png" in clashes[1]
    assert "inputs are kept" in clashes[2]


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_other_names_of_an_input_are_found(tmp_path):
    photo = tmp_path / "photo.png"
    photo.touch()
    (tmp_path / "soft.lvx").symlink_to(photo)
    assert find_clashes([str(photo)], [str(tmp_path / "soft.lvx")])
    (tmp_path / "hard.lvx").hardlink_to(photo)
    # It is replaced, not written into.
    assert not find_clashes([str(photo)], [str(tmp_path / "hard.lvx")])


@given(st.lists(st.text("ab.", min_size=1, max_size=3), unique=True, min_size=1, max_size=5))
def test_without_clashes_all_outputs_differ(stems):
    sources = [f"{stem}.png" for stem in stems]
    targets = name_outputs(sources, None, [".lvx"] * len(sources))
    clashes = find_clashes(sources, targets)
    kept = [target for position, target in enumerate(targets) if position not in clashes]
    assert len({os.path.realpath(target) for target in kept}) == len(kept)
