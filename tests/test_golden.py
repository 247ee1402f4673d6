"""Golden files: recorded results stay true for ever; `tests/golden/record.py` only adds."""

from __future__ import annotations

import hashlib
import importlib.util

import numpy as np
import pytest

from luxvox.errors import UnsupportedError
from luxvox.models.cards import cards, find_card, use_weights
from luxvox.tests.golden.files import FILES, quietly
from luxvox.tests.golden.record import (
    ERRORS,
    HERE,
    MANIFEST,
    codes_record,
    read_manifest,
    record_decoded,
    refusal,
)
from luxvox.tests.golden.refusals import REFUSALS
from luxvox.tests.golden.tiny_weights import TINY

GOLDEN, REFUSED = read_manifest(HERE), read_manifest(ERRORS)
WITHOUT_TORCHAC = importlib.util.find_spec("torchac") is None

RETIRED: dict[str, str] = {}
"""Weights that are no longer shipped, and the last release that has them."""

UNRELEASED: set[str] = set()
"""Weights that no release has yet: they may still change, and their files be made again."""


@pytest.fixture(autouse=True)
def tiny_weights_beside_the_shipped_ones():
    with use_weights(TINY), quietly():
        yield


def skip_what_cannot_be_decoded(name, entry):
    weights = entry["weights"]
    if weights in RETIRED:
        pytest.skip(f"{weights} is in luxvox {RETIRED[weights]}")
    installed = {card.sha256 for card in cards()}
    if weights in UNRELEASED and entry["weights_sha256"] not in installed:
        pytest.skip(f"{weights} is another one now: run record.py --renew {weights}")
    if "torchac" in name and WITHOUT_TORCHAC:
        pytest.skip("torchac is not installed")


def golden_bytes(folder, name, entry):
    data = (folder / f"{name}.lvx").read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"], "the file itself was changed"
    return data


@pytest.mark.parametrize("name", GOLDEN)
def test_codes_and_output_are_as_recorded(name):
    entry = GOLDEN[name]
    data = golden_bytes(HERE, name, entry)
    skip_what_cannot_be_decoded(name, entry)
    assert codes_record(data) == entry["codes"]
    decoded, recorded = record_decoded(data), entry["decoded"]
    assert decoded["shape"] == recorded["shape"]
    for key in set(recorded) - {"shape"}:
        np.testing.assert_allclose(decoded[key], recorded[key], rtol=0.01, atol=0.3)


@pytest.mark.parametrize("weights", sorted({entry["weights"] for entry in GOLDEN.values()}))
def test_weights_of_golden_files_stay_shipped(weights):
    """A replaced model stays, or `RETIRED` says which release has it."""
    if weights in RETIRED or weights in UNRELEASED:
        return
    kind, number = weights.split("-")
    prints = {e["fingerprint"] for e in GOLDEN.values() if e["weights"] == weights}
    assert len(prints) == 1, "one id, several weights: ids are immutable"
    try:
        find_card(kind, int(number), bytes.fromhex(prints.pop()))
    except UnsupportedError as error:
        pytest.fail(f"{error}; ship {weights} on, or write into RETIRED which release has it")


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_as_recorded(name):
    entry = REFUSED[name]
    error = refusal(golden_bytes(ERRORS, name, entry), entry.get("limits", {}))
    assert type(error).__name__ == entry["error"]
    assert str(error).startswith(entry["message"])
    assert "\n" not in str(error)


@pytest.mark.parametrize(("folder", "expected"), [(HERE, FILES), (ERRORS, REFUSALS)])
def test_manifests_list_all_files(folder, expected):
    listed = set(read_manifest(folder))
    assert listed == {path.stem for path in folder.glob("*.lvx")}
    assert set(expected) <= listed, "run tests/golden/record.py"
    assert (folder / MANIFEST).stat().st_size < 60_000
