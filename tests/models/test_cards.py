"""Model cards: which weights are found, and what is not a card."""

import json
import shutil
from typing import Any

import pytest

from luxvox.errors import ModelError, UnsupportedError, UsageError
from luxvox.models.cards import SHIPPED, cards, find_card, read_card, use_weights
from luxvox.models.picture.weights import load_picture_codec, picture_codec
from luxvox.models.voice.weights import load_voice_codec, voice_codec


@pytest.fixture
def card(tmp_path):
    """The path of a card that may be altered, with the shipped weights next to it."""
    shipped = find_card("voice").path
    record = {**json.loads(shipped.read_text()), "id": "voice-7", "number": 7}
    path = tmp_path / "voice-7.json"
    path.write_text(json.dumps(record))
    shutil.copy(shipped.with_suffix(".safetensors"), path.with_suffix(".safetensors"))
    return path


def alter(card, **changes):
    record = {**json.loads(card.read_text()), **changes}
    card.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"id": "voice-7"}', "\udcff", '"' + "x" * 50 + '"']
)
def test_bad_cards_are_refused(card, text):
    card.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"voice-7.json: not a model card"):
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
    alter(card, **changes)
    with pytest.raises(ModelError, match=r"voice-7.json: not a model card"):
        read_card(card)


def with_numbers(card, *numbers):
    """Put cards of other numbers next to a card; return their folder."""
    record = json.loads(card.read_text())
    for number in numbers:
        path = card.with_name(f"voice-{number}.json")
        path.write_text(json.dumps({**record, "id": f"voice-{number}", "number": number}))
    return card.parent


def test_cards_are_listed_by_number(card):
    folder = with_numbers(card, 12, 3)
    assert [card.number for card in cards(folder)] == [3, 7, 12]
    with use_weights(folder):
        assert find_card("voice").path == folder / "voice-12.json"
        assert find_card("voice", 3).path == folder / "voice-3.json"


def test_a_folder_without_cards_is_refused(tmp_path, monkeypatch):
    """Otherwise it would be ignored and the shipped weights used without a word."""
    with pytest.raises(ModelError, match="no model cards in"), use_weights(tmp_path):
        pass
    monkeypatch.setenv("LUXVOX_WEIGHTS", str(tmp_path))
    with pytest.raises(ModelError, match="LUXVOX_WEIGHTS: there are no model cards"):
        find_card("voice")
    monkeypatch.setenv("LUXVOX_WEIGHTS", __file__)
    with pytest.raises(ModelError, match="there is no folder"):
        find_card("voice")


@pytest.mark.parametrize("folder", [None, 3, b"weights"])
def test_bad_paths_are_refused(folder: Any):
    with pytest.raises(UsageError, match="a folder is named by a path"), use_weights(folder):
        pass


def test_own_weights_come_before_shipped_ones(card, monkeypatch):
    shipped = find_card("voice")
    number, print_ = shipped.number, bytes.fromhex(shipped.fingerprint)
    alter(card, fingerprint="00000000")
    with_numbers(card, number)
    card.unlink()
    with use_weights(card.parent):
        own = find_card("voice", number)
        assert own.path.parent == card.parent
        assert find_card("voice", number, print_) == shipped  # the fingerprint tells them apart
        with use_weights(SHIPPED):
            assert find_card("voice", number).path.parent == SHIPPED
        assert find_card("voice", number) == own
    assert find_card("voice", number) == shipped
    monkeypatch.setenv("LUXVOX_WEIGHTS", str(card.parent))
    assert find_card("voice", number) == own
    monkeypatch.setenv("LUXVOX_WEIGHTS", "")
    assert find_card("voice", number) == shipped


@pytest.mark.parametrize("named", ["missing", "voice-7.json"])
def test_missing_folders_are_named(card, monkeypatch, named):
    folder = card.parent / named
    with pytest.raises(ModelError, match=f"weights: there is no folder .*{named}"):
        with use_weights(folder):
            pass
    monkeypatch.setenv("LUXVOX_WEIGHTS", str(folder))
    with pytest.raises(ModelError, match=f"LUXVOX_WEIGHTS: there is no folder .*{named}"):
        find_card("voice")


def test_no_weights_are_named(card):
    with (
        use_weights(card.parent),
        pytest.raises(ModelError, match="no tune weights in .*; reinstall"),
    ):
        find_card("tune")


def test_unknown_number_is_unsupported():
    with pytest.raises(UnsupportedError, match="voice model 65535 is not among the installed"):
        voice_codec(65535)


def test_unknown_fingerprint_is_unsupported():
    installed = find_card("voice")
    with pytest.raises(
        UnsupportedError, match=f"weights 00000000 of voice model .*are {installed.fingerprint}"
    ):
        voice_codec(installed.number, bytes(4))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"id": "' + "x" * (1 << 20) + '"}'])
def test_hostile_cards_cost_nothing(card, text):
    card.write_text(text)
    with pytest.raises(ModelError, match=r"voice-7.json: not a model card"):
        read_card(card)


LOADERS: dict[str, Any] = {"picture": load_picture_codec, "voice": load_voice_codec}
LARGEST = {"picture": 20e6, "voice": 40_000_000}


def test_shipped_weights_are_intact():
    for card in cards():
        assert (SHIPPED / f"{card.id}.safetensors").stat().st_size <= LARGEST[card.kind]
        assert LOADERS[card.kind](SHIPPED / f"{card.id}.json").card == card
        assert {"licence", "training", "data"} <= set(card.extra)
        assert card.extra["training"]["phases"]


def test_shipped_weights_are_loaded_once():
    for kind, load in (("picture", picture_codec), ("voice", voice_codec)):
        card = find_card(kind)
        assert load() is load(card.number, bytes.fromhex(card.fingerprint))


def with_tunings(folder, number, tunings):
    """A copy of the picture card under another number, for some tunings."""
    record = json.loads(find_card("picture").path.read_text())
    record["id"], record["number"] = f"picture-{number}", number
    record["config"]["tunings"] = tunings
    (folder / f"picture-{number}.json").write_text(json.dumps(record))


def test_the_newest_weights_for_a_tuning_are_found(tmp_path):
    with_tunings(tmp_path, 7, ["eye", "psnr"])
    with_tunings(tmp_path, 8, ["eye"])
    with use_weights(tmp_path):
        assert find_card("picture").number == find_card("picture", tune="eye").number == 8
        assert find_card("picture", tune="psnr").number == 7
    (tmp_path / "picture-7.json").unlink()
    with use_weights(tmp_path):
        shipped = find_card("picture", tune="psnr")
        assert shipped.path.parent == SHIPPED and shipped.serves("psnr")
