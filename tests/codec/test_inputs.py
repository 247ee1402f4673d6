"""Pictures, voices and codes in every form that callers may pass: tensors, files, batches."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

import luxvox as typed
from luxvox import tokens
from luxvox.errors import InputError, UsageError

luxvox: Any = typed  # checkers see no dimensions
PIXELS = np.random.default_rng(0).integers(0, 255, (24, 16, 3), dtype=np.uint8)
TONE = np.sin(np.arange(4000) / 8).astype(np.float32) / 4
TWO_TONES = np.stack([TONE, np.cos(np.arange(4000) / 5).astype(np.float32) / 4], axis=1)


@pytest.fixture(scope="module")
def picture_file():
    return luxvox.compress_image(PIXELS, 30)


@pytest.fixture(scope="module")
def voice_file():
    return luxvox.compress_speech(TONE, 16_000, effort=1)


@pytest.fixture
def folder(tmp_path):
    """Make a folder with a picture and a recording in usual formats."""
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    soundfile.write(tmp_path / "voice.wav", TONE, 16_000, subtype="FLOAT")
    return tmp_path


def test_tensors_of_pictures_have_their_planes_first(picture_file):
    tensor = torch.from_numpy(PIXELS).permute(2, 0, 1)
    assert luxvox.compress_image(tensor, 30) == picture_file
    grey = luxvox.compress_image(PIXELS[:, :, 0], 30)
    assert luxvox.compress_image(tensor[0], 30) == luxvox.compress_image(tensor[:1], 30) == grey
    with pytest.raises(UsageError, match=r"\[H, W\] or \[1..4, H, W\], not \[24, 16, 3\]"):
        luxvox.compress_image(torch.from_numpy(PIXELS))
    with pytest.raises(UsageError, match="uint8 or uint16, not float32"):
        luxvox.compress_image(tensor / 255)


def test_pictures_in_files(folder, picture_file):
    path = folder / "photo.png"
    data = path.read_bytes()
    for file in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data)):
        assert luxvox.compress_image(file, 30) == picture_file
    with path.open("rb") as stream:
        assert luxvox.compress_image(stream, 30) == picture_file
    with pytest.raises(FileNotFoundError):
        luxvox.compress_image(folder / "none.png")
    with pytest.raises(InputError, match="not a picture"):
        luxvox.compress_image(b"nothing")


def test_batches_of_pictures(folder, picture_file):
    flipped_file = luxvox.compress_image(PIXELS[::-1], 30)
    stack = np.stack([PIXELS, PIXELS[::-1]])
    batches = [stack, torch.from_numpy(stack).permute(0, 3, 1, 2), list(stack), tuple(stack)]
    for batch in batches:
        assert luxvox.compress_image(batch, 30) == [picture_file, flipped_file]
    mixed = [str(folder / "photo.png"), Image.fromarray(PIXELS[::-1])]
    assert luxvox.compress_image(mixed, 30) == [picture_file, flipped_file]
    assert luxvox.compress_image([], 30) == []


def test_progress_goes_over_the_batch():
    shares: list[float] = []
    luxvox.compress_image([PIXELS, PIXELS], progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0 and min(shares) < 0.5


def test_tensors_of_voices_have_their_channels_first(voice_file):
    mono, stereo = torch.from_numpy(TONE), torch.from_numpy(TWO_TONES.T.copy())
    assert luxvox.compress_speech(mono, 16_000, effort=1) == voice_file
    assert luxvox.compress_speech(mono[None], 16_000, effort=1) == voice_file
    assert luxvox.compress_speech(mono.requires_grad_(), 16_000, effort=1) == voice_file
    stereo_file = luxvox.compress_speech(TWO_TONES, 16_000, effort=1)
    assert luxvox.compress_speech(stereo, 16_000, effort=1) == stereo_file
    half = luxvox.compress_speech(mono.detach().bfloat16(), 16_000, effort=1)
    assert luxvox.inspect(half).samples == 4000


def test_voices_in_files(folder, voice_file):
    path = folder / "voice.wav"
    data = path.read_bytes()
    for file in (path, str(path), data, memoryview(data), io.BytesIO(data)):
        assert luxvox.compress_speech(file, effort=1) == voice_file
    with pytest.raises(UsageError, match="sample_rate is for samples; a file says its own"):
        luxvox.compress_speech(path, 16_000)
    with pytest.raises(UsageError, match="sample_rate has to be a number"):
        luxvox.compress_speech(TONE)
    with pytest.raises(FileNotFoundError):
        luxvox.compress_speech(folder / "none.wav")


def test_batches_of_voices(folder, voice_file):
    stack = np.stack([TONE[:, None], TONE[:, None]])
    for batch in (stack, torch.from_numpy(stack).permute(0, 2, 1), [TONE, TONE], (TONE, TONE)):
        assert luxvox.compress_speech(batch, 16_000, effort=1) == [voice_file] * 2
    assert luxvox.compress_speech([folder / "voice.wav"], effort=1) == [voice_file]
    assert luxvox.compress_speech([float(x) for x in TONE], 16_000, effort=1) == voice_file


def test_codes_of_voices_as_tensors_and_batches(voice_file):
    codes = luxvox.codes(voice_file)
    samples = luxvox.from_codes(codes)
    tensor = torch.from_numpy(codes.astype(np.int64))
    assert np.array_equal(luxvox.from_codes(tensor), samples)
    for batch in ([codes, tensor], torch.stack([tensor, tensor]), np.stack([codes, codes])):
        first, second = luxvox.from_codes(batch)
        assert np.array_equal(first, samples) and np.array_equal(second, samples)
    flat = tokens.flatten_voice(tensor)
    assert np.array_equal(flat, tokens.flatten_voice(codes))
    assert np.array_equal(tokens.unflatten_voice(torch.from_numpy(flat)), codes)
    for option in ({"quality": 30}, {"tune": "psnr"}):
        with pytest.raises(UsageError, match=f"{next(iter(option))} is for the codes of pictures"):
            luxvox.from_codes(codes, **option)


def test_codes_of_pictures_as_tensors_and_batches(picture_file):
    codes = luxvox.codes(picture_file)
    pixels = luxvox.from_codes(codes, quality=30)
    tensors = {level: torch.from_numpy(code) for level, code in codes.items()}
    assert np.array_equal(luxvox.from_codes(tensors, quality=30), pixels)
    stacked = {level: torch.stack([code, code]) for level, code in tensors.items()}
    for batch in ([codes, tensors], stacked):
        first, second = luxvox.from_codes(batch, quality=30)
        assert np.array_equal(first, pixels) and np.array_equal(second, pixels)
    flat = tokens.flatten_picture(tensors)
    back = tokens.unflatten_picture(torch.from_numpy(flat), 24, 16)
    assert all(np.array_equal(back[level], codes[level]) for level in codes)
    with pytest.raises(UsageError, match="levels of batches of 1, 2 pictures"):
        luxvox.from_codes({**stacked, "apex": stacked["apex"][:1]}, quality=30)


def test_torch_is_loaded_only_for_tensors(folder):
    code = (
        "import sys; from luxvox.codec.arguments import is_file, is_tensor, as_array, file_bytes;"
        "assert not is_tensor([1]) and is_file('x') and as_array('a', [1]).shape == (1,);"
        f"assert file_bytes({str(folder / 'photo.png')!r})[1:4] == b'PNG';"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "decode", ["decompress_image('tiny-1x1.lvx')", "decompress_speech('voice-44k.lvx')"]
)
def test_decoding_does_not_load_the_compiler_of_torch(decode):
    """It takes 2.5 s, several times as long as everything else that a small file needs."""
    code = f"import sys, luxvox; luxvox.{decode}; assert 'torch._dynamo' not in sys.modules"
    golden = Path(__file__).parents[1] / "golden"
    weights = {**os.environ, "LUXVOX_WEIGHTS": str(golden / "weights")}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=golden, env=weights)


def test_files_are_named_in_their_errors(folder):
    broken = Path(folder / "broken.png")
    broken.write_bytes((folder / "photo.png").read_bytes()[:60])
    with pytest.raises(InputError, match="broken.png: "):
        luxvox.compress_image(broken)


def test_codes_are_drawn_by_the_tuning_they_were_made_for():
    rows, columns = np.mgrid[:64, :128]
    picture = np.stack([rows * 3, columns, 128 + 60 * np.sin(rows / 9)], 2).astype(np.uint8)
    data = luxvox.compress_image(picture, quality=50, tune="psnr")
    facts, codes = luxvox.inspect(data), luxvox.codes(data)
    assert facts.tune == "psnr" and luxvox.inspect(luxvox.compress_image(picture)).tune == "eye"
    pixels = luxvox.from_codes(codes, quality=facts.quality, tune=facts.tune)
    assert np.array_equal(pixels, luxvox.decompress_image(data))
    again = luxvox.from_codes(codes, quality=facts.quality, model=facts.model)
    assert np.array_equal(again, pixels)
    with pytest.raises(UsageError, match="picture-3 is for tune psnr, not eye"):
        luxvox.from_codes(codes, quality=facts.quality, tune="eye", model=facts.model)
