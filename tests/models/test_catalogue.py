"""Shipped weights: whatever is altered is refused, and named."""

import hashlib
import json
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from luxvox.errors import ModelError, UnsupportedError
from luxvox.models.catalogue import (
    WEIGHTS,
    cards,
    default_picture_card,
    fingerprint,
    load_picture_codec,
    picture_codec,
    read_card,
)
from luxvox.models.speech_weights import load_voice_codec


@pytest.fixture
def card(tiny_weights, tmp_path):
    """The path of a card and weights that may be altered."""
    for path in (tiny_weights, tiny_weights.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path / tiny_weights.name


def altered(card, **changes):
    record = {**json.loads(card.read_text()), **changes}
    card.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


def with_tensors(card, change):
    """Alter tensors, and the card's SHA-256 and fingerprint with them."""
    path = card.with_suffix(".safetensors")
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    altered(card, sha256=digest, fingerprint=fingerprint(tensors).hex())


def test_loads_what_was_exported(card):
    codec = load_picture_codec(card)
    assert codec.card.id == "picture-7"
    assert (codec.card.number, codec.card.kind) == (7, "picture")
    assert len(codec.fingerprint) == 4
    assert not codec.model.training
    assert not any(p.requires_grad for p in codec.model.parameters())
    assert {plan.name for plan in codec.context.plan} == {"top", "base", "detail"}
    for level in codec.context.levels.values():
        assert all(torch.equal(t, t.round()) for t in level.tensors.values())


def test_altered_weights_are_refused(card):
    path = card.with_suffix(".safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="picture-7.safetensors: SHA-256 .* is not the card's"):
        load_picture_codec(card)


def test_cut_weights_are_refused(card):
    path = card.with_suffix(".safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ModelError, match="SHA-256"):
        load_picture_codec(card)
    altered(card, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="picture-7.safetensors"):
        load_picture_codec(card)


def test_missing_weights_are_named(card):
    card.with_suffix(".safetensors").unlink()
    with pytest.raises(ModelError, match="picture-7.safetensors: cannot be read: No such file"):
        load_picture_codec(card)


def test_other_integer_tables_are_refused(card):
    altered(card, fingerprint="00000000")
    with pytest.raises(ModelError, match="integer tables are not those of the card"):
        load_picture_codec(card)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": {"width_16": 192}},
        {"config": {"no_such_field": 1}},
        {"config": {"detail_groups": [9, 9]}},
        {"config": {"width_8": "wide"}},
        {"config": {"width_8": -3}},
    ],
)
def test_weights_that_do_not_fit_the_card_are_refused(card, changes):
    altered(card, **changes)
    with pytest.raises(ModelError, match="picture-7: the weights do not fit the card"):
        load_picture_codec(card)


def test_missing_tensors_are_refused(card):
    with_tensors(card, lambda tensors: tensors.pop("context.base.flag.bias"))
    with pytest.raises(ModelError, match="do not fit the card"):
        load_picture_codec(card)


def test_accumulators_are_checked_again_at_load(card):
    def raise_bias(tensors):
        tensors["context.base.flag.bias"][0, 0] = 1 << 24

    with_tensors(card, raise_bias)
    with pytest.raises(ModelError, match=r"base: sums of flag may reach .* limit 2\^24"):
        load_picture_codec(card)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"id": "picture-7"}', "\udcff", '"' + "x" * 50 + '"']
)
def test_what_is_no_card_is_refused(card, text):
    card.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"picture-7.json: not a model card"):
        read_card(card)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": None},
        {"number": "7"},
        {"number": True},
        {"sha256": 5},
        {"id": None},
        {"kind": 1},
        {"config": [1, 2]},
    ],
)
def test_cards_with_fields_of_another_type_are_refused(card, changes):
    altered(card, **changes)
    with pytest.raises(ModelError, match=r"picture-7.json: not a model card"):
        read_card(card)


def test_another_kind_is_refused(card):
    altered(card, kind="voice")
    with pytest.raises(ModelError, match="picture-7: kind 'voice' is not 'picture'"):
        load_picture_codec(card)


def test_cards_are_listed_by_number(card):
    record = json.loads(card.read_text())
    for number in (12, 3):
        other = card.with_name(f"picture-{number}.json")
        other.write_text(json.dumps({**record, "id": f"picture-{number}", "number": number}))
    assert [one.number for one in cards(card.parent)] == [3, 7, 12]
    assert default_picture_card(card.parent).number == 12


def test_no_weights_are_named(tmp_path):
    with pytest.raises(ModelError, match="no picture weights in .*; reinstall luxvox"):
        default_picture_card(tmp_path)


def test_unknown_number_is_unsupported():
    with pytest.raises(UnsupportedError, match="picture model 65535 is not among the installed"):
        picture_codec(65535)


LOADERS: dict[str, Any] = {"picture": load_picture_codec, "voice": load_voice_codec}
LARGEST = {"picture": 12e6, "voice": 20e6}


def test_shipped_weights_are_intact():
    for card in cards():
        assert (WEIGHTS / f"{card.id}.safetensors").stat().st_size <= LARGEST[card.kind]
        assert LOADERS[card.kind](WEIGHTS / f"{card.id}.json").card == card
        assert {"licence", "training", "data"} <= set(card.extra)
        assert card.extra["training"]["phases"]


def test_shipped_weights_are_loaded_once():
    assert picture_codec() is picture_codec(default_picture_card().number)
