"""Training of pictures end to end, in steps rather than hours."""

import csv
import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from luxvox.errors import InputError, LuxvoxError, UsageError
from luxvox.models.cards import read_card
from luxvox.models.picture.conditions import PictureConfig, Setting
from luxvox.models.picture.networks import PictureModel
from luxvox.models.picture.weights import load_picture_codec
from luxvox.models.training.export import export_run
from luxvox.models.training.picture.parts import PictureParts, load_parts, save_parts
from luxvox.models.training.run import Job, train_model
from luxvox.tests.models.training.picture.conftest import A_STEP, RECIPE


@pytest.fixture
def run(trained_run, tmp_path, small_batches):
    """A copy of a trained run, to continue from."""
    return shutil.copytree(trained_run, tmp_path / "run")


def state_of(run, phase):
    return json.loads((run / f"phase-{phase}.json").read_text())


def test_training_leaves_log_summary_and_finite_figures(trained_run):
    phase = "joint"
    assert state_of(trained_run, phase)["step"] >= 1
    assert state_of(trained_run, "context")["step"] >= 1
    with (trained_run / f"phase-{phase}.csv").open(newline="") as file:
        figures = {row[2]: float(row[3]) for row in csv.reader(file)}
    assert {"val_psnr_psnr_20", "val_eye_bpp_20"} <= figures.keys()
    assert np.isfinite(list(figures.values())).all()
    summary = json.loads((trained_run / f"summary-{phase}.json").read_text())
    assert summary["phase"] == phase
    assert not list(trained_run.glob("*.partial"))


def test_training_resumes(run, folder):
    phase = "joint"
    before = state_of(run, phase)
    minutes = before["elapsed_s"] / 60 + A_STEP
    train_model(RECIPE, Job((folder,), run, minutes, phase, resume=True))
    assert state_of(run, phase)["step"] == before["step"] + 1


def test_resuming_a_finished_phase_changes_nothing(run, folder):
    before = load_file(run / "phase-joint.safetensors")
    train_model(RECIPE, Job((folder,), run, A_STEP, "joint", resume=True))
    after = load_file(run / "phase-joint.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_resumed_run_equals_an_uninterrupted_one(run, folder, monkeypatch):
    """Train several steps at once, or one by one, at a fixed learning rate."""
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 0.1)
    ticks = iter(range(10_000))
    monkeypatch.setattr("luxvox.models.training.loop.time.monotonic", lambda: 2.0 * next(ticks))
    resumed_run = shutil.copytree(run, run.parent / "resumed")
    train_model(RECIPE, Job((folder,), run, 5 / 60, "joint", overwrite=True))
    n_steps = state_of(run, "joint")["step"]
    assert n_steps > 1
    train_model(RECIPE, Job((folder,), resumed_run, A_STEP, "joint", overwrite=True))
    while state_of(resumed_run, "joint")["step"] < n_steps:
        minutes = state_of(resumed_run, "joint")["elapsed_s"] / 60 + A_STEP
        train_model(RECIPE, Job((folder,), resumed_run, minutes, "joint", resume=True))
    at_once, one_by_one = (
        load_file(path / "phase-joint.safetensors") for path in (run, resumed_run)
    )
    assert [n for n in at_once if not torch.equal(at_once[n], one_by_one[n])] == []


def test_the_start_is_deterministic(folder, tmp_path, small_batches):
    parts = []
    for name in ("first", "second"):
        train_model(RECIPE, Job((folder,), tmp_path / name, A_STEP, "start"))
        parts.append(load_file(tmp_path / name / "parts.safetensors"))
    assert all(torch.equal(parts[0][name], parts[1][name]) for name in parts[0])


def test_a_run_starts_from_another_and_counts_its_hours(run, folder, tmp_path):
    (run / "summary-joint.json").write_text(json.dumps({"minutes": 90.0, "threads": 2}))
    for phase in ("context", "tables", "start"):
        (run / f"summary-{phase}.json").unlink()
    train_model(RECIPE, Job((folder,), tmp_path / "new", A_STEP, "start", init=run))
    old, new = (load_file(path / "parts.safetensors") for path in (run, tmp_path / "new"))
    assert all(torch.equal(old[name], new[name]) for name in old)
    path = export_run(tmp_path / "new", tmp_path / "weights", "picture-5")
    training = json.loads(path.read_text())["training"]
    assert training["core_hours"] == 3.0
    assert [phase.get("phase") for phase in training["phases"]] == [None, "start"]
    assert training["phases"][0]["minutes"] == 90.0


def test_a_run_starts_from_exported_weights(run, folder, tmp_path):
    card = export_run(run, tmp_path / "weights", "picture-5")
    train_model(RECIPE, Job((folder,), tmp_path / "new", A_STEP, "start", init=card))
    again = export_run(tmp_path / "new", tmp_path / "again", "picture-5")
    before, after = (load_file(path.with_suffix(".safetensors")) for path in (card, again))
    assert all(torch.equal(before[name], after[name]) for name in before)
    hours = [json.loads(path.read_text())["training"]["core_hours"] for path in (card, again)]
    assert hours[1] >= hours[0]
    phases = [json.loads(path.read_text())["training"]["phases"] for path in (card, again)]
    assert phases[1][: len(phases[0])] == phases[0]


def test_the_card_names_the_only_tuning(run, folder, tmp_path):
    recipe = dataclasses.replace(RECIPE, tune="psnr")
    train_model(recipe, Job((folder,), tmp_path / "new", A_STEP, "start", init=run))
    for phase in ("joint", "tables"):
        train_model(RECIPE, Job((folder,), tmp_path / "new", A_STEP, phase))
    card = read_card(export_run(tmp_path / "new", tmp_path / "weights", "picture-6"))
    assert card.config["tunings"] == ["psnr"]
    assert card.serves("psnr") and not card.serves("eye")


def test_initial_weights_are_deepened(run, folder, tmp_path):
    card = export_run(run, tmp_path / "weights", "picture-5")
    record = json.loads(card.read_text())
    assert record["config"]["analysis_blocks"] == list(PictureConfig().analysis_blocks)

    shallow = dataclasses.replace(PictureConfig(), analysis_blocks=(1, 1, 1, 1))
    torch.manual_seed(0)
    parts = PictureParts(PictureModel(shallow))
    (tmp_path / "shallow").mkdir()
    save_parts(parts, tmp_path / "shallow")
    record = {"config": dataclasses.asdict(shallow), "sources": [], "earlier_core_hours": 0.0}
    (tmp_path / "shallow" / "run.json").write_text(json.dumps(record))

    job = Job((folder,), tmp_path / "new", A_STEP, "start", init=tmp_path / "shallow")
    train_model(dataclasses.replace(RECIPE, deepen=True), job)
    deep = load_parts(tmp_path / "new").model
    assert deep.config == PictureConfig()

    # New blocks change nothing yet.
    pixels = torch.rand(1, 3, 128, 64) * 20 - 10
    at = deep.conditions_at(Setting(20.0))
    with torch.no_grad():
        before, after = (model.latents(pixels, at) for model in (parts.model, deep))
    assert all(torch.equal(before[level], after[level]) for level in before)


def test_a_failed_start_does_not_change_the_run(run, folder, tmp_path):
    def contents():
        return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    before = contents()
    job = Job((folder,), run, A_STEP, "start", init=tmp_path / "typo.json", overwrite=True)
    with pytest.raises(LuxvoxError):
        train_model(RECIPE, job)
    assert contents() == before


def test_a_run_restarted_from_itself_keeps_its_hours(run, folder):
    (run / "summary-joint.json").write_text(json.dumps({"minutes": 90.0, "threads": 2}))
    train_model(RECIPE, Job((folder,), run, A_STEP, "start", init=run, overwrite=True))
    assert json.loads((run / "run.json").read_text())["earlier_core_hours"] == pytest.approx(3.0)


def test_only_initial_weights_can_be_deepened(folder, tmp_path, small_batches):
    with pytest.raises(UsageError, match="only weights to start from can be deepened"):
        train_model(
            dataclasses.replace(RECIPE, deepen=True), Job((folder,), tmp_path, A_STEP, "start")
        )


def test_the_context_phase_trains_only_the_context_model(run, folder, monkeypatch):
    """A few large steps save a tenth of the bits, since the start uses no context."""
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 5.0)
    before = load_file(run / "parts.safetensors")
    ticks = iter(range(10_000))
    monkeypatch.setattr("luxvox.models.training.loop.time.monotonic", lambda: 5.0 * next(ticks))
    train_model(RECIPE, Job((folder,), run, 2.0, "context", overwrite=True))

    after = load_file(run / "parts.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("context.") for name in changed)
    with (run / "phase-context.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[2] == "bpp"]
    first, last = (float(row[3]) for row in (rows[0], rows[-1]))
    assert last < 0.9 * first


def test_a_finished_run_is_not_overwritten(run, folder):
    before = (run / "parts.safetensors").read_bytes()
    with pytest.raises(UsageError, match="holds a run of phase joint; --resume continues it"):
        train_model(RECIPE, Job((folder,), run, A_STEP, "joint"))
    with pytest.raises(UsageError, match="holds a run of phase start, joint, context, tables"):
        train_model(RECIPE, Job((folder,), run, A_STEP))
    assert (run / "parts.safetensors").read_bytes() == before


def test_training_logs_its_work_and_the_next_command(folder, tmp_path, small_batches, caplog):
    with caplog.at_level(logging.INFO, logger="luxvox"):
        train_model(RECIPE, Job((folder,), tmp_path, A_STEP, "start"))
    assert caplog.messages[0] == "reading 6 pictures"
    assert caplog.messages[1].startswith("measuring the linear transform")
    assert caplog.messages[-1].startswith("next: luxvox train image")


def test_exported_weights_can_be_loaded(run, tmp_path):
    path = export_run(run, tmp_path / "weights", "picture-12")
    codec = load_picture_codec(path)
    assert codec.card.number == 12
    assert codec.card.config == json.loads(json.dumps(dataclasses.asdict(codec.model.config)))
    phases = [phase["phase"] for phase in codec.card.extra["training"]["phases"]]
    assert sorted(phases) == ["context", "joint", "start", "tables"]
    assert export_run(run, tmp_path / "again", "picture-12").read_bytes() == path.read_bytes()


def test_exported_tables_equal_the_twins(run, tmp_path):
    codec = load_picture_codec(export_run(run, tmp_path))
    for level, tables in load_parts(run).context.integers().items():
        for name, table in codec.context.tensors[level].items():
            assert torch.equal(table, tables[name])


@pytest.mark.parametrize("model_id", ["picture", "voice-1", "picture-x", "picture-", "-1", "a/b-1"])
def test_export_refuses_other_ids(run, tmp_path, model_id):
    with pytest.raises(InputError, match="not of the form picture-NUMBER"):
        export_run(run, tmp_path / "weights", model_id)
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("model_id", ["picture-65536", "picture-99999"])
def test_export_refuses_numbers_that_do_not_fit_the_header(run, tmp_path, model_id):
    with pytest.raises(InputError, match=r"legal: 0\.\.65535"):
        export_run(run, tmp_path / "weights", model_id)


def test_export_does_not_replace_other_weights(run, tmp_path):
    path = export_run(run, tmp_path)
    assert export_run(run, tmp_path) == path
    altered = path.read_bytes().replace(b'"core_hours": ', b'"core_hours": 9')
    path.write_bytes(altered)
    with pytest.raises(UsageError, match=r"picture-1.json exists; .* --overwrite"):
        export_run(run, tmp_path)
    assert path.read_bytes() == altered
    assert export_run(run, tmp_path, overwrite=True).read_bytes() != altered
    assert not list(tmp_path.glob("*.partial"))


def test_export_of_a_damaged_record_is_refused(run, tmp_path):
    (run / "run.json").write_text("{")
    with pytest.raises(InputError, match="the record of the run cannot be read"):
        export_run(run, tmp_path)


def test_export_names_missing_files(run, tmp_path):
    (run / "parts.safetensors").unlink()
    with pytest.raises(InputError, match=r"parts.safetensors missing; train its phases first"):
        export_run(run, tmp_path / "weights")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"phase": "9"}, "phase '9' is unknown, legal: start, joint, context, tables"),
        ({"minutes": 0.0}, "0 minutes, legal: more than 0"),
        ({"minutes": float("nan")}, "nan minutes, legal: more than 0"),
        ({"phase": "joint"}, "phase joint needs phase start first"),
    ],
)
def test_illegal_requests_are_refused(folder, tmp_path, small_batches, options, words):
    with pytest.raises(UsageError, match=words):
        train_model(RECIPE, Job(**{"data": (folder,), "run": tmp_path, "minutes": 1.0, **options}))


def test_too_few_pictures_are_refused(tmp_path, small_batches):
    Image.new("RGB", (255, 300)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match="no picture of at least 256×256 pixels in"):
        train_model(RECIPE, Job((tmp_path,), tmp_path / "run", A_STEP))
    Image.new("RGB", (256, 256)).save(tmp_path / "large.png")
    with pytest.raises(InputError, match="one picture is not enough"):
        train_model(RECIPE, Job((tmp_path,), tmp_path / "run", A_STEP))
