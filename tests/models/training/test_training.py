"""Training end to end, in steps rather than hours: phases, resumes, export, refusals."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from luxvox.errors import InputError, UsageError
from luxvox.models.catalogue import load_picture_codec
from luxvox.models.context import picture_twins
from luxvox.models.image import LEVELS, ImageConfig
from luxvox.models.training.context_phase import load_context
from luxvox.models.training.data import Pictures, crop, to_units
from luxvox.models.training.export import export_run, sources
from luxvox.models.training.image import PHASES, train_image
from luxvox.models.training.initialise import random_steps, static_bits
from luxvox.models.training.loop import training_command
from luxvox.models.training.losses import distortion, psnr

A_STEP = 1e-6  # minutes


@pytest.fixture
def run(tiny_run, tmp_path, tiny_sizes):
    """A copy of a trained run, to go on from."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def steps_of(run, phase):
    return json.loads((run / f"phase-{phase}.json").read_text())["step"]


def test_all_phases_leave_their_parts(tiny_run):
    for name in ("analysis", "synthesis", "context"):
        assert (tiny_run / f"{name}.safetensors").exists()
    for phase in ("1", "2", "4"):
        assert steps_of(tiny_run, phase) >= 1
        with (tiny_run / f"phase-{phase}.csv").open(newline="") as file:
            figures = {row[2]: float(row[3]) for row in csv.reader(file)}
        assert figures and np.isfinite(list(figures.values())).all()
        summary = json.loads((tiny_run / f"summary-{phase}.json").read_text())
        assert summary["phase"] == phase
    assert not list(tiny_run.glob("*.partial"))


def test_reconstructions_are_pictures(tiny_run):
    pictures = list((tiny_run / "phase-2").glob("*.png"))
    assert pictures
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.mode == "RGB"


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase != "0"])
def test_each_phase_trains_and_resumes(run, photographs, phase):
    (run / f"phase-{phase}.json").unlink(missing_ok=True)
    train_image([photographs], run, A_STEP, phase)
    assert steps_of(run, phase) == 1
    elapsed_min = json.loads((run / f"phase-{phase}.json").read_text())["elapsed_s"] / 60
    train_image([photographs], run, elapsed_min + A_STEP, phase, resume=True)
    assert steps_of(run, phase) == 2
    tensors = load_file(run / f"phase-{phase}.safetensors")
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_time_that_is_spent_is_not_spent_again(run, photographs):
    train_image([photographs], run, A_STEP, "1")
    before = load_file(run / "phase-1.safetensors")
    train_image([photographs], run, A_STEP, "1", resume=True)
    assert steps_of(run, "1") == 1
    after = load_file(run / "phase-1.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("phase", ["1", "4"])
def test_a_resumed_run_is_the_run_that_never_stopped(run, photographs, monkeypatch, phase):
    """Some steps at once, or one by one: the schedule of the learning rate set aside."""
    monkeypatch.setattr("luxvox.models.training.loop._schedule", lambda step, share: 0.1)
    ticks = iter(range(10_000))
    monkeypatch.setattr("luxvox.models.training.loop.time.monotonic", lambda: 2.0 * next(ticks))
    other = shutil.copytree(run, run.parent / "other")
    train_image([photographs], run, 5 / 60, phase)
    n_steps = steps_of(run, phase)
    at_once = load_file(run / f"phase-{phase}.safetensors")
    assert n_steps > 1
    train_image([photographs], other, A_STEP, phase)
    while steps_of(other, phase) < n_steps:
        elapsed_s = json.loads((other / f"phase-{phase}.json").read_text())["elapsed_s"]
        train_image([photographs], other, elapsed_s / 60 + A_STEP, phase, resume=True)
    bit_by_bit = load_file(other / f"phase-{phase}.safetensors")
    assert [name for name in at_once if not torch.equal(at_once[name], bit_by_bit[name])] == []


def test_phase_0_is_deterministic(photographs, tmp_path, tiny_sizes):
    for name in ("one", "two"):
        train_image([photographs], tmp_path / name, A_STEP, "0")
    for part in ("analysis", "synthesis"):
        one, two = (load_file(tmp_path / name / f"{part}.safetensors") for name in ("one", "two"))
        assert all(torch.equal(one[name], two[name]) for name in one)
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["config"]["codebook_size"] == 16


def test_training_starts_from_weights(tiny_weights, photographs, tmp_path, tiny_sizes):
    train_image([photographs], tmp_path, A_STEP, "0", init=tiny_weights)
    state = load_picture_codec(tiny_weights).model.state_dict()
    kept = load_file(tmp_path / "analysis.safetensors")
    assert all(torch.equal(kept[name], state[name]) for name in kept)


def test_export_writes_what_loads(run, tmp_path):
    path = export_run(run, tmp_path / "weights", "picture-12")
    assert path == tmp_path / "weights" / "picture-12.json"
    codec = load_picture_codec(path)
    assert codec.card.number == 12
    assert codec.card.config == json.loads(json.dumps(dataclasses.asdict(codec.model.config)))
    record = codec.card.extra
    assert [phase["phase"] for phase in record["training"]["phases"]] == ["0", "1", "2", "4"]
    assert record["licence"] == "MIT"
    again = export_run(run, tmp_path / "again", "picture-12")
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("model_id", ["picture", "voice-1", "picture-x", "picture-", "-1", "a/b-1"])
def test_export_refuses_other_ids(run, tmp_path, model_id):
    with pytest.raises(InputError, match="not of the form picture-NUMBER"):
        export_run(run, tmp_path / "weights", model_id)
    assert not (tmp_path / "weights").exists()


def test_export_names_what_is_missing(run, tmp_path):
    (run / "context.safetensors").unlink()
    with pytest.raises(InputError, match="context.safetensors missing; train its phases first"):
        export_run(run, tmp_path / "weights")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"phase": "9"}, "phase '9' is unknown, legal: 0, 1"),
        ({"minutes": 0.0}, "0 minutes, legal: more than 0"),
        ({"minutes": float("nan")}, "nan minutes, legal: more than 0"),
        ({"phase": "1"}, "phase 1 needs phase 0 first"),
    ],
)
def test_illegal_requests_are_refused(photographs, tmp_path, tiny_sizes, options, words):
    with pytest.raises(UsageError, match=words):
        train_image(**{"data": [photographs], "out": tmp_path, "minutes": 1.0, **options})


def test_phase_4_needs_phase_1(run, photographs):
    (run / "context.safetensors").unlink()
    with pytest.raises(UsageError, match="phase 4 needs phase 1 first"):
        train_image([photographs], run, A_STEP, "4")


def folder_of(tmp_path, *sizes):
    for number, size in enumerate(sizes):
        Image.new("RGB", size, (number, 90, 200)).save(tmp_path / f"{number}.png")
    return tmp_path


def test_no_pictures_are_refused(tmp_path, tiny_sizes):
    with pytest.raises(InputError, match="no picture of at least 256×256 pixels in"):
        train_image([folder_of(tmp_path, (255, 300))], tmp_path / "run", A_STEP)


def test_one_picture_is_refused(tmp_path, tiny_sizes):
    with pytest.raises(InputError, match="one picture is not enough"):
        train_image([folder_of(tmp_path, (256, 256))], tmp_path / "run", A_STEP)


def test_pictures_too_small_for_the_context_model_are_refused(run, photographs, monkeypatch):
    shutil.rmtree(run / "codes-held-back")
    monkeypatch.setattr(
        "luxvox.models.training.context_phase.SHAPES", {"wide": (256, 2000), "tall": (2000, 256)}
    )
    with pytest.raises(InputError, match="no picture of at least 2000×256 or 256×2000 pixels"):
        train_image([photographs], run, A_STEP, "1")


def test_junk_among_the_pictures_is_named(tmp_path):
    folder_of(tmp_path, (256, 256))
    (tmp_path / "junk.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="junk.png"):
        Pictures([tmp_path])


def test_pictures_are_split(photographs):
    pictures = Pictures([photographs])
    assert len(pictures) == 6
    training, held_back = pictures.split(3)
    assert (len(training), len(held_back)) == (4, 2)


def test_crops_are_parts_of_pictures():
    picture = torch.arange(3 * 20 * 30, dtype=torch.int64).reshape(3, 20, 30).remainder(251)
    picture = picture.to(torch.uint8)
    windows = picture.unfold(1, 5, 1).unfold(2, 7, 1).permute(1, 2, 0, 3, 4).reshape(-1, 3, 5, 7)
    legal = to_units(torch.cat([windows, windows.flip(3)]))
    for seed in range(20):
        part = crop(picture, 5, 7, torch.Generator().manual_seed(seed))
        assert (part == legal).flatten(1).all(1).any()


def test_steps_cover_the_range():
    config = ImageConfig()
    steps = random_steps(64, config, torch.Generator().manual_seed(1)).sort().values
    assert steps[0] >= config.finest_step and steps[-1] <= config.coarsest_step
    assert steps.log().diff().max() < 2.1 * np.log(config.coarsest_step / config.finest_step) / 64


def test_static_bits_are_costs():
    choice = torch.tensor([0, 0, 0, 1, 2, 0])
    bits = static_bits(choice, torch.tensor([0, 0, 1, 1, 7, 7]), 4)
    assert bits.shape == (8, 4)
    assert torch.allclose(torch.exp2(-bits).sum(1), torch.ones(8), atol=1e-5)
    assert (bits[:, 0] < bits[:, 3]).all()


def test_losses():
    pixels = torch.zeros(2, 3, 4, 4)
    decoded = pixels + torch.tensor([1.0, 2.0])[:, None, None, None]
    assert psnr(decoded, pixels).tolist() == pytest.approx([30.07, 24.05], abs=0.01)
    step = torch.tensor([8.0, 16.0])
    assert float(distortion(decoded, pixels, step)) == pytest.approx((1 + 4 / 2**1.3) / 2)


def test_commands_are_kept_without_folders():
    words = ["/somewhere/luxvox", "train", "image", "--data", "/data/a b", "--minutes", "3"]
    assert training_command(words) == "luxvox train image --data 'a b' --minutes 3"


def test_sources_are_counted(tmp_path):
    rows = ["file\tsource\tlicence_as_stated", "a\tNASA\tpublic domain", "b\tNASA\tpublic domain"]
    (tmp_path / "SOURCES.tsv").write_text("\n".join([*rows, "c\tone\tCC0"]) + "\n")
    assert sources([tmp_path, tmp_path / "none"], "pictures") == [
        {"source": "NASA", "licence": "public domain", "pictures": 2},
        {"source": "one", "licence": "CC0", "pictures": 1},
    ]


def test_exported_tables_are_those_of_the_twins(run, tmp_path):
    codec = load_picture_codec(export_run(run, tmp_path))
    twins = picture_twins(codec.model)
    load_context(twins, run)
    for level in LEVELS:
        tables = twins.runtime_level(level).tensors
        for name, table in codec.context.levels[level].tensors.items():
            assert torch.equal(table, tables[name])
