"""Inputs and outputs at URLs, from the command line and from `luxvox.batch`."""

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import soundfile

import luxvox
from luxvox import batch, cli
from luxvox.commands.paths import find_clashes, name_outputs
from luxvox.commands.sources import Search, Source, find_sources
from luxvox.tests.commands.conftest import save_picture


@pytest.fixture
def pictures(folder, bucket):
    """Put three pictures into the folder `in` of a bucket."""
    picture = Path("photo.png").read_bytes()
    for key in ("in/a.png", "in/b.jpg.png", "in/deep/c.png", "in/notes.txt"):
        bucket.put(key, picture)
    return bucket


def name_output(source, output, ending=".lvx", place=None):
    return name_outputs([Source(source, place)], output, [ending])[0]


def test_outputs_are_named_at_urls_as_on_the_disk():
    assert name_output("s3://b/in/a.png", None) == "s3://b/in/a.lvx"
    assert name_output("s3://b/in/a.png", "out/") == str(Path("out/a.lvx"))
    assert name_output("in/a.png", "s3://b/out/") == "s3://b/out/a.lvx"
    assert name_output("s3://b/in/deep/a.png", "gs://c/", place="s3://b/in/") == "gs://c/deep/a.lvx"
    assert name_output("in/deep/a.bak", "s3://c/x/", place="in") == "s3://c/x/deep/a.bak.lvx"
    assert name_output("https://h/p/my%20photo.png?sign=x/y", "out/") == str(
        Path("out/my photo.lvx")
    )
    assert name_output("https://h/%2e%2e%2f%2e%2e%2fa.png", "out/") == str(Path("out/a.lvx"))


def test_clashes_at_urls():
    sources = ["s3://b/a.png", "s3://b/a.jpg"]
    assert name_outputs([Source(path) for path in sources], None, [".lvx"] * 2) == [
        "s3://b/a.png.lvx",
        "s3://b/a.jpg.lvx",
    ]
    clashes = find_clashes(["s3://b/a.png", "S3://b/c.png"], ["s3://b/c.png", "s3://b/c.png"])
    assert "is also an input" in clashes[0] and "is also an input" in clashes[1]
    assert find_clashes(sources, ["s3://c/a", "s3://c/a"])[1].startswith("s3://c/a is already")


def test_sources_at_urls(pictures):
    def find(*names, is_recursive=False):
        search = Search(is_recursive, lambda name: name.endswith(".png"))
        return [
            source.path.removeprefix(pictures.url) for source in find_sources(names, None, search)
        ]

    assert find(pictures.url + "in") == ["in/a.png", "in/b.jpg.png"]
    every = ["in/a.png", "in/b.jpg.png", "in/deep/c.png"]
    assert find(pictures.url + "in/", is_recursive=True) == every
    assert find(pictures.url + "in/*.png") == ["in/a.png", "in/b.jpg.png"]
    n_requests = len(pictures.requests)
    assert find(pictures.url + "in/none.png") == ["in/none.png"]
    assert len(pictures.requests) == n_requests, "a file's name was asked about"


def test_a_bucket_there_and_back(pictures, folder, capsys):
    url = pictures.url
    words = ["-r", "--jobs", "2", "--json"]
    assert cli.run(["compress", url + "in", *words, "-o", url + "small", "-q", "30"]) == 0
    outcomes = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [outcome["target"].removeprefix(url) for outcome in outcomes] == [
        "small/a.lvx",
        "small/b.jpg.lvx",
        "small/deep/c.lvx",
    ]
    assert cli.run(["compress", "photo.png", "-q", "30", "-o", "photo.lvx"]) == 0
    assert pictures.get("small/deep/c.lvx") == Path("photo.lvx").read_bytes()

    assert cli.run(["test", url + "small", "-r", "--jobs", "1"]) == 0
    Path("list").write_text(f"{url}small/a.lvx\n{url}small/deep\n")
    assert cli.run(["info", "--files-from", "list", "--json"]) == 0
    assert cli.run(["decompress", "--files-from", "list", "-o", "back", "--jobs", "1"]) == 0
    assert sorted(path.name for path in Path("back").iterdir()) == ["a.png", "c.png"]


def test_outputs_already_in_a_bucket_are_skipped(pictures, capsys):
    words = ["compress", pictures.url + "in", "-o", pictures.url + "small/", "--jobs", "1"]
    assert cli.run(words) == 0
    assert cli.run([*words, "--skip-existing"]) == 0
    assert capsys.readouterr().err.endswith("0 files: 0 done, 0 refused; 2 skipped\n")
    assert cli.run(words) == 2
    assert f"{pictures.url}small/a.lvx exists; name another with -o" in capsys.readouterr().err


def test_inputs_in_a_bucket_are_removed_once_their_output_is_there(pictures):
    assert cli.run(["compress", pictures.url + "in/a.png", "--rm", "--device", "cpu"]) == 0
    assert "in/a.lvx" in pictures.keys() and "in/a.png" not in pictures.keys()


def test_voices_in_a_bucket(folder, bucket):
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    soundfile.write("voice.wav", noise, 16_000)
    bucket.put("voice.wav", Path("voice.wav").read_bytes())
    assert cli.run(["compress", bucket.url + "voice.wav"]) == 0
    assert cli.run(["decompress", bucket.url + "voice.lvx", "-o", bucket.url + "back.flac"]) == 0
    samples, rate_hz = soundfile.read(fsspec.open(bucket.url + "back.flac").open())
    assert (len(samples), rate_hz) == (16_000, 16_000)


def test_truncation_in_memory(folder):
    system = fsspec.filesystem("memory")
    assert cli.run(["compress", "photo.png", "-o", "memory://new/photo.lvx"]) == 0
    words = ["truncate", "memory://new/photo.lvx", "--sections", "1", "-o", "memory://new/less.lvx"]
    assert cli.run(words) == 0
    assert 0 < system.size("/new/less.lvx") <= system.size("/new/photo.lvx")


def test_memory_is_not_shared_with_other_processes(folder):
    system = fsspec.filesystem("memory")
    for name in ("a.png", "b.png"):
        system.pipe_file(f"/shared/{name}", Path("photo.png").read_bytes())
    assert cli.run(["compress", "memory://shared", "--jobs", "2"]) == 0
    assert system.exists("/shared/a.lvx") and system.exists("/shared/b.lvx")


def test_failures_are_one_line_each(folder, bucket, capsys):
    cases = {
        "s3://no-such-bucket-here/a.png": (1, "there is no bucket no-such-bucket-here"),
        bucket.url + "none.png": (1, "cannot be read: there is no such file"),
        "foo://a.png": (2, "foo://a.png cannot be used: Protocol not known: foo"),
    }
    for source, (exit_code, message) in cases.items():
        assert cli.run(["compress", source, "-o", "out.lvx"]) == exit_code
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert cli.run(["compress", "photo.png", "-o", "s3://no-such-bucket-here/"]) == 1
    assert "there is no bucket no-such-bucket-here" in capsys.readouterr().err
    assert cli.run(["compress", "https://host/a.png"]) == 2
    assert "https://host/a.lvx cannot be written to; name a file" in capsys.readouterr().err


def test_batches_at_urls(pictures, folder):
    save_picture("other.png")
    paths = [pictures.url + "in/a.png", Path("other.png"), pictures.url + "in/none.png"]
    outcomes = list(batch.compress(paths, pictures.url + "new", quality=30))
    assert [outcome.exit_code for outcome in outcomes] == [0, 0, 1]
    assert luxvox.inspect(pictures.get("new/other.lvx")).quality == 30
    back = list(batch.decompress([pictures.url + "new/a.lvx"], "back"))
    assert back[0].job.target == str(Path("back/a.png")) and Path("back/a.png").exists()
