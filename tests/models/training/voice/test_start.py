"""Voice training that starts from earlier weights or runs, and the changes made to them."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from luxvox.errors import InputError
from luxvox.models.training.export import export_run
from luxvox.models.training.voice import phases
from luxvox.models.training.voice.data import Recordings
from luxvox.models.voice.spectra import spectrum
from luxvox.models.voice.weights import load_voice_codec
from luxvox.tests.models.training.voice.conftest import A_STEP, TINY, train_as


def test_exported_weights_can_be_trained_further(run, voices, tmp_path):
    path = export_run(run, tmp_path / "weights", "voice-7")
    codec = load_voice_codec(path)
    assert codec.card.number == 7
    phase_names = [phase["phase"] for phase in codec.card.extra["training"]["phases"]]
    assert phase_names == ["start", "joint", "synthesis", "context"]
    train_as(voices, tmp_path / "next", A_STEP, "start", init=path)
    kept = load_file(tmp_path / "next" / "model.safetensors")
    state = codec.model.state_dict()
    assert all(torch.equal(kept[name], state[name]) for name in kept)
    again = export_run(tmp_path / "next", tmp_path / "again", "voice-7")
    assert load_voice_codec(again).fingerprint == codec.fingerprint


def test_weights_grow_wide_paths_that_train(run, voices, tmp_path):
    """From another run's folder; without `widen` the networks do not change."""
    wide = dataclasses.replace(
        TINY, wide_width=8, wide_analysis=(1,), wide_synthesis=(2,), fine_width=4, fine=(1,)
    )
    before = phases.load_speech_model(run).state_dict()
    train_as(voices, tmp_path / "same", A_STEP, "start", init=run)
    same = load_file(tmp_path / "same" / "model.safetensors")
    assert all(torch.equal(same[name], before[name]) for name in before) and len(same) == len(
        before
    )
    out = tmp_path / "wide"
    train_as(voices, out, A_STEP, "start", init=run, widen=True, config=wide)
    grown = load_file(out / "model.safetensors")
    assert all(torch.equal(grown[name], before[name]) for name in before)
    train_as(voices, out, A_STEP, "joint", bfloat16=True, config=wide)
    trained = load_file(out / "phase-joint.safetensors")
    for name in ("wide_analysis", "wide_synthesis", "fine"):
        assert trained[f"live/{name}.leave.weight"].any()
    deeper = dataclasses.replace(wide, wide_synthesis=(2, 1), fine=(1, 2, 1))
    assert_new_blocks_change_nothing(out, tmp_path / "deep", voices, deeper)
    train_as(voices, out, A_STEP, "context")
    codec = load_voice_codec(export_run(out, tmp_path / "weights", "voice-8"))
    assert codec.model.config.wide_width == 8


def assert_new_blocks_change_nothing(trained, out, voices, config):
    """Add blocks to a trained run, and compare what it decodes before they learn."""
    train_as(voices, out, A_STEP, "start", init=trained, widen=True, config=config)
    before, after = phases.load_speech_model(trained), phases.load_speech_model(out)
    assert (len(after.wide_synthesis.blocks), len(after.fine.blocks)) == (2, 3)
    latents = 4.0 * torch.randn(1, TINY.n_channels, 1, 30, generator=torch.Generator())
    with torch.no_grad():
        assert torch.equal(after.samples(latents), before.samples(latents))


@pytest.mark.parametrize("stages", [5, 7])
def test_the_number_of_stages_can_change(run, voices, tmp_path, stages):
    path = export_run(run, tmp_path / "weights", "voice-7")
    tensor_path = path.with_suffix(".safetensors")
    out = tmp_path / "next"
    train_as(voices, out, A_STEP, "start", init=tensor_path, stages=stages)
    before, after = load_voice_codec(path).model, phases.load_speech_model(out)
    assert after.config.n_stages == len(after.vq.codebooks) == stages
    kept = TINY.n_stages * 3 // 5
    assert torch.equal(after.vq.codebooks[:kept], before.vq.codebooks[:kept])
    latents = before.latents(spectrum(Recordings([voices]).whole(0)[None]))
    finest = -torch.ones(1)
    errors = []
    for n in range(stages + 1):
        codes = after.vq.encode(latents, finest, 0.0)
        errors.append(float((after.vq.decode(codes, n) - latents).square().sum()))
    assert errors == sorted(errors, reverse=True)
    train_as(voices, out, A_STEP, "context")
    again = load_voice_codec(export_run(out, tmp_path / "weights", "voice-8"))
    assert again.context.plan[0].n_stages == stages


def test_equalised_latents_decode_as_before(run, voices, tmp_path):
    """The networks compute the same in another basis; codebooks and reference are converted."""
    out = tmp_path / "equal"
    train_as(voices, out, A_STEP, "start", init=run, equalise=True)
    before, after = phases.load_speech_model(run), phases.load_speech_model(out)
    samples = torch.randn(1, 320 * 40, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        compressed = spectrum(samples)
        old_latents, new_latents = before.latents(compressed), after.latents(compressed)
        assert not torch.allclose(new_latents, old_latents, rtol=0.01)
        decoded, expected = after.samples(new_latents), before.samples(old_latents)
    assert torch.allclose(decoded, expected, atol=1e-3 * float(expected.abs().max()))
    assert not torch.equal(after.vq.codebooks, before.vq.codebooks)
    assert not after.vq.codebooks[:, :, 0].any()


def test_a_run_can_restart_from_itself(run, voices):
    before = load_file(run / "context.safetensors")
    train_as(voices, run, A_STEP, "start", init=run)
    after = load_file(run / "context.safetensors")
    assert before.keys() == after.keys()
    (run / "context.safetensors").unlink()
    with pytest.raises(InputError, match="no context model yet"):
        train_as(voices, run, A_STEP, "start", init=run)
    assert (run / "model.safetensors").exists()
