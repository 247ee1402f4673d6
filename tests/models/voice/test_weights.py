"""Voice weights: a card that asks for more than they hold is refused before it is allocated."""

import json
import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch

from luxvox.errors import ModelError
from luxvox.models.voice.weights import load_voice_codec

TINY = Path(__file__).parents[2] / "golden" / "weights" / "voice-0.json"
UNITS_OF_PEAK = 1 if sys.platform == "darwin" else 1024  # bytes


@pytest.fixture
def card(tmp_path):
    """The path of a card and weights that may be altered."""
    for path in (TINY, TINY.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path / TINY.name


def peak():
    return UNITS_OF_PEAK * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_networks_larger_than_the_weights_are_never_allocated(card):
    record = json.loads(card.read_text())
    sizes = {"wide_width": 4096, "wide_expansion": 16, "wide_analysis": [1] * 8}
    card.write_text(json.dumps({**record, "config": {**record["config"], **sizes}}))
    before = peak()
    with pytest.raises(ModelError, match="voice-0: the weights do not fit the card"):
        load_voice_codec(card)
    assert peak() - before < 1 << 30  # they would take 17 GB


def test_loading_leaves_random_numbers_alone(card):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_voice_codec(card)
    assert torch.equal(torch.rand(3), expected)
