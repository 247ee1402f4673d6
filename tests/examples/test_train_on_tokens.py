"""The example that trains on tokens: it learns, keeps to the vocabulary, and writes a recording."""

import numpy as np
import pytest
import soundfile
import torch

import luxvox
from luxvox.examples import train_on_tokens as example
from luxvox.tests.evaluate.miniature import speech

VOCABULARY = example.Vocabulary(n_stages=3, codes=16, frames_per_second=50.0, sample_rate_hz=16_000)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of a voice of six seconds."""
    data = luxvox.compress_speech(speech(96_000), 16_000, bitrate=3.0, effort=1)
    (tmp_path / "voice.lvx").write_bytes(data)
    return tmp_path


def tiny():
    torch.manual_seed(0)
    return example.TokenModel(VOCABULARY, width=24, n_layers=1, n_heads=2)


def tokens_of(codes):
    """Return tokens [frames × stages] of codes [frames, stages]."""
    return (torch.as_tensor(codes) + torch.arange(3) * VOCABULARY.codes).flatten()


def test_it_runs_from_files_to_a_recording(folder, capsys):
    out = folder / "sampled.wav"
    words = [str(folder), "--steps", "2", "--stages", "10", "--seconds", "0.1", "--out", str(out)]
    example.main(words)
    samples, rate_hz = soundfile.read(out)
    assert rate_hz == 16_000
    assert len(samples) == pytest.approx(1.1 * 16_000, rel=0.02)
    output = capsys.readouterr().err
    assert "1 voices" in output
    assert "by their counts alone" in output
    assert "2 steps: " in output


def test_it_learns():
    sequence = tokens_of([[k % 5 + 1, k % 7 + 1, k % 3 + 1] for k in range(1000)])
    learned, held_back = example.split([sequence], VOCABULARY.n_stages)
    with pytest.raises(ValueError, match="legal: more than"):
        example.split([sequence[:300]], VOCABULARY.n_stages)
    model = tiny()
    before = example.bits_per_token(model, torch.cat([held_back, learned[:300]]))
    assert before == pytest.approx(4.0, abs=0.1)  # 16 codes, of which it knows nothing
    assert example.train(model, learned, learned[:600], 5.0, 60) == 60
    assert example.bits_per_token(model, learned[:600]) < 2.5


def test_counts_alone_are_a_measure_to_beat():
    learned = tokens_of([[1, 2, k % 16] for k in range(16_000)])
    held_back = tokens_of([[1, 2, k % 16] for k in range(160)])
    bits = example.bits_by_counts(learned, held_back, VOCABULARY)
    # One stage has sixteen equally likely codes, the other two have a single one.
    assert bits == pytest.approx(4.0 / 3.0, abs=0.01)
    surprise = tokens_of([[2, 2, 0]])
    assert example.bits_by_counts(learned, surprise, VOCABULARY) > 5.0


def test_it_sees_no_future_token():
    model, sequence = tiny(), tokens_of(torch.randint(1, 16, (20, 3)))
    changed = sequence.clone()
    changed[30] = (changed[30] + 1) % 16
    logits, changed_logits = model(sequence[None])[0], model(changed[None])[0]
    assert torch.allclose(logits[:30], changed_logits[:30])
    assert not torch.allclose(logits[30:], changed_logits[30:])


def test_samples_keep_to_their_stages_and_end_frames():
    prompt = tokens_of([[1, 2, 3]] * 50)
    sequence = example.sample(tiny(), prompt, 60)
    assert torch.equal(sequence[: len(prompt)], prompt)
    frames = sequence.view(-1, 3)
    codes = (frames - torch.arange(3) * VOCABULARY.codes).numpy()
    assert len(codes) == 110
    assert codes.min() >= 0
    assert codes.max() < VOCABULARY.codes
    assert (codes == 0).any()
    ended = np.maximum.accumulate(codes == 0, axis=1)
    assert not codes[ended].any()


def test_more_stages_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"legal: 1\.\."):
        example.Vocabulary.of_voices(1000)
