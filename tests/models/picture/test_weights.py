"""Picture weights: anything altered is refused and named."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from luxvox.entropy.picture.tables import start_tables
from luxvox.errors import ModelError
from luxvox.models.cards import read_card, use_weights
from luxvox.models.picture.conditions import LEVELS, Setting
from luxvox.models.picture.weights import (
    check_tables,
    load_picture_codec,
    pack_picture,
    picture_codec,
)
from luxvox.models.weights import fingerprint


@pytest.fixture
def card(tiny_weights, tmp_path):
    """The path of a card and weights that may be altered."""
    for path in (tiny_weights, tiny_weights.with_suffix(".safetensors")):
        shutil.copy(path, tmp_path)
    return tmp_path / tiny_weights.name


def alter(card, **changes):
    record = {**json.loads(card.read_text()), **changes}
    card.write_text(json.dumps({key: value for key, value in record.items() if value is not None}))


def with_tensors(card, change):
    """Alter tensors, and the card's SHA-256 and fingerprint with them."""
    path = card.with_suffix(".safetensors")
    tensors = load(path.read_bytes())
    change(tensors)
    save_file(tensors, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    alter(card, sha256=digest, fingerprint=fingerprint(tensors).hex())


def test_packed_weights_load(card):
    codec = load_picture_codec(card)
    assert codec.card.id == "picture-7"
    assert (codec.card.number, codec.card.kind) == (7, "picture")
    assert len(codec.fingerprint) == 4
    assert not codec.model.training
    assert not any(p.requires_grad for p in codec.model.parameters())
    assert [level.name for level in codec.context.levels] == list(LEVELS)
    for tensors in codec.context.tensors.values():
        assert all(torch.equal(t, t.round()) for t in tensors.values())
    packed = pack_picture(codec.model, codec.context.tensors, codec.context.counts)
    for name, tensor in load_file(card.with_suffix(".safetensors")).items():
        assert packed[name].dtype == tensor.dtype
        assert torch.equal(packed[name], tensor)


def test_a_loaded_model_runs(card):
    model = load_picture_codec(card).model
    at = model.conditions_at(Setting(20.0))
    pixels = model.synthesise(model.latents(torch.zeros(1, 3, 64, 64), at), at)
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels.isfinite().all()


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
    alter(card, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match="picture-7.safetensors"):
        load_picture_codec(card)


def test_missing_weights_are_named(card):
    card.with_suffix(".safetensors").unlink()
    with pytest.raises(ModelError, match="picture-7.safetensors: cannot be read: No such file"):
        load_picture_codec(card)


def test_other_integer_tables_are_refused(card):
    alter(card, fingerprint="00000000")
    with pytest.raises(ModelError, match="integer tables are not those of the card"):
        load_picture_codec(card)


@pytest.mark.parametrize(
    "change",
    [
        {"channels": [10, 9, 25, 17]},
        {"channels": [9, 9, 25]},
        {"channels": "many"},
        {"channels": [[9], 9, 25, 17]},
        {"widths": [6, 5, 4, -3]},
        {"widths": [6, 5, 4]},
        {"synthesis_hidden": [4, 4, 4, 5]},
        {"synthesis_hidden": [4, 4, 4]},
        {"analysis_blocks": [1, 1, 1, 1]},
        {"no_such_field": 1},
    ],
)
def test_weights_that_do_not_fit_the_card_are_refused(card, change):
    with_config(card, change)
    with pytest.raises(ModelError, match="picture-7: .*(do not fit the card|legal: 4 levels)"):
        load_picture_codec(card)


def with_config(card, change):
    alter(card, config={**json.loads(card.read_text())["config"], **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coarsest_step": 161.0}, "steps of the card are not those of the weights"),
        ({"finest_step": 0.0}, "steps 0..160, legal: 0 < a < b"),
        ({"finest_step": 200.0}, "steps 200..160, legal: 0 < a < b"),
        ({"finest_step": float("nan")}, "steps nan..160, legal: 0 < a < b"),
        ({"finest_step": -1.0}, "steps -1..160, legal: 0 < a < b"),
    ],
)
def test_other_steps_are_refused(card, change, message):
    with_config(card, change)
    with pytest.raises(ModelError, match=message):
        load_picture_codec(card)


@pytest.mark.parametrize(
    "change",
    [
        {"widths": [6, 5, 4, 10**12]},
        {"analysis_hidden": [5000] * 4},
        {"analysis_hidden": [4096] * 4, "analysis_blocks": [64] * 4},
        {"synthesis_blocks": [10**6] * 4},
        {"channels": [1] * 5000},
    ],
)
def test_a_card_cannot_make_networks_huge(card, change):
    with_config(card, change)
    with pytest.raises(ModelError, match="do not fit|legal: 4 levels"):
        load_picture_codec(card)


@pytest.mark.parametrize("name", ["context.base.pass1.mid.bias", "context.tables", "context.steps"])
def test_missing_tables_are_refused(card, name):
    with_tensors(card, lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match="base: table pass1.mid.bias is missing|do not fit"):
        load_picture_codec(card)


def test_missing_networks_are_refused(card):
    with_tensors(card, lambda tensors: tensors.pop("synthesis.up.0.weight"))
    with pytest.raises(ModelError, match="picture-7: the weights do not fit the card"):
        load_picture_codec(card)


def test_sums_are_checked_again_at_load(card):
    def raise_bias(tensors):
        tensors["context.base.pass2.out.bias"][0] = 1 << 24

    with_tensors(card, raise_bias)
    with pytest.raises(ModelError, match=r"base: sums of pass2.out may reach .* limit 2\^24"):
        load_picture_codec(card)


def test_another_kind_is_refused(card):
    alter(card, kind="voice")
    with pytest.raises(ModelError, match="picture-7: kind 'voice' is not 'picture'"):
        load_picture_codec(card)


def test_own_weights_are_loaded_and_verified(card):
    with use_weights(card.parent):
        assert picture_codec().card.number == 7
        assert picture_codec(7) is picture_codec(7, picture_codec().fingerprint)
        with_tensors(card, lambda tensors: tensors["context.base.pass0.own.bias"].add_(1))
        changed = picture_codec()
        assert changed.card.sha256 == read_card(card).sha256
        alter(card, sha256="0" * 64)
        with pytest.raises(ModelError, match="SHA-256"):
            picture_codec()


def test_a_card_cannot_point_elsewhere(card):
    """The weights lie next to the card, whatever its id says."""
    alter(card, id="../../elsewhere/picture-7")
    with use_weights(card.parent):
        assert picture_codec(7).card.number == 7


def cast(name, kind):
    return lambda tensors: tensors.update({name: tensors[name].to(kind)})


MID = "context.top.pass1.mid"
HOSTILE_TABLES = {
    "weights of 16 bits": (cast(f"{MID}.weight", torch.int16), "pass1.mid.weight is .*int16"),
    "too wide": (cast("context.top.spread.weight", torch.int32), "spread.weight is .*int32"),
    "a bias in 8 bits": (cast(f"{MID}.bias", torch.int8), "pass1.mid.bias is .*int8"),
    "too long": (
        lambda t: t.update({f"{MID}.bias": t[f"{MID}.bias"].repeat(2)}),
        r"pass1.mid.bias is .*\[320\], legal: torch.int32 \[160\]",
    ),
    "another table": (
        lambda t: t.update({"context.top.tail.bias": torch.zeros(1, dtype=torch.int32)}),
        "table tail.bias is unknown",
    ),
    "no lines": (lambda t: t.pop("context.top.pass1.line.weight"), "line.weight is missing"),
    "counts of other sums": (lambda t: t["context.tables"][3, 5].add_(1), "does not sum to 2"),
    "other counts": (
        lambda t: t.update({"context.tables": t["context.tables"][1:].clone()}),
        "tables of .*legal: 216",
    ),
    "other steps": (lambda t: t["context.steps"].add_(1), "steps of the card are not those"),
}


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32, torch.bool, torch.int64])
def test_tables_of_other_types_are_refused(card, kind):
    """Found by fuzzing: bfloat16 has no type in numpy, and could not even be fingerprinted."""
    path = card.with_suffix(".safetensors")
    tensors = load_file(path)
    save_file(
        tensors | {"context.top.pass1.mid.bias": tensors["context.top.pass1.mid.bias"].to(kind)},
        path,
    )
    alter(card, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(
        ModelError, match="context.top.pass1.mid.bias holds .* legal: whole numbers"
    ):
        load_picture_codec(card)


@pytest.mark.parametrize(("change", "message"), HOSTILE_TABLES.values(), ids=list(HOSTILE_TABLES))
def test_tables_of_another_form_are_refused(card, change, message):
    """A right fingerprint says what they are, not that they are legal."""
    with_tensors(card, change)
    with pytest.raises(ModelError, match=message):
        load_picture_codec(card)


def test_tables_of_one_level():
    expected = {"a.weight": (2, 3), "a.bias": (2,)}
    tables = {"a.weight": torch.zeros(2, 3).char(), "a.bias": torch.zeros(2).int()}
    check_tables("top", expected, tables)
    with pytest.raises(ModelError, match="top: table b.bias is unknown"):
        check_tables("top", expected, {**tables, "b.bias": tables["a.bias"]})


def test_only_residual_parts_are_halved(lively):
    counts = start_tables()
    packed = pack_picture(lively, {}, counts)
    kinds = {name: value.dtype for name, value in packed.items() if not name.startswith("context")}
    halved = {name for name, kind in kinds.items() if kind == torch.float16}
    assert halved == {name for name in kinds if ".blocks." in name or ".step_maps." in name}
    assert {kinds[name] for name in kinds.keys() - halved} == {torch.float32}
