"""The shipped manual pages and completions match the commands, and work."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from luxvox import cli
from luxvox.share.make import ROOT, shipped_files
from luxvox.tests.test_packaging import PYPROJECT

FILES = shipped_files()


@pytest.mark.parametrize("path", FILES)
def test_shipped_files_are_up_to_date(path):
    assert (ROOT / path).read_text(encoding="utf-8") == FILES[path], "run python share/make.py"


def test_exactly_these_files_ship():
    on_disk = {path for path in ROOT.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert on_disk == {ROOT / "make.py", *(ROOT / path for path in FILES)}
    data_files = PYPROJECT["tool"]["setuptools"]["data-files"]
    shipped = {
        path for patterns in data_files.values() for pattern in patterns for path in glob(pattern)
    }
    assert shipped == {ROOT / path for path in FILES}
    for folder, patterns in data_files.items():
        assert all(str(Path(pattern).parent) == folder for pattern in patterns)


def glob(pattern):
    return ROOT.parent.glob(pattern)


def test_each_command_has_a_page_with_its_options():
    page = FILES["man/man1/luxvox-compress.1"]
    assert "\n.TP\n\\fB\\-\\-skip\\-existing\\fR\nSkip inputs whose output exists" in page
    assert {"man/man1/luxvox.1", "man/man1/luxvox-train-export.1"} <= set(FILES)
    assert all("\n.SH SEE ALSO\n" in text for path, text in FILES.items() if "man/" in path)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("man/")])
def test_pages_are_legal(path):
    words = ["groff", "-man", "-Tascii", "-ww", "-wbreak", str(ROOT / path)]
    shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert shown.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("typed", "completed"),
    [("luxvox tr", "train truncate"), ("luxvox compress --qu", "--quality --quiet")],
)
def test_bash_completes(typed, completed, tmp_path):
    command = tmp_path / "luxvox"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -m luxvox\n")
    command.chmod(0o755)
    place = len(typed.split()) - 1
    script = (
        f"source {ROOT / 'bash-completion/completions/luxvox'}; COMP_WORDS=({typed}); "
        f'COMP_CWORD={place}; _luxvox_completion luxvox; echo "${{COMPREPLY[@]}}"'
    )
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", "-c", script]
    ran = subprocess.run(words, check=True, env=environment, capture_output=True, timeout=60)
    assert (ran.stdout.decode().strip(), ran.stderr) == (completed, b"")


@pytest.mark.parametrize("words", [["compress", ""], ["compress", "-o", ""], ["info", ""]])
def test_names_of_files_are_completed_by_the_shell(words, monkeypatch, capsys):
    monkeypatch.setenv("_LUXVOX_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["luxvox", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit):
        cli.run([])
    assert capsys.readouterr().out == "file,\n"


def test_without_arguments_there_are_three_examples(capsys):
    assert cli.run([]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("  luxvox ")]) == 3
    for line in lines:
        assert len(line) <= 88
