"""CompressAI's codecs with weights of your own: small random networks, bytes there and back."""

import importlib
import json

import numpy as np
import pytest
import torch
from PIL import Image

from luxvox import cli
from luxvox.errors import ModelError
from luxvox.evaluate.peers import Absent, Codec, PeerSpec, enter
from luxvox.evaluate.picture.compressai_peers import FACTORIZED, MEAN_SCALE
from luxvox.tests.evaluate.miniature import scene


@pytest.fixture(scope="module")
def models():
    """Return CompressAI's models; skip where it, or a torchvision that fits torch, is missing."""
    try:
        return importlib.import_module("compressai.models")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no CompressAI: {error}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", [FACTORIZED, MEAN_SCALE], ids=lambda peer: peer.name)
def test_there_and_back_with_own_weights(peer, models, tmp_path):
    torch.manual_seed(3)
    paths = [tmp_path / "low.pth", tmp_path / "high.pth"]
    for path in paths:
        network = getattr(models, peer.architecture)(16, 24)
        network.update()
        torch.save({"state_dict": network.state_dict()}, path)
    own = peer.with_checkpoints([str(path) for path in paths])
    assert own.points == (1.0, 2.0)
    picture = scene(70, 90, 5)
    data = own.encode(picture, 2.0)
    decoded = own.decode(data)
    assert (decoded.shape, decoded.dtype) == (picture.shape, np.uint8)
    assert own.encode(picture, 2.0) == data
    assert own.encode(picture, 1.0) != data
    assert "low.pth " in own.version()


@pytest.mark.filterwarnings("ignore")
def test_checkpoints_on_the_command_line(models, tmp_path):
    torch.manual_seed(3)
    network = models.MeanScaleHyperprior(16, 24)
    torch.save(network.state_dict(), tmp_path / "one.pth")
    Image.fromarray(scene(70, 90, 5)).save(tmp_path / "one.png")
    words = ["evaluate", str(tmp_path / "one.png"), "--peers", "mbt2018-mean", "--metrics", "psnr"]
    words += [
        "--checkpoint",
        f"mbt2018-mean={tmp_path / 'one.pth'}",
        "--out",
        str(tmp_path / "out"),
    ]
    words += ["--points", "luxvox=3", "--timed-files", "0", "--shown-files", "0", "--jobs", "1"]
    assert cli.run([*words, "--format", "compressai"]) == 0
    curve = json.loads((tmp_path / "out" / "compressai" / "mbt2018-mean.json").read_text())
    assert curve["name"].endswith(", own weights")
    assert {name: len(values) for name, values in curve["results"].items()} == {
        "bpp": 1,
        "psnr-rgb": 1,
    }


@pytest.mark.filterwarnings("ignore")
def test_bad_checkpoints_are_refused(models, tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    own = FACTORIZED.with_checkpoints([str(tmp_path / "other.pth")])
    with pytest.raises(ModelError, match="not weights of FactorizedPrior"):
        own.version()


@pytest.mark.filterwarnings("ignore")
def test_without_package_or_weights_a_remedy_is_given():
    entered = enter(PeerSpec("mbt2018-mean"))
    assert isinstance(entered, Absent | Codec)
    if isinstance(entered, Absent):
        assert "luxvox[compressai]" in entered.install
        assert "--checkpoint" in entered.install
