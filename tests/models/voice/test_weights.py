"""Voice weights: a card that claims more than they hold is refused before any allocation."""

import copy
import json
import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from luxvox.errors import ModelError
from luxvox.models.cards import find_card
from luxvox.models.voice.weights import SCALES, load_voice_codec, pack_speech, voice_codec

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


def test_matrices_in_int8_come_back():
    """They are packed to the same numbers again, and no weight is off by more than half a unit."""
    codec = voice_codec()
    level = codec.context.levels["frames"]
    again = pack_speech(codec.model, level)
    stored = load_file(find_card("voice").path.with_suffix(".safetensors"))
    names = [name.removesuffix(SCALES) for name in stored if name.endswith(SCALES)]
    config = codec.model.config
    n_blocks = config.analysis_blocks + config.synthesis_blocks
    n_wide_blocks = len(config.wide_analysis) + len(config.wide_synthesis)
    assert len(names) == 2 * (n_blocks + n_wide_blocks)
    for name in names:
        assert stored[name].dtype == torch.int8
        assert torch.equal(again[name], stored[name])
        assert torch.equal(again[name + SCALES], stored[name + SCALES])
    moved = copy.deepcopy(codec.model)
    name = "wide_synthesis.blocks.0.expand.weight"
    matrix = moved.get_parameter(name).normal_(0.0, 0.1)
    packed = pack_speech(moved, level)
    back = packed[name].float() * packed[name + SCALES].float()[:, None]
    unit = packed[name + SCALES].float()[:, None]
    assert ((back - matrix).abs() <= 0.501 * unit + 1e-3 * matrix.abs()).all()
