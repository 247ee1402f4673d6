"""Voice training end to end, in steps rather than hours: phases, resumes, export, losses."""

import csv
import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from luxvox import cli
from luxvox.codec.effort import DEFAULT_EFFORT, VOICE_WORK
from luxvox.errors import InputError, ModelError, UsageError
from luxvox.models.training.export import export_run, training_record
from luxvox.models.training.voice import data as recordings
from luxvox.models.training.voice import (
    phases,
    stored_codes,
    synthesis_phase,
    train,
)
from luxvox.models.training.voice.data import Recordings
from luxvox.models.training.voice.stored_codes import StoredCodes, store_speech_codes
from luxvox.models.training.voice.train import VoiceRecipe
from luxvox.models.voice import correction
from luxvox.models.voice.distance_weights import FOR_TRAINING
from luxvox.models.voice.weights import context_level, load_voice_codec, round_codebooks
from luxvox.tests.models.training.voice.conftest import (
    A_STEP,
    TINY,
    train_as,
    use_tiny_sizes,
    voice,
)


def steps_of(run, phase):
    return json.loads((run / f"phase-{phase}.json").read_text())["step"]


def test_every_phase_writes_its_files(trained):
    for phase in ("context", "synthesis", "joint"):
        assert steps_of(trained, phase) == 1
        with (trained / f"phase-{phase}.csv").open(newline="") as file:
            figures = {row[2]: float(row[3]) for row in csv.reader(file)}
        assert figures and np.isfinite(list(figures.values())).all()
    assert list((trained / "phase-joint").glob("*.wav")) and list(
        (trained / "phase-joint").glob("*.png")
    )
    assert not list(trained.glob("*.partial"))


@pytest.mark.parametrize("phase", ["context", "synthesis", "joint"])
def test_each_phase_resumes(run, voices, phase):
    elapsed_min = json.loads((run / f"phase-{phase}.json").read_text())["elapsed_s"] / 60
    train_as(voices, run, elapsed_min + A_STEP, phase, resume=True)
    assert steps_of(run, phase) == 2
    tensors = load_file(run / f"phase-{phase}.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.parametrize("phase", ["joint", "synthesis"])
def test_a_resumed_run_equals_an_uninterrupted_one(run, voices, monkeypatch, phase):
    """Train several steps at once, or one by one; compare codebooks and crops of the batch, too."""
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 0.1)
    ticks = iter(range(10_000))
    monkeypatch.setattr("luxvox.models.training.loop.time.monotonic", lambda: 2.0 * next(ticks))
    resumed_run = shutil.copytree(run, run.parent / "resumed")
    train_as(voices, run, 5 / 60, phase)
    n_steps = steps_of(run, phase)
    at_once = load_file(run / f"phase-{phase}.safetensors")
    assert n_steps > 1
    train_as(voices, resumed_run, A_STEP, phase)
    while steps_of(resumed_run, phase) < n_steps:
        elapsed_s = json.loads((resumed_run / f"phase-{phase}.json").read_text())["elapsed_s"]
        train_as(voices, resumed_run, elapsed_s / 60 + A_STEP, phase, resume=True)
    one_by_one = load_file(resumed_run / f"phase-{phase}.safetensors")
    assert [name for name in at_once if not torch.equal(at_once[name], one_by_one[name])] == []


def test_the_synthesis_phase_does_not_change_the_analysis(run, voices, monkeypatch):
    """It trains the synthesis and the codewords, except null."""
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 1.0)
    before = load_file(run / "model.safetensors")
    train_as(voices, run, A_STEP, "synthesis")
    after = load_file(run / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} <= {"synthesis", "up", "vq"}
    assert "vq.codebooks" in changed and "vq.bits" not in changed
    assert not after["vq.codebooks"][:, :, 0].any()


def test_kept_codebooks_leave_codes_their_meaning(run, voices, monkeypatch):
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 1.0)
    before = phases.load_speech_model(run).state_dict()
    train_as(voices, run, A_STEP, "synthesis", keep_codebooks=True)
    after = load_file(run / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"synthesis", "up"}


def test_weights_move_as_far_as_the_learning_rate(run, voices, monkeypatch):
    """The first step of Adam is as long as the rate in every weight that has a gradient."""
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 1.0)
    monkeypatch.setattr("luxvox.models.training.loop.EMA_DECAY", 0.0)
    before = load_file(run / "model.safetensors")["up"]
    train_as(voices, run, A_STEP, "synthesis", learning_rate=0.125)
    moved = (load_file(run / "model.safetensors")["up"] - before).abs()
    assert float(moved.median()) == pytest.approx(0.125, rel=0.01)


def test_a_resume_takes_the_options_of_the_beginning(run, voices):
    train_as(voices, run, A_STEP, "synthesis", keep_codebooks=True, learning_rate=0.001)
    options = {"resume": True, "keep_codebooks": True, "learning_rate": 0.001}
    train_as(voices, run, 1.0 / 60.0, "synthesis", **options)
    assert steps_of(run, "synthesis") > 1
    with pytest.raises(UsageError, match="trained other tensors until now"):
        train_as(voices, run, 1.0, "synthesis", **{**options, "keep_codebooks": False})
    with pytest.raises(UsageError, match=r"began with a learning rate of 0\.001"):
        train_as(voices, run, 1.0, "synthesis", **{**options, "learning_rate": 0.002})


def test_crops_are_corrected_as_in_the_encoder(run, voices, monkeypatch):
    """Correct one crop for fixed networks, as often as the default effort does, by the same steps.

    Only the weights of distances differ, so this test makes them equal.
    """
    monkeypatch.setattr(correction, "FOR_CORRECTION", FOR_TRAINING)
    monkeypatch.setattr(synthesis_phase, "BATCH", 1)
    monkeypatch.setattr(synthesis_phase, "SHIFTS", 1)
    monkeypatch.setattr(correction, "has_bfloat16", lambda: False)
    model = phases.load_speech_model(run)
    training, held_back = Recordings([voices]).split(3)
    phase = synthesis_phase.SpeechSynthesisPhase(model, training, held_back)

    for step in range(synthesis_phase.TIMES):
        loss, _ = phase.loss(torch.Generator().manual_seed(step))
        loss.backward()
        if step == 0:
            samples, latents, power = (
                x[0].clone() for x in (phase.samples, phase.latents, phase.power)
            )

    depths = model.depths_of_powers(power.numpy(), float(phase.log_step))
    n_corrections = VOICE_WORK[DEFAULT_EFFORT].n_corrections
    model.requires_grad_(False)
    expected = correction.correct_latents(model, latents, samples, depths, n_corrections)
    assert not torch.equal(expected.latents, latents)
    assert torch.allclose(phase.latents[0], expected.latents, atol=1e-3)


def test_codes_are_chosen_with_a_context_model_that_saves_bits(run, voices, monkeypatch):
    """A second context phase uses the model of the first, unless that would need more bits."""
    contexts = []

    def watch(*args):
        contexts.append(args[-1])
        store_speech_codes(*args)

    monkeypatch.setattr(train, "store_speech_codes", watch)
    train_as(voices, run, A_STEP, "context")
    assert len(contexts) == 2 and all(contexts)
    elapsed_min = json.loads((run / "phase-context.json").read_text())["elapsed_s"] / 60
    train_as(voices, run, elapsed_min + A_STEP, "context", resume=True)
    assert len(contexts) == 2

    # A context model of other codebooks is as bad as a random one.
    path = run / "context.safetensors"
    generator = torch.Generator().manual_seed(1)
    tensors = load_file(path)
    noisy = {n: t + 4 * torch.randn(t.shape, generator=generator) for n, t in tensors.items()}
    save_file(noisy, path)
    train_as(voices, run, A_STEP, "context")
    assert contexts[2:] == [None, None]


def test_half_of_a_batch_holds_corrected_codes(run, voices, tmp_path, monkeypatch):
    """The rest of the recordings is stored with the nearest codewords, at any rate."""
    monkeypatch.setattr(stored_codes, "MAX_CORRECTED_S", 0.0)
    model = phases.load_speech_model(run)
    store_speech_codes(model, Recordings([voices]), tmp_path / "codes", 1)
    arrays = {path.stem: np.load(path) for path in (tmp_path / "codes").glob("*.npy")}
    assert 0 < arrays["corrected"].sum() < len(arrays["corrected"])
    starts = np.flatnonzero(arrays["starts"])

    def starts_of(piece):
        """Find a piece, cut or whole, among the stored codes."""
        return [s for s in starts if not np.any(piece * (piece != arrays["codes"][s:][:128]))]

    stored, drawn_log_steps = StoredCodes(model, tmp_path / "codes"), set()
    for seed in range(5):
        pieces, log_steps = stored.draw(2, torch.Generator().manual_seed(seed))
        first, second = (starts_of(piece.T) for piece in pieces)
        assert any(arrays["corrected"][start] for start in first)
        assert any(not arrays["corrected"][start] for start in second)
        drawn_log_steps.add(int(log_steps[1]))
    assert len(drawn_log_steps) == 5


def test_the_card_counts_core_hours(run):
    for name, minutes, threads in (
        ("start", 9.0, 2),
        ("context", 12.0, 1),
        ("synthesis", 0.0, 1),
        ("joint", 0.0, 4),
    ):
        path = run / f"summary-{name}.json"
        summary = json.loads(path.read_text())
        assert summary["minutes"] >= 0.0 and summary["threads"] == torch.get_num_threads()
        path.write_text(json.dumps({**summary, "minutes": minutes, "threads": threads}))
    training = training_record(run)["training"]
    assert isinstance(training, dict) and training["core_hours"] == 0.5


def test_altered_weights_are_refused(run, tmp_path):
    path = export_run(run, tmp_path, "voice-7")
    weights = path.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(Exception, match="SHA-256"):
        load_voice_codec(path)


ILLEGAL_CODEWORDS = {
    "shifted too far": ({"exponents": lambda t: t.fill_(9)}, "an exponent above 8"),
    "−128": ({"codewords": lambda t: t.fill_(-128)}, "a codeword below −127"),
    "a bias": ({"exponents": lambda t: t.to(torch.int8)}, "legal: int8 .*, uint8"),
    "of one stage": ({"exponents": lambda t: t[:1]}, "legal: int8 .*, uint8"),
    "of 16 bits": ({"codewords": lambda t: t.to(torch.int16)}, "legal: int8 .*, uint8"),
}


@pytest.mark.parametrize(
    ("changes", "message"), ILLEGAL_CODEWORDS.values(), ids=list(ILLEGAL_CODEWORDS)
)
def test_illegal_codewords_are_refused(run, tmp_path, changes, message):
    path = export_run(run, tmp_path, "voice-7")
    model = load_voice_codec(path).model
    tensors = load_file(path.with_suffix(".safetensors"))
    for name, change in changes.items():
        key = f"context.frames.{name}"
        tensors[key] = change(tensors[key])
    with pytest.raises(ModelError, match=message):
        context_level(model, tensors)


@given(st.integers(0, 1 << 32), st.floats(1e-3, 1e4), st.sampled_from([(1, 1, 2, 1), (3, 1, 9, 5)]))
def test_rounding_codebooks_twice_changes_nothing(seed, size, shape):
    generator = torch.Generator().manual_seed(seed)
    books = torch.randn(shape, generator=generator) * size
    books = (
        books * 2.0 ** torch.randint(-4, 5, (shape[0], 1, 1, shape[3]), generator=generator)
    ).clamp(-2000.0, 2000.0)
    rounded = round_codebooks(books)
    largest = books.abs().amax(2, keepdim=True)
    assert ((rounded - books).abs() <= largest / 120.0 + 1 / 32).all()
    assert torch.equal(round_codebooks(rounded), rounded)


def test_train_and_export_print_json(run, voices, tmp_path, monkeypatch, capsys):
    """`train` prints the record of the run, `export` the model card."""
    tiny = functools.partial(VoiceRecipe, config=TINY, held_back=3)
    monkeypatch.setattr(train, "VoiceRecipe", tiny)
    words = ["--data", str(voices), "--out", str(tmp_path / "new"), "--minutes", "1e-6"]
    assert cli.run(["train", "speech", *words, "--phase", "start", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["run"] == str(tmp_path / "new")
    assert [phase["phase"] for phase in record["training"]["phases"]] == ["start"]

    words = ["--weights-dir", str(tmp_path / "weights"), "--json"]
    assert cli.run(["train", "export", str(run), *words]) == 0
    card = json.loads(capsys.readouterr().out)
    path = Path(card.pop("card"))
    assert card == json.loads(path.read_text("utf-8")) and card["kind"] == "voice"


@pytest.mark.parametrize("model_id", ["voice", "picture-1", "voice-x"])
def test_export_refuses_other_ids(run, tmp_path, model_id):
    with pytest.raises(InputError, match="not of the form voice-NUMBER"):
        export_run(run, tmp_path / "weights", model_id)


def test_a_finished_run_is_kept(run, voices):
    before = (run / "model.safetensors").read_bytes()
    for phase in (None, "start"):
        with pytest.raises(UsageError, match=r"holds a run of phase .*--overwrite"):
            train_as(voices, run, A_STEP, phase, overwrite=False)
    assert (run / "model.safetensors").read_bytes() == before
    train_as(voices, run, A_STEP, "start", overwrite=True)
    assert not (run / "summary-joint.json").exists()


def test_refusals(voices, tmp_path, monkeypatch):
    use_tiny_sizes(monkeypatch)
    with pytest.raises(UsageError, match="legal: start, joint, synthesis, context"):
        train_as(voices, tmp_path / "a", 1.0, "4")
    with pytest.raises(UsageError, match="legal: more than 0"):
        train_as(voices, tmp_path / "a", float("nan"))
    with pytest.raises(UsageError, match="needs phase start first"):
        train_as(voices, tmp_path / "a", 1.0, "joint")
    with pytest.raises(UsageError, match="need weights to start from"):
        train_as(voices, tmp_path / "a", 1.0, stages=8)
    with pytest.raises(UsageError, match="only phase synthesis can keep the codebooks"):
        train_as(voices, tmp_path / "a", 1.0, keep_codebooks=True)
    with pytest.raises(UsageError, match="name it with --phase"):
        train_as(voices, tmp_path / "a", 1.0, learning_rate=1e-4)
    with pytest.raises(UsageError, match="phase start has no learning rate"):
        train_as(voices, tmp_path / "a", 1.0, "start", learning_rate=1e-4)
    with pytest.raises(UsageError, match="learning rate 0, legal: more than 0"):
        train_as(voices, tmp_path / "a", 1.0, "joint", learning_rate=0.0)
    with pytest.raises(UsageError, match="3 stages, legal: 4..60"):
        train_as(voices, tmp_path / "a", 1.0, init=tmp_path, stages=3)
    with pytest.raises(InputError, match="no recording"):
        train_as(tmp_path, tmp_path / "a", 1.0)
    soundfile.write(tmp_path / "fast.wav", voice(64_000, 1), 44_100)
    with pytest.raises(InputError, match="44100 Hz, training needs 16000"):
        train_as(tmp_path, tmp_path / "a", 1.0)


def test_crops_are_deterministic_and_near_the_common_level(voices):
    data = recordings.Recordings([voices])
    first, second = (data.crops(4, 75, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (4, 75 * 320)
    assert 0.01 < float(first.square().mean().sqrt()) < 0.5


def test_rooms_and_their_noise():
    generator = torch.Generator().manual_seed(0)
    click = torch.zeros(16_000)
    click[0] = 1.0
    for _ in range(20):
        reverberant = recordings._reverberant(click, generator)
        tail = reverberant[1:].square()
        low, high = (10.0 ** (decibels / 10.0) for decibels in recordings.ROOM_DB)
        assert float(reverberant[0]) == pytest.approx(1.0, abs=1e-4)
        assert 0.9 * low < float(tail.sum()) < 1.1 * high
        assert float(tail[:800].sum()) > 10.0 * float(tail[8_000:].sum())
        noise = recordings._room_noise(16_000, generator)
        assert float(noise.square().mean()) == pytest.approx(1.0, abs=1e-3)
