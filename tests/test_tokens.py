"""Codes become tokens and come back; data sets read files on demand."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import luxvox
from luxvox import tokens
from luxvox.errors import UsageError
from luxvox.models.cards import use_weights

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "eileen_collins.png"
TINY = Path(__file__).resolve().parent / "golden" / "weights"

loose: Any = tokens  # some calls are wrong on purpose


def codes_of(data: bytes) -> Any:
    return luxvox.codes(data)


@pytest.fixture(scope="module")
def picture_file():
    with Image.open(EXAMPLE) as image:
        return luxvox.compress_image(np.asarray(image.convert("RGB"))[:128, :192], 40)


@pytest.fixture(scope="module")
def voice_file():
    samples = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    return luxvox.compress_speech(samples, 16000, quality=40, effort=1)


def test_pictures_come_back_from_their_codes(picture_file):
    codes = codes_of(picture_file)
    pixels = luxvox.from_codes(codes, quality=40)
    assert np.array_equal(pixels, luxvox.decompress_image(picture_file))
    preview = luxvox.from_codes({"apex": codes["apex"], "top": codes["top"]}, quality=40)
    assert preview.shape == (128, 192, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda codes: {"top": codes["top"]}, "legal: apex"),
        (lambda codes: {**codes, "top": codes["top"][1:]}, "top of int16"),
        (lambda codes: {**codes, "base": codes["base"] * 1.5}, "base of float"),
        (lambda codes: {**codes, "apex": codes["apex"].astype(np.int64) + 40000}, "out of range"),
    ],
)
def test_illegal_codes_of_pictures_are_refused(picture_file, change, message):
    with pytest.raises(UsageError, match=message):
        luxvox.from_codes(change(codes_of(picture_file)), quality=40)


def test_quality_is_for_pictures(picture_file, voice_file):
    with pytest.raises(UsageError, match="need the quality"):
        luxvox.from_codes(codes_of(picture_file))
    with pytest.raises(UsageError, match="of a voice"):
        luxvox.from_codes(codes_of(voice_file), quality=40)


def test_tokens_of_voices(voice_file):
    codes = codes_of(voice_file)
    sequence = tokens.flatten_voice(codes)
    assert sequence.shape == (codes.size,)
    stages = tokens.vocabulary("voice")["stages"]
    assert sequence.max() < stages * tokens.vocabulary("voice")["size_of_a_stage"]
    assert np.array_equal(sequence[:stages] // 1024, np.arange(stages))
    assert np.array_equal(tokens.unflatten_voice(sequence), codes)
    with pytest.raises(UsageError, match="not of the stage of its position"):
        tokens.unflatten_voice(sequence[::-1])
    with pytest.raises(UsageError, match="a multiple of"):
        tokens.unflatten_voice(sequence[1:])


def test_tokens_of_pictures(picture_file):
    codes = codes_of(picture_file)
    sequence = tokens.flatten_picture(codes)
    assert np.array_equal(tokens.flatten_picture(dict(reversed(codes.items()))), sequence)
    back = tokens.unflatten_picture(sequence, 128, 192)
    assert back.keys() == codes.keys()
    assert all(np.array_equal(back[level], codes[level]) for level in codes)
    with pytest.raises(UsageError, match="for 192×256"):
        tokens.unflatten_picture(sequence, 256, 192)


@pytest.mark.parametrize("kind", tokens.KINDS)
def test_vocabularies_are_json(kind):
    card = json.loads(json.dumps(tokens.vocabulary(kind)))
    assert card["kind"] == kind
    assert card["null"] == 0


def test_an_unknown_kind_is_refused():
    with pytest.raises(UsageError, match="legal: picture, voice"):
        tokens.vocabulary("video")


def test_data_sets_read_files_when_asked(tmp_path, voice_file):
    (tmp_path / "deep").mkdir()
    for name in ("a.lvx", "deep/B.LVX", "c.txt"):
        (tmp_path / name).write_bytes(voice_file)
    (tmp_path / "folder.lvx").mkdir()
    data = tokens.CodeDataset(tmp_path, tokens.flatten_voice)
    loader: Any = torch.utils.data.DataLoader(data, batch_size=2, num_workers=1)  # type: ignore[arg-type]
    (batch,) = list(loader)
    assert torch.equal(batch[0], torch.from_numpy(tokens.flatten_voice(codes_of(voice_file))))


def test_a_data_set_without_files_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no .lvx files"):
        tokens.CodeDataset(tmp_path)
    (tmp_path / "a.lvx").touch()
    for name in ("a.lvx", "none"):
        with pytest.raises(UsageError, match="not a folder; name files in a list"):
            tokens.CodeDataset(str(tmp_path / name))


def test_workers_of_a_data_set_use_the_weights_of_its_maker(tmp_path):
    with use_weights(TINY):
        (tmp_path / "a.lvx").write_bytes(luxvox.compress_image(np.zeros((9, 7, 3), np.uint8)))
        data = tokens.CodeDataset(tmp_path)
    assert pickle.loads(pickle.dumps(data))[0]["apex"].shape[1:] == (1, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: loose.flatten_voice([[0.5]]), "whole numbers"),
        (lambda: loose.flatten_voice([[1024]]), "out of range, legal: 0..1023"),
        (lambda: loose.flatten_voice([[-1]]), "out of range"),
        (lambda: loose.unflatten_voice([0.0] * 28), "whole numbers"),
        (lambda: loose.unflatten_voice([0], 0), "0 stages"),
        (lambda: loose.unflatten_voice([0], 1.5), "n_stages has to be"),
        (lambda: loose.flatten_picture({"apex": np.zeros((1, 1, 1), int)}), "by level: apex"),
        (lambda: loose.unflatten_picture([0], 0, 8), "sides of at least 1"),
        (lambda: loose.unflatten_picture([1e9], 8, 8), "whole numbers"),
        (lambda: loose.unflatten_picture([70_000], 8, 8), "out of range"),
    ],
)
def test_bad_codes_and_tokens_are_refused(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_tokens_may_be_unsigned():
    codes = np.zeros((28, 2), np.uint16)
    sequence = tokens.flatten_voice(codes).astype(np.uint64)
    assert np.array_equal(tokens.unflatten_voice(sequence, 28), codes)


def test_sizes_of_pictures_do_not_overflow():
    with pytest.raises(UsageError, match=r"legal: \[\d{20,}\] for"):
        tokens.unflatten_picture(np.zeros(5, np.int64), 10**12, 10**12)
