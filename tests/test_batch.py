"""Many files from Python, on executors of every kind."""

import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox import batch, cli
from luxvox.errors import UsageError


@pytest.fixture
def pictures(tmp_path):
    """Return the paths of three pictures, the second of which is not one."""
    paths = [tmp_path / name for name in ("a.png", "bad.png", "c.png")]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((16, 24, 3), 40 * number, np.uint8)).save(path)
    paths[1].write_text("no picture")
    return paths


def test_without_an_executor(pictures, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)
    Image.fromarray(noise).save(pictures[2])
    outcomes = list(batch.compress(pictures, tmp_path / "new", quality=30))
    assert [outcome.exit_code for outcome in outcomes] == [0, 3, 0]
    assert "not a picture" in outcomes[1].lines[0]
    data = (tmp_path / "new" / "c.lvx").read_bytes()
    assert data == luxvox.compress_image(noise, 30) != luxvox.compress_image(noise, 2)
    back = list(batch.decompress(sorted((tmp_path / "new").iterdir()), tmp_path / "back"))
    assert [Path(outcome.job.target).name for outcome in back] == ["a.png", "c.png"]


@pytest.mark.parametrize("target", [{"quality": 20}, {"size": 900}, {"bpp": 2}, {"psnr": 28}])
def test_targets_are_numbers(tmp_path, target):
    noise = np.random.default_rng(0).normal(120, 12, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (outcome,) = batch.compress([tmp_path / "noise.png"], tmp_path / "new", **target)
    assert (outcome.exit_code, outcome.lines[1:]) == (0, ())
    assert (tmp_path / "new" / "noise.lvx").read_bytes() == luxvox.compress_image(noise, **target)


def test_devices_are_checked(pictures, tmp_path):
    (outcome,) = batch.compress(pictures[:1], tmp_path / "new", device="gpu")
    assert outcome.exit_code == 2 and "device 'gpu' is unknown" in outcome.lines[0]
    (outcome,) = batch.compress(pictures[:1], tmp_path / "new", device="auto")
    assert outcome.exit_code == 0


@pytest.mark.parametrize("work", [batch.compress, batch.decompress])
def test_a_single_path_is_refused(work, tmp_path):
    with pytest.raises(UsageError, match=r"a list of paths, not the single path '.*a\.png'"):
        list(work(tmp_path / "a.png"))


def test_endings_are_taken_as_on_the_command_line(pictures, tmp_path):
    list(batch.compress(pictures[:1], tmp_path / "new"))
    (outcome,) = batch.decompress([tmp_path / "new" / "a.lvx"], tmp_path, format=".JPG")
    assert (outcome.exit_code, Path(outcome.job.target).name) == (0, "a.jpg")


def test_on_processes(pictures, tmp_path):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        outcomes = list(batch.compress(pictures, tmp_path / "new", executor=executor))
    assert sorted(outcome.exit_code for outcome in outcomes) == [0, 0, 3]


def test_processes_are_told_of_other_weights(pictures, tmp_path):
    weights = Path(__file__).resolve().parent / "golden" / "weights"
    names = [str(pictures[0]), str(pictures[2])]
    words = ["--weights", str(weights), "-o", str(tmp_path / "new"), "--jobs", "2"]
    assert cli.run(["compress", *names, *words]) == 0
    number = luxvox.inspect((tmp_path / "new" / "a.lvx").read_bytes()).model
    with luxvox.use_weights(weights):
        assert number == luxvox.inspect(luxvox.compress_image(np.zeros((8, 8), np.uint8))).model
    assert number != luxvox.inspect(luxvox.compress_image(np.zeros((8, 8), np.uint8))).model


class Failing(Executor):
    """An executor whose jobs never come back."""

    def submit(self, *_, **__):
        future: Future[batch.Outcome] = Future()
        future.set_exception(RuntimeError("lost"))
        return future


def test_a_lost_job_fails_alone(pictures, tmp_path):
    outcomes = list(batch.compress([pictures[0]], tmp_path / "new", executor=Failing()))
    assert [outcome.exit_code for outcome in outcomes] == [1]
    assert "RuntimeError: lost" in outcomes[0].lines[0]


def test_wrong_requests_are_refused(pictures):
    with pytest.raises(UsageError, match="cannot be combined"):
        batch.compress(pictures, quality=30, bpp=1.0)
    with pytest.raises(UsageError, match="unknown options: colour"):
        batch.decompress(pictures, colour=True)
    with pytest.raises(UsageError, match="unknown options: rate"):
        batch.compress(pictures, rate=1.0)
    with pytest.raises(UsageError, match="unknown options: force"):
        batch.decompress(pictures, force=True)
    with pytest.raises(UsageError, match="already the output"):
        batch.compress([pictures[0], pictures[0]], pictures[0].parent / "new")


def test_on_a_cluster_that_loses_a_worker(tmp_path, capsys):
    distributed = pytest.importorskip("distributed")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    for number in range(12):
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    words = ["compress", str(tmp_path), "-o", str(tmp_path / "new"), "--dask"]
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster:
        victim = next(iter(cluster.workers.values()))
        victim.process.process._process.kill()
        assert cli.run([*words, cluster.scheduler_address]) == 0
    assert len(list((tmp_path / "new").iterdir())) == 12
    assert "12 files: 12 done, 0 refused" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer(tmp_path, capsys):
    pytest.importorskip("distributed")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    assert cli.run(["compress", str(tmp_path / "a.png"), "--dask", "nonsense"]) == 1
    assert "no Dask scheduler answers at nonsense" in capsys.readouterr().err
