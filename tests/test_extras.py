"""Without an extra, whatever needs it is refused with the command that installs it."""

import importlib.util
import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

import luxvox
from luxvox import cli
from luxvox.codec import files
from luxvox.errors import SystemFailure
from luxvox.evaluate import metrics, peers
from luxvox.evaluate.inputs import Kind
from luxvox.tests.test_packaging import PYPROJECT

EXTRAS = PYPROJECT["project"]["optional-dependencies"]
NO_EXTRA = "pip install --force-reinstall luxvox|pip install --upgrade pillow|"


def heic():
    pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    importlib.import_module("pillow_heif").from_pillow(Image.new("RGB", (16, 16))).save(file)
    return file.getvalue()


def jpeg_xl():
    pytest.importorskip("pillow_jxl")
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JXL")
    return file.getvalue()


def wma():
    return b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(100)


def odd_tiff():
    tifffile = pytest.importorskip("tifffile")
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8, 8, 3), np.float64), photometric="rgb")
    return file.getvalue()


@pytest.fixture
def hide(monkeypatch):
    """Return a function that makes a package seem not installed."""
    find_spec = importlib.util.find_spec

    def find_unless_hidden(name):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setattr(
            importlib.util,
            "find_spec",
            lambda module, *a: None if module == name else find_spec(module, *a),
        )

    return find_unless_hidden


@pytest.mark.parametrize(
    ("make", "package", "exit_code"),
    [
        (heic, "pillow_heif", 1),
        (jpeg_xl, "pillow_jxl", 1),
        (wma, "av", 1),
        (odd_tiff, "tifffile", 3),  # the package may not read it either
    ],
)
def test_formats(make, package, exit_code, hide, tmp_path, capsys, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(make())
    Image.init()
    # Other tests may have registered Pillow's readers.
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name not in ("HEIF", "JXL")])
    hide(package)
    assert cli.run(["compress", str(path), "-o", str(tmp_path / "out.lvx")]) == exit_code
    assert "pip install 'luxvox[formats]'" in capsys.readouterr().err


def test_torchac(hide):
    hide("torchac")
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(SystemFailure, match=r"pip install 'luxvox\[torchac\]'"):
        luxvox.compress_image(pixels, coder="torchac")


def test_dask(hide, tmp_path, capsys):
    hide("distributed")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert cli.run(["compress", str(tmp_path / "a.png"), "--dask", "tcp://host:8786"]) == 1
    assert "pip install 'luxvox[dask]'" in capsys.readouterr().err


def test_remote(hide):
    registry = importlib.import_module("fsspec.registry")
    registry._registry.pop("s3", None)
    hide("s3fs")
    with pytest.raises(SystemFailure, match=r"pip install 'luxvox\[remote\]'"):
        files.read("s3://bucket/a.png")


def remedies():
    """Yield the names of codecs and metrics, and the command that installs what each needs."""
    for kind, names in peers._BUILT_IN.items():
        for name in names:
            yield name, peers.load(peers.PeerSpec(name, kind)).install
    for name, metric in metrics.all_metrics().items():
        yield name, metric.install


@pytest.mark.parametrize(("name", "command"), list(remedies()))
def test_codecs_and_metrics_name_their_extra(name, command):
    named = re.findall(r"luxvox\[([a-z0-9-]+)\]", command)
    assert set(named) <= EXTRAS.keys()
    assert named or command in NO_EXTRA.split("|"), name


def test_a_metric_that_is_left_out_says_how_to_get_it(hide):
    hide("flip_evaluator")
    kind: Kind = metrics.all_metrics()["flip"].kind
    _, (absent,) = metrics.choose(kind, ["flip"], metrics.Setting())
    assert absent.install == "pip install 'luxvox[evaluate]'"


def test_every_extra_has_a_command_somewhere():
    named = {extra for _, command in remedies() for extra in re.findall(r"\[([^]]+)\]", command)}
    tested_above = {"formats", "torchac", "dask", "remote"}
    assert named | tested_above == EXTRAS.keys() - {"docs", "test"}
