"""Many files in one run: found, named, worked on in processes, reported."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from luxvox import cli
from luxvox.commands.batch import BatchOptions, run_jobs
from luxvox.commands.executors import run_in
from luxvox.commands.jobs import Job, Outcome, run_job
from luxvox.commands.sources import Search, find_sources
from luxvox.errors import InputError, UsageError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Make a folder `in` with pictures at two depths, and files that are left out."""
    monkeypatch.chdir(tmp_path)
    for name in ("in/b.png", "in/a.bmp", "in/deep/c.png", "in/.hidden.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), len(name), np.uint8)).save(name)
    Path("in/notes.txt").write_text("no picture")
    Path("in/deep/loop").symlink_to(tmp_path / "in")
    return tmp_path


def find(*inputs, files_from=None, is_recursive=False):
    search = Search(is_recursive, lambda name: name.endswith((".png", ".bmp")))
    return [Path(source.path).as_posix() for source in find_sources(inputs, files_from, search)]


def test_folders_are_searched_in_order(tree):
    assert find("in") == ["in/a.bmp", "in/b.png"]
    assert find("in", is_recursive=True) == ["in/a.bmp", "in/b.png", "in/deep/c.png"]
    assert find("in/notes.txt", "in/deep") == ["in/notes.txt", "in/deep/c.png"]


def test_patterns_that_the_shell_left_alone(tree):
    assert find("in/*.png") == ["in/b.png"]
    assert find("in/*") == ["in/a.bmp", "in/b.png"]
    assert find("in/*/[a-c].png", "in/b.png") == ["in/deep/c.png", "in/b.png"]
    assert find("in/*.gif") == ["in/*.gif"]  # its job says that there is no such file
    Path("in/[b].png").write_bytes(b"")
    assert find("in/[b].png") == ["in/[b].png"]  # a name goes before a pattern


def test_lists_of_files(tree):
    Path("list").write_text("in/b.png\n\nin/deep\n")
    assert find(files_from="list") == ["in/b.png", "in/deep/c.png"]


def test_nothing_to_do_is_a_usage_error(tree):
    Path("empty").mkdir()
    with pytest.raises(UsageError, match="-r looks into"):
        find("empty")
    with pytest.raises(UsageError, match="no input is named"):
        find()


def copy(source, target):
    """Copy a file; refuse names that begin with `bad`, die at those that begin with `kill`."""
    if Path(source).name.startswith("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if Path(source).name.startswith("bad"):
        raise InputError("not a picture")
    data = Path(source).read_bytes()
    Path(target).write_bytes(data)
    return len(data), len(data)


def make_files(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 10)
    sources = [str(tmp_path / name) for name in names]
    return sources, [f"{source}.out" for source in sources]


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_bad_file_does_not_stop_the_others(tmp_path, capsys, n_processes):
    sources, targets = make_files(tmp_path, "a", "bad", "c")
    assert run_jobs(sources, targets, copy, BatchOptions(n_processes)) == 3
    assert [Path(target).exists() for target in targets] == [True, False, True]
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"luxvox: {sources[1]}: not a picture"
    assert lines[-1].startswith("3 files: 2 done, 1 refused")


def test_a_process_that_dies_costs_only_its_own_file(tmp_path, capsys):
    sources, targets = make_files(tmp_path, "a", "b", "kill", "c", "d", "e", "f")
    assert run_jobs(sources, targets, copy, BatchOptions(2)) == 1
    assert [Path(target).exists() for target in targets] == [True, True, False] + [True] * 4
    assert f"{sources[2]}: the process that worked on it died" in capsys.readouterr().err


def test_finished_jobs_are_skipped(tmp_path, capsys):
    sources, targets = make_files(tmp_path, "a", "b", "c")
    Path(targets[0]).write_bytes(b"done")
    Path(targets[1]).write_bytes(b"old")
    os.utime(targets[1], (1, 1))
    assert run_jobs(sources, targets, copy, BatchOptions(skip_existing=True)) == 0
    assert Path(targets[0]).read_bytes() == b"done"
    assert Path(targets[1]).read_bytes() == b"x" * 10
    assert capsys.readouterr().err.endswith("; 1 skipped\n")


def test_a_dry_run_names_outputs_and_makes_none(tmp_path, capsys):
    sources, targets = make_files(tmp_path, "a", "b")
    assert run_jobs(sources, targets, copy, BatchOptions(dry_run=True)) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{source} → {target}" for source, target in zip(sources, targets, strict=True)
    ]
    assert not Path(targets[0]).exists()


def test_inputs_are_removed_once_their_output_is_whole(tmp_path):
    sources, targets = make_files(tmp_path, "a", "bad")
    run_jobs(sources, targets, copy, BatchOptions(remove=True))
    assert not Path(sources[0]).exists()
    assert Path(sources[1]).exists()


def test_json_has_one_object_per_file(tmp_path, capsys):
    sources, targets = make_files(tmp_path, "a", "bad")
    run_jobs(sources, targets, copy, BatchOptions(as_json=True, quiet=True))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["source"], first["done"], first["bytes_after"]) == (sources[0], True, 10)
    assert (second["exit_code"], second["bytes_after"]) == (3, None)
    assert "not a picture" in second["messages"][0]


def test_quiet_prints_only_failures(tmp_path, capsys):
    sources, targets = make_files(tmp_path, "a", "bad")
    run_jobs(sources, targets, copy, BatchOptions(quiet=True))
    assert capsys.readouterr().err.splitlines() == [f"luxvox: {sources[1]}: not a picture"]


def test_a_plan_can_be_json(tmp_path, capsys):
    sources, targets = make_files(tmp_path, "a", "b")
    run_jobs(sources, targets, copy, BatchOptions(dry_run=True, as_json=True))
    plans = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert plans[1] == {"source": sources[1], "target": targets[1]}


class Backwards(Executor):
    """An executor that ends the jobs it has from the last to the first."""

    def __init__(self, n_jobs):
        self.n_jobs = n_jobs
        self.begun = []

    def submit(self, *words, **__):
        future: Future[Outcome] = Future()
        self.begun.append((future, words))
        if len(self.begun) == self.n_jobs:
            for job_future, (work, *arguments) in reversed(self.begun):
                job_future.set_result(work(*arguments))
        return future


def test_progress_is_immediate_and_results_are_in_order(tmp_path):
    jobs = [Job(*pair) for pair in zip(*make_files(tmp_path, "a", "bad", "c"), strict=True)]
    order: list[int] = []
    outcomes = run_in(Backwards(3), jobs, copy, 3, lambda number, _: order.append(number))
    assert [outcome.job for outcome in outcomes] == jobs
    assert order == [1, 0, 2]  # the last one ends before anybody waits for it


def test_an_unreadable_folder_does_not_stop_the_others(tree, monkeypatch, capsys):
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert cli.run(["compress", "in", "-r", "-o", "out", "--jobs", "1", "-q", "1"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("luxvox: ")] == [
        f"luxvox: {Path('in/deep')}: cannot be read: Is a directory"
    ]
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.lvx", "b.lvx"]


def compress(capsys, *words):
    exit_code = cli.run(["compress", *words, "--jobs", "1", "-q", "1"])
    lines = capsys.readouterr().err.splitlines()
    return exit_code, [line for line in lines if line.startswith("luxvox: ")]


def test_two_inputs_with_one_output(tree, capsys):
    Path("in/deep/a.bmp").write_bytes(Path("in/a.bmp").read_bytes())
    exit_code, lines = compress(capsys, "in/a.bmp", "in/deep/a.bmp", "-o", "out")
    clash = f"{Path('out/a.bmp.lvx')} is already the output of in/a.bmp; use -o"
    assert (exit_code, lines) == (2, [f"luxvox: in/deep/a.bmp: {clash}"])
    assert Path("out/a.bmp.lvx").exists()


def test_a_file_with_the_name_of_a_folder(tree, capsys):
    Path("in/a.lvx").mkdir()
    Path("in/b.png").rename("in/a.lvx/b.png")
    exit_code, lines = compress(capsys, "in", "-r", "-o", "out")
    assert exit_code == 2
    assert lines == [f"luxvox: {Path('in/a.bmp')}: {Path('out/a.lvx')} is a folder"]
    assert Path("out/a.lvx/b.lvx").exists() and Path("out/deep/c.lvx").exists()

    exit_code, lines = compress(capsys, "in/a.bmp", "in/deep/c.png", "-o", "in/notes.txt")
    assert exit_code == 2
    assert lines == ["luxvox: 2 inputs need a folder as output, not in/notes.txt"]
    exit_code, lines = compress(capsys, "in/a.bmp", "-o", "in/notes.txt/")
    assert exit_code == 1
    assert (
        len(lines) == 1 and f"cannot be written: {Path('in/notes.txt')} is not a folder" in lines[0]
    )
    exit_code, lines = compress(capsys, "in/deep", "-o", "in/notes.txt")
    assert exit_code == 2
    assert lines == ["luxvox: an input from a folder needs a folder as output, not in/notes.txt"]


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_links_that_lead_in_a_circle(tree, capsys):
    Path("in/here.png").symlink_to("there.png")
    Path("in/there.png").symlink_to("here.png")
    exit_code, lines = compress(capsys, "in", "-r", "-o", "out")
    assert exit_code == 1
    assert [line.partition(": cannot be read: ")[2] for line in lines] == [
        "Too many levels of symbolic links"
    ] * 2
    assert len(list(Path("out").rglob("*.lvx"))) == 3


def test_a_disk_that_is_full_for_a_while(tree, monkeypatch, capsys):
    fsync, failures = os.fsync, [OSError(errno.ENOSPC, "No space left on device")]

    def fail_once(descriptor):
        if failures:
            raise failures.pop()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    exit_code, lines = compress(capsys, "in", "-o", "out")
    assert exit_code == 1
    assert lines == [
        f"luxvox: {Path('in/a.bmp')}: {Path('out/a.lvx')} cannot be written: "
        "No space left on device"
    ]
    assert [path.name for path in Path("out").iterdir()] == ["b.lvx"]


def test_a_job_returns_its_outcome(tmp_path):
    sources, targets = make_files(tmp_path, "a")
    job = Job(sources[0], targets[0])
    outcome = run_job(job, copy)
    assert outcome == Outcome(job, 0, (10, 10), (), outcome.seconds)


def test_a_tree_there_and_back(tree, capsys):
    assert cli.run(["compress", "in", "-r", "-o", "small", "--jobs", "2", "-q", "30"]) == 0
    small = sorted(path.as_posix() for path in Path("small").rglob("*.lvx"))
    assert small == ["small/a.lvx", "small/b.lvx", "small/deep/c.lvx"]
    assert cli.run(["compress", "in", "-r", "-o", "one", "--jobs", "1", "-q", "30"]) == 0
    for path in small:
        assert Path(path).read_bytes() == Path(path.replace("small", "one", 1)).read_bytes()
    assert cli.run(["test", "small", "-r", "--jobs", "1"]) == 0
    Path("small/a.lvx").write_bytes(Path("small/a.lvx").read_bytes()[:-3])
    assert cli.run(["test", "small", "-r", "--jobs", "1"]) == 3
    capsys.readouterr()
    assert cli.run(["info", "small/b.lvx", "small/deep", "--json"]) == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [fact["file"] for fact in facts] == ["small/b.lvx", "small/deep/c.lvx"]


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_run_that_is_ended_leaves_no_part_of_a_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(pixels).save(tmp_path / name, compress_level=1)
    words = [sys.executable, "-m", "luxvox", "compress", str(tmp_path), "--jobs", "2"]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    time.sleep(4.0)
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    endings = {path.suffix for path in tmp_path.iterdir()}
    assert endings <= {".png", ".lvx"}, "a part of a file was left"
