"""Every example of README.md and of the pages in docs/ runs, in the order of its page."""

import importlib.util
import shutil
from pathlib import Path

import click
import pytest
import soundfile
from PIL import Image

from luxvox import cli
from luxvox.tests.docs.examples import Example, commands_of, examples_of, run
from luxvox.tests.evaluate.miniature import scene, speech

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    if examples_of(page)
]
CLUSTER, BUCKET = "tcp://scheduler:8786", "s3://bucket/"
HAS_SERVER = all(map(importlib.util.find_spec, ("moto", "flask", "s3fs")))  # luxvox[test]


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder with the files that examples use: pictures, voices, weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LUXVOX_WEIGHTS", raising=False)
    Image.fromarray(scene(168, 256, 1)).save("photo.jpg", quality=95)
    soundfile.write("voice.wav", speech(16_000), 16_000)
    soundfile.write("voice.mp3", speech(16_000), 16_000)
    soundfile.write("voice.flac", speech(16_000), 16_000)
    for place in ("photos/a.png", "photos/below/b.png"):
        Path(place).parent.mkdir(exist_ok=True)
        Image.fromarray(scene(64, 96, len(place))).save(place)
    Path("list.txt").write_text("photo.jpg\n")
    Path("voices").mkdir()
    shutil.copy("voice.wav", "voices/hum.wav")
    Path("examples").mkdir()
    Image.fromarray(scene(64, 64, 0)).save("examples/eileen_collins.png")
    soundfile.write("examples/kennedy_1961.flac", speech(16_000), 16_000)
    Path("weights").symlink_to(ROOT / "weights")
    return tmp_path


@pytest.fixture
def files(folder):
    """Return the folder with `.lvx` files that pages begin from."""
    assert cli.run(["compress", "photo.jpg", "voice.flac"]) == 0
    Path("voice.flac").unlink()
    Path("voices_lvx").mkdir()
    shutil.copy("voice.lvx", "voices_lvx/voice.lvx")
    return folder


@pytest.fixture
def known():
    """Return the names that Python examples find: a main module, a picture and a voice."""
    return {"__name__": "__main__", "pixels": scene(64, 96, 1), "samples": speech(16_000)}


@pytest.fixture
def cluster():
    """Return the address of a Dask cluster of one worker."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as local_cluster:
        yield local_cluster.scheduler_address


@pytest.fixture
def pictures_in_a_bucket(bucket):
    """Return the URL of a bucket with a picture in a folder."""
    bucket.put("photos/a.png", Path("photos/a.png").read_bytes())
    return bucket.url


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_run(page, files, known, request):
    for example in examples_of(page):
        if example.reason is None:
            text = example.text
            if CLUSTER in text:
                text = text.replace(CLUSTER, request.getfixturevalue("cluster"))
            if BUCKET in text and HAS_SERVER:
                text = text.replace(BUCKET, request.getfixturevalue("pictures_in_a_bucket"))
            text = "".join(line for line in text.splitlines(True) if BUCKET not in line)
            run(Example(example.language, text), files, known)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_that_are_not_run_exist(page):
    """Their options are real ones, although their data is not here."""
    for example in examples_of(page):
        if example.reason is not None and example.language == "sh":
            for command in commands_of(example.text):
                words = command.partition("luxvox ")[2].split()
                if words and not words[0].startswith("tcp:"):
                    check_options(words)


def check_options(words):
    command: click.Command | None = cli.commands
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
    assert command is not None
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word for word in words if word.startswith("-")}
    assert used <= known, used - known


def test_fences_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\npip install x && luxvox info a.lvx  # said\n```\n"
        "<!-- not run: no time -->\n```python\n1 / 0\n```\n"
        "<!-- p:begin -->\n```sh\nfalse\n```\n<!-- p:end -->\n```toml\nx = 1\n```\n"
    )
    assert examples_of(page) == [
        Example("sh", "luxvox info a.lvx  # said\n"),
        Example("python", "1 / 0\n", "no time"),
    ]
    assert commands_of("a \\\n  b  # c\nd && e\n# f\n") == ["a    b", "d", "e"]


def test_a_failing_example_fails(folder):
    with pytest.raises(AssertionError, match="info missing.lvx: exit code 1"):
        run(Example("sh", "luxvox info missing.lvx\n"), folder, {})
    with pytest.raises(AssertionError, match="false: exit code 1"):
        run(Example("sh", "true | false\n"), folder, {})
    with pytest.raises(ZeroDivisionError):
        run(Example("python", "1 / 0\n"), folder, {})
