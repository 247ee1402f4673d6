"""The fuzzing harness: a few executions of each target, and that it sees what goes wrong."""

from __future__ import annotations

from random import Random

import pytest

from luxvox.codec import container
from luxvox.errors import ChecksumError, FormatError, LuxvoxError
from luxvox.fuzz import run
from luxvox.fuzz.mutations import change_bytes, change_fields, damage, put_together, take_apart
from luxvox.fuzz.targets import ALL, LEGAL, PICTURES, TARGETS, TINY, VOICES, Target
from luxvox.models.cards import use_weights

FEW = {
    "picture": 15,
    "voice": 15,
    "shipped-picture": 3,
    "metadata": 5,
    "coder": 30,
    "truncate": 60,
    "weights": 12,
    "conceal-picture": 20,
    "conceal-voice": 20,
    "wish-picture": 8,
    "wish-voice": 8,
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_executions(name, tmp_path):
    with use_weights(TINY):
        summary = run.fuzz(name, (FEW.get(name, 100), 1e9), 0, tmp_path)
    assert (summary["crashes"], summary["hangs"]) == (0, 0)
    assert summary["executions"] == FEW.get(name, 100)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [*PICTURES[:12], *VOICES[:12]])
def test_files_are_put_together_as_they_were(data):
    parts = take_apart(data)
    try:
        is_cut = container.read(data).truncated
    except LuxvoxError:
        return
    assert parts is not None
    assert is_cut or put_together(parts) == data


def test_structured_mutations_get_past_the_checksums():
    """Most of the files are refused for their content, not for a checksum."""
    random, altered, readable = Random(3), 0, 0
    for _ in range(400):
        data = change_fields(random.choice(PICTURES[:12]), ALL, random)
        try:
            container.read(data)
            readable += 1
        except ChecksumError:
            altered += 1
        except LuxvoxError:
            pass
    assert altered < 40
    assert readable > 150


def test_damage_leaves_headers_and_checksums():
    """Most of it is in payloads, and the structure around them can still be followed."""
    random, n_salvaged = Random(5), 0
    for _ in range(200):
        data = random.choice(LEGAL)
        hurt = damage(data, LEGAL, random)
        header_size = container.read_header(data)[1]
        assert hurt[:header_size] == data[:header_size]
        try:
            n_salvaged += bool(container.salvage(hurt)[1])
        except LuxvoxError:
            pass
    assert n_salvaged > 50


def test_mutations_are_repeatable():
    for mutation in (change_bytes, change_fields, damage):
        mutated = [mutation(ALL[n], ALL, Random(n)) for n in range(40)]
        assert mutated == [mutation(ALL[n], ALL, Random(n)) for n in range(40)]


def refuse(data):
    raise FormatError("no")


def crash(data):
    if len(data) == 2:
        raise IndexError("yes")


def hang(data):
    while len(data) == 2:
        pass


@pytest.mark.parametrize(
    ("job", "refused", "crashes", "hangs"), [(refuse, 3, 0, 0), (crash, 0, 1, 0), (hang, 0, 0, 1)]
)
def test_failures_are_counted_and_kept(  # noqa: PLR0917
    job, refused, crashes, hangs, tmp_path, monkeypatch, capfd
):
    inputs = iter([b"abc", b"ab", b"a"])
    target = Target(lambda files, random: next(inputs), job)
    monkeypatch.setattr(run, "TARGETS", {"it": ((b"warm-up",), target)})
    monkeypatch.setattr(run, "HANG_S", 0.05)
    summary = run.fuzz("it", (3, 1e9), 7, tmp_path / "crashes")
    assert [summary[key] for key in ("refused", "crashes", "hangs")] == [refused, crashes, hangs]
    saved = [path.read_bytes() for path in tmp_path.glob("crashes/*")]
    assert saved == [b"ab"] * (crashes + hangs)
